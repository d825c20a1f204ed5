"""The two painters of the mini set: `photo` shades a face softly, `anime` draws it flat.

Both go from back to front over the same shapes of `mini_face`.
"""

from __future__ import annotations

from random import Random

import numpy as np
from PIL import Image, ImageFilter

import mini_face as shapes
from mini_canvas import Canvas, rgb
from mini_face import EYE_X, EYE_Y, Face, both_sides, ellipse, lowered

WHITE = np.ones(3)
INK = np.array([0.16, 0.10, 0.16])


def photo(face: Face, size: int) -> Image.Image:
    """The face as a "photo" of `size` pixels: muted, lit from the upper left, small eyes."""
    canvas = Canvas(size, face)
    canvas.pixels = _blurred_room(face, size)
    hair, skin = _sheen(canvas, rgb(*face.hair)), _lit_skin(canvas)
    for back in shapes.back_hair(face.cut):
        canvas.paint(canvas.fill(back, blur=0.02), hair * 0.72)
    _photo_body(canvas, skin)
    canvas.paint(canvas.fill(*shapes.EARS, blur=0.015), skin * 0.84)
    canvas.paint(canvas.fill(shapes.HEAD, blur=0.015), skin)
    _photo_features(canvas, skin)
    fringe = shapes.front_hair(face.fringe)
    canvas.paint(canvas.fill(lowered(fringe, 0.06), blur=0.07), skin * 0.62, 0.5)
    canvas.paint(canvas.fill(fringe, blur=0.02), hair)
    return canvas.image()


def _blurred_room(face: Face, size: int) -> np.ndarray:
    """A dim room out of focus: coarse noise, enlarged smoothly, around one muted colour."""
    random, coarse = Random(face.grain), 7
    noise = [round(random.uniform(78, 188)) for _ in range(coarse * coarse)]
    spots = Image.frombytes("L", (coarse, coarse), bytes(noise)).resize((size, size))
    spots = spots.filter(ImageFilter.GaussianBlur(size / 16))
    light = np.asarray(spots, dtype=float) / 128
    return light[..., None] * rgb(face.backdrop, 0.26, 0.71)


def _lit_skin(canvas: Canvas) -> np.ndarray:
    """The skin colour as on a ball lit from the upper left."""
    fair, dark = rgb(0.065, 0.30, 0.93), rgb(0.055, 0.55, 0.56)
    tone = fair + (dark - fair) * canvas.face.skin
    bulge = 1.12 - 0.28 * (canvas.x**2 / 0.8 + canvas.y**2 / 1.2).clip(0, 1.5)
    light = (bulge - 0.14 * canvas.x - 0.1 * canvas.y).clip(0.35, 1.15)
    return tone * light[..., None] * (1.04, 1.0, 0.97)


def _sheen(canvas: Canvas, colour: np.ndarray) -> np.ndarray:
    """The hair colour in fine strands, with a soft band of light over the crown."""
    band = np.exp(-(((canvas.y + 0.7 - 0.25 * canvas.x**2) / 0.22) ** 2))
    parting = np.arctan2(canvas.x, canvas.y + 1.6)  # strands fan out from above the crown
    strands = np.sin(44 * parting) + np.sin(71 * parting + 1)
    light = 0.84 + 0.3 * band - 0.12 * canvas.x + 0.035 * strands
    return colour * light[..., None] + 0.04 * band[..., None]


def _photo_body(canvas: Canvas, skin: np.ndarray) -> None:
    cloth = rgb(canvas.face.shirt, 0.4, 0.62)
    folds = 1 - 0.25 * canvas.x - 0.2 * (canvas.y - 1.5)
    canvas.paint(canvas.fill(shapes.NECK, blur=0.02), skin * 0.85)
    canvas.paint(canvas.fill(shapes.SHIRT, blur=0.02), cloth * folds[..., None].clip(0.5, 1.3))


def _photo_features(canvas: Canvas, skin: np.ndarray) -> None:
    hue, blush = canvas.face.eyes, skin * (1.0, 0.72, 0.7)
    sockets = both_sides(ellipse(EYE_X, EYE_Y - 0.02, 0.2, 0.14))
    cheeks = both_sides(ellipse(0.42, 0.42, 0.18, 0.13))
    canvas.paint(canvas.fill(*sockets, blur=0.06), skin * 0.72, 0.6)
    canvas.paint(canvas.fill(*cheeks, blur=0.08), blush, 0.5)
    _photo_eyes(canvas, rgb(hue, 0.5, 0.42))
    brow = rgb(*canvas.face.hair) * 0.6
    canvas.paint(canvas.stroke(*shapes.brows(), width=0.06, blur=0.015), brow, 0.75)
    nose = shapes.curve((0.02, 0.1), (0.06, 0.3), (0.09, 0.38), (0, 0.42))
    canvas.paint(canvas.stroke(nose, width=0.05, blur=0.03), skin * 0.6, 0.7)
    canvas.paint(canvas.fill(ellipse(-0.03, 0.3, 0.04, 0.1), blur=0.03), WHITE, 0.22)
    lips = shapes.mouth(canvas.face.smile)
    flesh = canvas.stroke(lowered(lips, 0.02), width=0.1, blur=0.02)
    canvas.paint(flesh, skin * (0.92, 0.55, 0.55))
    canvas.paint(canvas.stroke(lips, width=0.025, blur=0.01), skin * (0.45, 0.22, 0.22), 0.8)


def _photo_eyes(canvas: Canvas, iris: np.ndarray) -> None:
    def pair(*ellipse_of: float) -> list[np.ndarray]:
        return both_sides(ellipse(EYE_X, EYE_Y, *ellipse_of))

    white = canvas.fill(*pair(0.145, 0.075), blur=0.008)
    canvas.paint(white, WHITE * 0.9)
    canvas.paint(canvas.fill(*pair(0.075, 0.08)) * white, iris)
    canvas.paint(canvas.fill(*pair(0.035, 0.035)), INK * 0.5)
    lid = both_sides(ellipse(EYE_X, EYE_Y + 0.005, 0.15, 0.085, 190, 350))
    canvas.paint(canvas.stroke(*lid, width=0.03, blur=0.008), INK, 0.85)


def anime(face: Face, size: int) -> Image.Image:
    """The same face as a cartoon of `size` pixels: flat, bright, outlined, large shiny eyes."""
    canvas = Canvas(size, face)
    canvas.pixels += rgb(face.backdrop, 0.32, 0.97)
    hair, skin = vivid(face.hair), _flat_skin(face)
    for back in shapes.back_hair(face.cut):
        _outlined(canvas, hair * 0.8, back)
    _outlined(canvas, skin * (0.94, 0.86, 0.86), shapes.NECK)
    _outlined(canvas, rgb(face.shirt, 0.55, 0.88), shapes.SHIRT)
    _outlined(canvas, skin * (0.95, 0.88, 0.88), *shapes.EARS)
    _outlined(canvas, skin, shapes.HEAD)
    _anime_features(canvas, skin)
    _outlined(canvas, hair, shapes.front_hair(face.fringe))
    shine = shapes.curve((-0.5, -0.74), (-0.3, -0.86), (0, -0.9), (0.16, -0.88))
    canvas.paint(canvas.stroke(shine, width=0.07), WHITE, 0.55)
    _anime_brows(canvas, hair)
    return canvas.image()


def vivid(colour: tuple[float, float, float]) -> np.ndarray:
    """A natural hair colour as anime knows it: the same hue, brighter and more saturated."""
    hue, saturation, value = colour
    return rgb(hue, 0.25 + 0.75 * saturation, 0.38 + 0.6 * value)


def _flat_skin(face: Face) -> np.ndarray:
    fair, dark = rgb(0.07, 0.16, 1.0), rgb(0.065, 0.45, 0.72)
    return fair + (dark - fair) * face.skin


def _outlined(canvas: Canvas, colour: np.ndarray, *parts: np.ndarray) -> None:
    rims = [np.concatenate([part, part[:1]]) for part in parts]
    canvas.paint(canvas.fill(*parts), colour)
    canvas.paint(canvas.stroke(*rims, width=0.05), INK)


def _anime_features(canvas: Canvas, skin: np.ndarray) -> None:
    cheeks = both_sides(ellipse(0.48, 0.5, 0.13, 0.07))
    canvas.paint(canvas.fill(*cheeks), skin * (1.0, 0.72, 0.72), 0.8)
    _anime_eyes(canvas, canvas.face.eyes)
    nose = shapes.curve((0.0, 0.4), (0.04, 0.44))
    canvas.paint(canvas.stroke(nose, width=0.035), INK, 0.7)
    if canvas.face.smile > 0.5:  # a big smile opens the mouth
        _outlined(canvas, rgb(0.98, 0.55, 0.8), shapes.open_mouth(canvas.face.smile))
    canvas.paint(canvas.stroke(shapes.mouth(canvas.face.smile), width=0.045), INK)


def _anime_eyes(canvas: Canvas, hue: float) -> None:
    def pair(x: float, y: float, rx: float, ry: float, *arc: float) -> list[np.ndarray]:
        return both_sides(ellipse(EYE_X + x, EYE_Y + y, rx, ry, *arc))

    depth = ((canvas.y - EYE_Y + 0.26) / 0.52).clip(0, 1)[..., None]  # 0 at the top of the iris
    iris = rgb(hue, 0.85, 0.38) * (1 - depth) + rgb(hue, 0.6, 1.0) * depth
    white = canvas.fill(*pair(0, 0, 0.21, 0.25))
    canvas.paint(white, WHITE)
    canvas.paint(canvas.fill(*pair(0, 0.02, 0.15, 0.22)) * white, iris)
    canvas.paint(canvas.fill(*pair(0, 0.03, 0.075, 0.115)), INK)
    canvas.paint(canvas.stroke(*pair(0, 0, 0.21, 0.25, 20, 160), width=0.02), INK)
    canvas.paint(canvas.stroke(*pair(0, 0, 0.22, 0.25, 195, 345), width=0.075), INK)
    # The light comes from one side, so the glints are not mirrored.
    glints = [ellipse(x - 0.055, EYE_Y - 0.09, 0.065, 0.075) for x in (-EYE_X, EYE_X)]
    glints += [ellipse(x + 0.06, EYE_Y + 0.13, 0.035, 0.035) for x in (-EYE_X, EYE_X)]
    canvas.paint(canvas.fill(*glints), WHITE)


def _anime_brows(canvas: Canvas, hair: np.ndarray) -> None:
    raised = [lowered(brow, -0.06) for brow in shapes.brows()]
    canvas.paint(canvas.stroke(*raised, width=0.04), hair * 0.35)
