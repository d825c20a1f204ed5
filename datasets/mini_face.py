"""The faces of the mini dataset: their random parameters and the shapes of their parts.

A shape is a closed outline or an open line, an (N, 2) array of (x, y) points in face units: the
head is about 1.5 wide and 1.8 tall around (0, 0), y points down. Both styles draw the same shapes,
so that a photo and its anime counterpart differ only in style.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np

HAIRCUTS = ("short", "bob", "long", "bun", "twin tails", "spiky")
BANGS = ("straight", "swept", "parted", "jagged")
HAIR_COLORS = (  # (hue, saturation, value), 0..1 each
    (0.64, 0.30, 0.15),  # black
    (0.06, 0.55, 0.30),  # brown
    (0.01, 0.55, 0.38),  # chestnut
    (0.05, 0.72, 0.62),  # ginger
    (0.12, 0.50, 0.80),  # blond
    (0.60, 0.10, 0.68),  # silver
)
EYE_HUES = (0.07, 0.30, 0.45, 0.58, 0.75)  # brown, green, teal, blue, violet
SHIRT_HUES = (0.01, 0.12, 0.33, 0.80)  # red, yellow, green, purple
BACKGROUND_HUES = (0.44, 0.62)  # from mint to sky blue: a small range that is quick to learn


@dataclass(frozen=True)
class Face:
    """The parameters of a face, the same for both styles. Hues are in [0, 1]."""

    haircut: str
    bangs: str
    skin: float  # 0 light .. 1 dark
    hair: tuple[float, float, float]  # hue, saturation, value
    eyes: float  # hue
    smile: float  # 0 .. 1
    shirt: float  # hue
    background: float  # hue
    tilt: float  # degrees clockwise
    scale: float  # at 1 the head is about two thirds of the image height
    shift: tuple[float, float]  # right and down, in image widths
    noise_seed: int  # of the background of the photo

    @classmethod
    def sample(cls, rng: Random) -> Face:
        """Sample all parameters from `rng`, always in the same order."""
        return cls(
            haircut=rng.choice(HAIRCUTS),
            bangs=rng.choice(BANGS),
            skin=rng.random(),
            hair=_jitter(rng.choice(HAIR_COLORS), rng),
            eyes=rng.choice(EYE_HUES),
            smile=rng.random(),
            shirt=rng.choice(SHIRT_HUES),
            background=rng.uniform(*BACKGROUND_HUES),
            tilt=rng.uniform(-11, 11),
            scale=rng.uniform(0.9, 1.1),
            shift=(rng.uniform(-0.05, 0.05), rng.uniform(-0.03, 0.03)),
            noise_seed=rng.getrandbits(32),
        )


def _jitter(hsv: tuple[float, float, float], rng: Random) -> tuple[float, float, float]:
    hue, saturation, value = hsv
    return (
        hue + rng.uniform(-0.012, 0.012),
        saturation * rng.uniform(0.9, 1.1),
        value * rng.uniform(0.88, 1.12),
    )


def ellipse(x: float, y: float, rx: float, ry: float, start=0.0, stop=360.0) -> np.ndarray:
    """Return points on an ellipse from `start` to `stop` degrees, clockwise from the right."""
    angle = np.radians(np.linspace(start, stop, 49))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def curve(*points: tuple[float, float], closed: bool = False) -> np.ndarray:
    """Interpolate a smooth line (Catmull-Rom spline) through `points`."""
    p = np.array(points, dtype=float)
    p = np.concatenate([p[-1:], p, p[:2]] if closed else [p[:1], p, p[-1:]])

    # Each segment runs from a to b; the points before and after give the tangents.
    before, a, b, after = (p[i : len(p) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, 12)[None, :, None]
    cubic = -before + 3 * a - 3 * b + after
    square = 2 * before - 5 * a + 4 * b - after
    return (a + ((b - before) * t + square * t**2 + cubic * t**3) / 2).reshape(-1, 2)


def both_sides(shape: np.ndarray) -> list[np.ndarray]:
    """Return the shape and its mirror image on the other side of the face."""
    return [shape, shape * (-1, 1)]


def move_down(shape: np.ndarray, distance: float) -> np.ndarray:
    """Return the shape moved down by `distance` face units (up if negative)."""
    return shape + np.array([0, distance])


def symmetric_outline(*points: tuple[float, float]) -> np.ndarray:
    """Return a closed smooth outline from the points of its right half, top to bottom."""
    left = [(-x, y) for x, y in reversed(points) if x]
    return curve(*points, *left, closed=True)


HEAD = symmetric_outline(
    (0, -0.92), (0.45, -0.82), (0.72, -0.42), (0.75, 0.1), (0.66, 0.5), (0.36, 0.84), (0, 0.96)
)
EARS = both_sides(ellipse(0.77, 0.16, 0.13, 0.2))
NECK = np.array([(-0.27, 0.6), (0.27, 0.6), (0.3, 1.3), (0, 1.45), (-0.3, 1.3)])
SHIRT = symmetric_outline((0, 1.36), (0.3, 1.16), (0.85, 1.36), (1.15, 1.8), (1.2, 2.6), (0, 2.6))
MOUTH_Y = 0.6
EYE_X = 0.33
EYE_Y = 0.17


def mouth(smile: float) -> np.ndarray:
    """Return the line between the lips, wider and more curved for a larger `smile`."""
    half_width = 0.15 + 0.08 * smile
    bend = 0.02 + 0.09 * smile
    corner_y = MOUTH_Y - bend
    return curve((-half_width, corner_y), (0, MOUTH_Y + bend / 2), (half_width, corner_y))


def open_mouth(smile: float) -> np.ndarray:
    """Return the outline of an open mouth below the line `mouth(smile)`."""
    upper = mouth(smile)
    corner_x, corner_y = upper[-1]
    depth = 0.1 + 0.1 * smile
    lower = ellipse(0, corner_y, corner_x, depth + MOUTH_Y - corner_y, 0, 180)
    return np.concatenate([upper, lower])


def eyebrows() -> list[np.ndarray]:
    return both_sides(curve((0.17, -0.16), (0.34, -0.22), (0.52, -0.15)))


_CAP = symmetric_outline(
    (0, -1.1), (0.6, -0.96), (0.9, -0.45), (0.88, 0.1), (0.72, 0.42), (0, 0.42)
)
_BOB = symmetric_outline(
    (0, -1.1), (0.6, -0.96), (0.92, -0.4), (0.98, 0.2), (1.02, 0.72), (0.72, 0.88), (0, 0.8)
)
_LONG = symmetric_outline(
    (0, -1.1), (0.6, -0.96), (0.92, -0.4), (0.96, 0.3), (1.04, 1.0), (1.0, 1.6), (0.5, 1.75),
    (0, 1.6),
)  # fmt: skip
_TAIL = curve((0.78, -0.5), (1.2, -0.45), (1.42, 0.1), (1.36, 0.75), (1.2, 1.15), (1.12, 0.7),
              (1.02, 0.2), (0.8, -0.1), closed=True)  # fmt: skip
_SPIKES = np.array(
    [(-0.85, 0.4), (-1.12, 0.12), (-0.92, -0.1), (-1.22, -0.4), (-0.9, -0.56), (-1.06, -0.98),
     (-0.62, -0.9), (-0.55, -1.34), (-0.16, -1.06), (0.1, -1.42), (0.32, -1.04), (0.7, -1.26),
     (0.72, -0.84), (1.14, -0.84), (0.94, -0.48), (1.24, -0.26), (0.94, -0.02), (1.1, 0.2),
     (0.85, 0.4)]
)  # fmt: skip

_BACK_HAIR = {
    "short": [_CAP],
    "bob": [_BOB],
    "long": [_LONG],
    "bun": [ellipse(0, -1.14, 0.36, 0.32), _CAP],
    "twin tails": [*both_sides(_TAIL), _CAP],
    "spiky": [_SPIKES],
}


def back_hair(haircut: str) -> list[np.ndarray]:
    """Return the outlines of the hair behind the head, back to front."""
    return _BACK_HAIR[haircut]


_TOP_EDGE = ellipse(0, -0.28, 0.85, 0.82, 180, 360)  # over the head, temple to temple
_BANGS_EDGE = {  # lower edge of the bangs, from the right temple to the left one
    "straight": curve((0.84, 0.25), (0.74, 0.22), (0.68, -0.2), (0.5, -0.3), (0, -0.34),
                      (-0.5, -0.3), (-0.68, -0.2), (-0.74, 0.22), (-0.84, 0.25)),
    "swept": curve((0.84, 0.25), (0.75, 0.2), (0.68, -0.24), (0.3, -0.34), (-0.1, -0.46),
                   (-0.42, -0.68), (-0.62, -0.3), (-0.75, 0.2), (-0.84, 0.25)),
    "parted": curve((0.84, 0.3), (0.75, 0.25), (0.62, -0.2), (0.3, -0.5), (0.04, -0.8),
                    (-0.04, -0.8), (-0.3, -0.5), (-0.62, -0.2), (-0.75, 0.25), (-0.84, 0.3)),
    "jagged": np.array([(0.84, 0.25), (0.74, 0.22), (0.66, -0.4), (0.5, -0.18), (0.36, -0.46),
                        (0.12, -0.14), (-0.04, -0.46), (-0.3, -0.2), (-0.42, -0.48),
                        (-0.6, -0.2), (-0.67, -0.4), (-0.74, 0.22), (-0.84, 0.25)]),
}  # fmt: skip


def front_hair(bangs: str) -> np.ndarray:
    """Return the outline of the hair over the forehead."""
    return np.concatenate([_TOP_EDGE, _BANGS_EDGE[bangs]])
