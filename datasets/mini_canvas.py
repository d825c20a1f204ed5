"""A small canvas for the mini dataset: rasterize shapes to anti-aliased masks, blend colors.

A mask is a (height, width) array of coverage in [0, 1]. A color is RGB in [0, 1]: one triple, or
an array of shape (height, width, 3).
"""

from __future__ import annotations

import colorsys
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mini_face import Face

OVERSAMPLING = 4  # masks are rasterized at this multiple of the image size, then reduced
UNIT = 0.32  # image widths per face unit, for a face of scale 1
CENTER = (0.5, 0.52)  # of an unshifted face, in image widths


def hsv_to_rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    """Convert one color; hues wrap around, saturation and value are capped at 1."""
    return np.array(colorsys.hsv_to_rgb(hue % 1, min(saturation, 1), min(value, 1)))


class Canvas:
    """A square image of `size` pixels with the pose (tilt, scale and position) of `face`."""

    def __init__(self, size: int, face: Face):
        self.size = size
        self.face = face
        self.pixels = np.zeros((size, size, 3))

        angle = math.radians(face.tilt)
        cos = math.cos(angle)
        sin = math.sin(angle)
        self.rotation = np.array([[cos, sin], [-sin, cos]])
        self.unit = size * UNIT * face.scale  # pixels per face unit
        self.center = size * (np.array(CENTER) + face.shift)
        self.x, self.y = self._pixel_positions()

    def _pixel_positions(self) -> tuple[np.ndarray, np.ndarray]:
        """Return x and y of every pixel in face units, so that shading rotates with the head."""
        rows, columns = np.mgrid[: self.size, : self.size] + 0.5
        offsets = np.stack([columns, rows], axis=2) - self.center
        x, y = np.moveaxis(offsets @ self.rotation.T / self.unit, 2, 0)
        return x, y

    def _to_mask_pixels(self, shape: np.ndarray) -> list[tuple[float, float]]:
        points = (shape @ self.rotation * self.unit + self.center) * OVERSAMPLING
        return [tuple(point) for point in points.tolist()]

    def _empty_mask(self) -> Image.Image:
        return Image.new("L", (self.size * OVERSAMPLING,) * 2)

    def fill(self, *shapes: np.ndarray, blur: float = 0) -> np.ndarray:
        """Return the mask of the interior of the shapes; `blur` (face units) softens the edge."""
        mask = self._empty_mask()
        for shape in shapes:
            ImageDraw.Draw(mask).polygon(self._to_mask_pixels(shape), fill=255)
        return self._finish_mask(mask, blur)

    def stroke(self, *shapes: np.ndarray, width: float, blur: float = 0) -> np.ndarray:
        """Return the mask of lines with round ends; `width` and `blur` in face units."""
        mask = self._empty_mask()
        draw = ImageDraw.Draw(mask)
        thickness = width * self.unit * OVERSAMPLING
        radius = thickness / 2

        for shape in shapes:
            points = self._to_mask_pixels(shape)
            draw.line(points, fill=255, width=max(1, round(thickness)), joint="curve")
            for x, y in (points[0], points[-1]):
                draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=255)
        return self._finish_mask(mask, blur)

    def _finish_mask(self, mask: Image.Image, blur: float) -> np.ndarray:
        mask = mask.reduce(OVERSAMPLING)
        if blur:
            mask = mask.filter(ImageFilter.GaussianBlur(blur * self.unit))
        return np.asarray(mask, dtype=float) / 255

    def paint(self, mask: np.ndarray, color: np.ndarray, opacity: float = 1) -> None:
        """Blend `color` over the image where `mask` is, with `opacity` in [0, 1]."""
        alpha = mask[..., None] * opacity
        self.pixels = self.pixels * (1 - alpha) + color * alpha

    def to_image(self) -> Image.Image:
        return Image.fromarray((self.pixels.clip(0, 1) * 255).round().astype(np.uint8))
