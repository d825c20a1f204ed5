"""The two styles of the mini dataset: `render_photo` with soft shading, `render_anime` flat.

Both draw the same shapes of `mini_face`, from back to front.
"""

from __future__ import annotations

from random import Random

import numpy as np
from PIL import Image, ImageFilter

import mini_face as shapes
from mini_canvas import Canvas, hsv_to_rgb
from mini_face import EYE_X, EYE_Y, Face, both_sides, ellipse, move_down

WHITE = np.ones(3)
INK = np.array([0.16, 0.10, 0.16])


def render_photo(face: Face, size: int) -> Image.Image:
    """Draw the face as a "photo" of `size` pixels: muted, lit from the upper left, small eyes."""
    canvas = Canvas(size, face)
    canvas.pixels = _photo_background(face, size)
    hair = _photo_hair(canvas, hsv_to_rgb(*face.hair))
    skin = _photo_skin(canvas)

    for outline in shapes.back_hair(face.haircut):
        canvas.paint(canvas.fill(outline, blur=0.02), hair * 0.72)

    _photo_body(canvas, skin)
    canvas.paint(canvas.fill(*shapes.EARS, blur=0.015), skin * 0.84)
    canvas.paint(canvas.fill(shapes.HEAD, blur=0.015), skin)
    _photo_features(canvas, skin)

    bangs = shapes.front_hair(face.bangs)
    shadow = canvas.fill(move_down(bangs, 0.06), blur=0.07)
    canvas.paint(shadow, skin * 0.62, 0.5)
    canvas.paint(canvas.fill(bangs, blur=0.02), hair)
    return canvas.to_image()


def _photo_background(face: Face, size: int) -> np.ndarray:
    """Return a blurred room: coarse noise, smoothly enlarged, in one muted hue."""
    rng = Random(face.noise_seed)
    coarse = 7  # pixels per side before enlarging
    noise = [round(rng.uniform(78, 188)) for _ in range(coarse * coarse)]
    spots = Image.frombytes("L", (coarse, coarse), bytes(noise)).resize((size, size))
    spots = spots.filter(ImageFilter.GaussianBlur(size / 16))

    light = np.asarray(spots, dtype=float) / 128
    return light[..., None] * hsv_to_rgb(face.background, 0.26, 0.71)


def _photo_skin(canvas: Canvas) -> np.ndarray:
    """Return the skin color, shaded like a sphere lit from the upper left."""
    light_tone = hsv_to_rgb(0.065, 0.30, 0.93)
    dark_tone = hsv_to_rgb(0.055, 0.55, 0.56)
    tone = light_tone + (dark_tone - light_tone) * canvas.face.skin

    sphere = 1.12 - 0.28 * (canvas.x**2 / 0.8 + canvas.y**2 / 1.2).clip(0, 1.5)
    light = (sphere - 0.14 * canvas.x - 0.1 * canvas.y).clip(0.35, 1.15)
    return tone * light[..., None] * (1.04, 1.0, 0.97)


def _photo_hair(canvas: Canvas, color: np.ndarray) -> np.ndarray:
    """Return the hair color with fine strands and a soft highlight on the top of the head."""
    highlight = np.exp(-(((canvas.y + 0.7 - 0.25 * canvas.x**2) / 0.22) ** 2))
    angle = np.arctan2(canvas.x, canvas.y + 1.6)  # strands fan out from a point above the head
    strands = np.sin(44 * angle) + np.sin(71 * angle + 1)
    light = 0.84 + 0.3 * highlight - 0.12 * canvas.x + 0.035 * strands
    return color * light[..., None] + 0.04 * highlight[..., None]


def _photo_body(canvas: Canvas, skin: np.ndarray) -> None:
    cloth = hsv_to_rgb(canvas.face.shirt, 0.4, 0.62)
    folds = 1 - 0.25 * canvas.x - 0.2 * (canvas.y - 1.5)
    canvas.paint(canvas.fill(shapes.NECK, blur=0.02), skin * 0.85)
    canvas.paint(canvas.fill(shapes.SHIRT, blur=0.02), cloth * folds[..., None].clip(0.5, 1.3))


def _photo_features(canvas: Canvas, skin: np.ndarray) -> None:
    face = canvas.face
    sockets = both_sides(ellipse(EYE_X, EYE_Y - 0.02, 0.2, 0.14))
    cheeks = both_sides(ellipse(0.42, 0.42, 0.18, 0.13))
    canvas.paint(canvas.fill(*sockets, blur=0.06), skin * 0.72, 0.6)
    canvas.paint(canvas.fill(*cheeks, blur=0.08), skin * (1.0, 0.72, 0.7), 0.5)

    _photo_eyes(canvas, hsv_to_rgb(face.eyes, 0.5, 0.42))
    eyebrows = canvas.stroke(*shapes.eyebrows(), width=0.06, blur=0.015)
    canvas.paint(eyebrows, hsv_to_rgb(*face.hair) * 0.6, 0.75)

    nose = shapes.curve((0.02, 0.1), (0.06, 0.3), (0.09, 0.38), (0, 0.42))
    canvas.paint(canvas.stroke(nose, width=0.05, blur=0.03), skin * 0.6, 0.7)
    canvas.paint(canvas.fill(ellipse(-0.03, 0.3, 0.04, 0.1), blur=0.03), WHITE, 0.22)

    mouth = shapes.mouth(face.smile)
    lips = canvas.stroke(move_down(mouth, 0.02), width=0.1, blur=0.02)
    canvas.paint(lips, skin * (0.92, 0.55, 0.55))
    canvas.paint(canvas.stroke(mouth, width=0.025, blur=0.01), skin * (0.45, 0.22, 0.22), 0.8)


def _photo_eyes(canvas: Canvas, iris: np.ndarray) -> None:
    def pair(rx: float, ry: float) -> list[np.ndarray]:
        return both_sides(ellipse(EYE_X, EYE_Y, rx, ry))

    white = canvas.fill(*pair(0.145, 0.075), blur=0.008)
    canvas.paint(white, WHITE * 0.9)
    canvas.paint(canvas.fill(*pair(0.075, 0.08)) * white, iris)
    canvas.paint(canvas.fill(*pair(0.035, 0.035)), INK * 0.5)

    lids = both_sides(ellipse(EYE_X, EYE_Y + 0.005, 0.15, 0.085, 190, 350))
    canvas.paint(canvas.stroke(*lids, width=0.03, blur=0.008), INK, 0.85)


def render_anime(face: Face, size: int) -> Image.Image:
    """Draw the face as a cartoon of `size` pixels: flat, bright, outlined, large shiny eyes."""
    canvas = Canvas(size, face)
    canvas.pixels += hsv_to_rgb(face.background, 0.32, 0.97)
    hair = _anime_hair(face)
    skin = _anime_skin(face)

    for outline in shapes.back_hair(face.haircut):
        _outlined(canvas, hair * 0.8, outline)

    _outlined(canvas, skin * (0.94, 0.86, 0.86), shapes.NECK)
    _outlined(canvas, hsv_to_rgb(face.shirt, 0.55, 0.88), shapes.SHIRT)
    _outlined(canvas, skin * (0.95, 0.88, 0.88), *shapes.EARS)
    _outlined(canvas, skin, shapes.HEAD)
    _anime_features(canvas, skin)

    _outlined(canvas, hair, shapes.front_hair(face.bangs))
    highlight = shapes.curve((-0.5, -0.74), (-0.3, -0.86), (0, -0.9), (0.16, -0.88))
    canvas.paint(canvas.stroke(highlight, width=0.07), WHITE, 0.55)
    _anime_eyebrows(canvas, hair)
    return canvas.to_image()


def _anime_hair(face: Face) -> np.ndarray:
    """Return the hair color in the same hue, brighter and more saturated."""
    hue, saturation, value = face.hair
    return hsv_to_rgb(hue, 0.25 + 0.75 * saturation, 0.38 + 0.6 * value)


def _anime_skin(face: Face) -> np.ndarray:
    light_tone = hsv_to_rgb(0.07, 0.16, 1.0)
    dark_tone = hsv_to_rgb(0.065, 0.45, 0.72)
    return light_tone + (dark_tone - light_tone) * face.skin


def _outlined(canvas: Canvas, color: np.ndarray, *outlines: np.ndarray) -> None:
    """Fill the outlines with `color` and draw a dark line around them."""
    closed = [np.concatenate([outline, outline[:1]]) for outline in outlines]
    canvas.paint(canvas.fill(*outlines), color)
    canvas.paint(canvas.stroke(*closed, width=0.05), INK)


def _anime_features(canvas: Canvas, skin: np.ndarray) -> None:
    cheeks = both_sides(ellipse(0.48, 0.5, 0.13, 0.07))
    canvas.paint(canvas.fill(*cheeks), skin * (1.0, 0.72, 0.72), 0.8)
    _anime_eyes(canvas, canvas.face.eyes)

    nose = shapes.curve((0.0, 0.4), (0.04, 0.44))
    canvas.paint(canvas.stroke(nose, width=0.035), INK, 0.7)

    if canvas.face.smile > 0.5:  # a big smile opens the mouth
        _outlined(canvas, hsv_to_rgb(0.98, 0.55, 0.8), shapes.open_mouth(canvas.face.smile))
    canvas.paint(canvas.stroke(shapes.mouth(canvas.face.smile), width=0.045), INK)


def _anime_eyes(canvas: Canvas, hue: float) -> None:
    def pair(x: float, y: float, rx: float, ry: float, *arc: float) -> list[np.ndarray]:
        return both_sides(ellipse(EYE_X + x, EYE_Y + y, rx, ry, *arc))

    position = ((canvas.y - EYE_Y + 0.26) / 0.52).clip(0, 1)[..., None]  # 0 at the top of the iris
    iris = hsv_to_rgb(hue, 0.85, 0.38) * (1 - position) + hsv_to_rgb(hue, 0.6, 1.0) * position

    white = canvas.fill(*pair(0, 0, 0.21, 0.25))
    canvas.paint(white, WHITE)
    canvas.paint(canvas.fill(*pair(0, 0.02, 0.15, 0.22)) * white, iris)
    canvas.paint(canvas.fill(*pair(0, 0.03, 0.075, 0.115)), INK)
    canvas.paint(canvas.stroke(*pair(0, 0, 0.21, 0.25, 20, 160), width=0.02), INK)
    canvas.paint(canvas.stroke(*pair(0, 0, 0.22, 0.25, 195, 345), width=0.075), INK)

    # The light comes from one side, so the highlights are not mirrored.
    highlights = [ellipse(x - 0.055, EYE_Y - 0.09, 0.065, 0.075) for x in (-EYE_X, EYE_X)]
    highlights += [ellipse(x + 0.06, EYE_Y + 0.13, 0.035, 0.035) for x in (-EYE_X, EYE_X)]
    canvas.paint(canvas.fill(*highlights), WHITE)


def _anime_eyebrows(canvas: Canvas, hair: np.ndarray) -> None:
    raised = [move_down(eyebrow, -0.06) for eyebrow in shapes.eyebrows()]
    canvas.paint(canvas.stroke(*raised, width=0.04), hair * 0.35)
