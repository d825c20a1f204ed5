"""The faces of the mini set: what a face is (its parameters) and where its parts lie (its shapes).

Shapes are closed outlines or open lines, arrays of (x, y) points in face units: the head is
about 1.5 wide and 1.8 tall around (0, 0), y points down. Both painters draw the very same
shapes, so that a photo and its anime counterpart differ in style alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np

CUTS = ("short", "bob", "long", "bun", "twin tails", "spiky")
FRINGES = ("straight", "swept", "parted", "jagged")
# (hue, saturation, value), each 0..1: black, brown, chestnut, ginger, blond, silver
HAIR = ((0.64, 0.30, 0.15), (0.06, 0.55, 0.30), (0.01, 0.55, 0.38),
        (0.05, 0.72, 0.62), (0.12, 0.50, 0.80), (0.60, 0.10, 0.68))  # fmt: skip
EYES = (0.07, 0.30, 0.45, 0.58, 0.75)  # hues: brown, green, teal, blue, violet
SHIRTS = (0.01, 0.12, 0.33, 0.80)  # hues: red, yellow, green, purple
BACKDROPS = (0.44, 0.62)  # hues from mint to sky: few, so that a short training learns them


@dataclass(frozen=True)
class Face:
    """All that is drawn, in either style. Colours are (hue, saturation, value), 0..1 each."""

    cut: str
    fringe: str
    skin: float  # 0 fair .. 1 dark
    hair: tuple[float, float, float]
    eyes: float  # hue
    smile: float  # 0 .. 1
    shirt: float  # hue
    backdrop: float  # hue
    tilt: float  # degrees, positive leans clockwise
    scale: float  # 1 lets the head fill about two thirds of the height
    shift: tuple[float, float]  # right and down, in picture widths
    grain: int  # seeds the blurred noise behind the photo

    @classmethod
    def draw(cls, random: Random) -> Face:
        """A face with every parameter drawn from `random`, always in the same order."""
        return cls(
            cut=random.choice(CUTS),
            fringe=random.choice(FRINGES),
            skin=random.random(),
            hair=_near(random.choice(HAIR), random),
            eyes=random.choice(EYES),
            smile=random.random(),
            shirt=random.choice(SHIRTS),
            backdrop=random.uniform(*BACKDROPS),
            tilt=random.uniform(-11, 11),
            scale=random.uniform(0.9, 1.1),
            shift=(random.uniform(-0.05, 0.05), random.uniform(-0.03, 0.03)),
            grain=random.getrandbits(32),
        )


def _near(colour: tuple[float, float, float], random: Random) -> tuple[float, float, float]:
    hue, saturation, value = colour
    return (
        hue + random.uniform(-0.012, 0.012),
        saturation * random.uniform(0.9, 1.1),
        value * random.uniform(0.88, 1.12),
    )


def ellipse(x: float, y: float, rx: float, ry: float, start=0.0, stop=360.0) -> np.ndarray:
    """Points on an ellipse from `start` to `stop` degrees, clockwise from the right."""
    angle = np.radians(np.linspace(start, stop, 49))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def curve(*points: tuple[float, float], closed: bool = False) -> np.ndarray:
    """A smooth (Catmull-Rom) line through `points`."""
    p = np.array(points, dtype=float)
    p = np.concatenate([p[-1:], p, p[:2]] if closed else [p[:1], p, p[-1:]])
    before, a, b, after = (p[i : len(p) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, 12)[None, :, None]
    cubic = -before + 3 * a - 3 * b + after
    square = 2 * before - 5 * a + 4 * b - after
    return (a + ((b - before) * t + square * t**2 + cubic * t**3) / 2).reshape(-1, 2)


def mirrored(shape: np.ndarray) -> np.ndarray:
    """The shape on the other side of the face."""
    return shape * (-1, 1)


def lowered(shape: np.ndarray, by: float) -> np.ndarray:
    """The shape moved down by `by` face units; a negative one raises it."""
    return shape + np.array([0, by])


def both_sides(shape: np.ndarray) -> list[np.ndarray]:
    return [shape, mirrored(shape)]


def symmetric(*points: tuple[float, float]) -> np.ndarray:
    """A closed smooth outline from the points of its right half, top to bottom."""
    left = [(-x, y) for x, y in reversed(points) if x]
    return curve(*points, *left, closed=True)


HEAD = symmetric(
    (0, -0.92), (0.45, -0.82), (0.72, -0.42), (0.75, 0.1), (0.66, 0.5), (0.36, 0.84), (0, 0.96)
)
EARS = both_sides(ellipse(0.77, 0.16, 0.13, 0.2))
NECK = np.array([(-0.27, 0.6), (0.27, 0.6), (0.3, 1.3), (0, 1.45), (-0.3, 1.3)])
SHIRT = symmetric((0, 1.36), (0.3, 1.16), (0.85, 1.36), (1.15, 1.8), (1.2, 2.6), (0, 2.6))
MOUTH_Y, EYE_X, EYE_Y = 0.6, 0.33, 0.17


def mouth(smile: float) -> np.ndarray:
    """The line between the lips; the more smile, the wider and the more curved."""
    half, bend = 0.15 + 0.08 * smile, 0.02 + 0.09 * smile
    return curve((-half, MOUTH_Y - bend), (0, MOUTH_Y + bend / 2), (half, MOUTH_Y - bend))


def open_mouth(smile: float) -> np.ndarray:
    """The outline of an open mouth that hangs below `mouth(smile)`."""
    upper = mouth(smile)
    (right, corner), depth = upper[-1], 0.1 + 0.1 * smile
    lower = ellipse(0, corner, right, depth + MOUTH_Y - corner, 0, 180)
    return np.concatenate([upper, lower])


def brows() -> list[np.ndarray]:
    return both_sides(curve((0.17, -0.16), (0.34, -0.22), (0.52, -0.15)))


_CAP = symmetric((0, -1.1), (0.6, -0.96), (0.9, -0.45), (0.88, 0.1), (0.72, 0.42), (0, 0.42))
_BOB = symmetric(
    (0, -1.1), (0.6, -0.96), (0.92, -0.4), (0.98, 0.2), (1.02, 0.72), (0.72, 0.88), (0, 0.8)
)
_LONG = symmetric(
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

_BACK = {
    "short": [_CAP],
    "bob": [_BOB],
    "long": [_LONG],
    "bun": [ellipse(0, -1.14, 0.36, 0.32), _CAP],
    "twin tails": [*both_sides(_TAIL), _CAP],
    "spiky": [_SPIKES],
}


def back_hair(cut: str) -> list[np.ndarray]:
    """The outlines behind the head, back to front."""
    return _BACK[cut]


_CROWN = ellipse(0, -0.28, 0.85, 0.82, 180, 360)  # over the head from temple to temple
_HEM = {  # the lower edge of the fringe, from the right temple to the left one
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


def front_hair(fringe: str) -> np.ndarray:
    """The outline of the hair over the forehead."""
    return np.concatenate([_CROWN, _HEM[fringe]])
