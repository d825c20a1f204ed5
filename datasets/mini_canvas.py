"""A small canvas for the mini set: shapes in face units become soft-edged masks, masks get paint.

A mask is an array of coverage, 0..1, of height × width; a paint is one RGB colour (0..1 each) or
an array of height × width × 3.
"""

from __future__ import annotations

import colorsys
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mini_face import Face

OVERSAMPLING = 4  # masks are drawn this much larger, which smooths their edges
UNIT = 0.32  # picture widths per face unit, for a face of scale 1


def rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    """The colour as RGB, 0..1; hues wrap around, the others are cut at 0 and 1."""
    return np.array(colorsys.hsv_to_rgb(hue % 1, min(saturation, 1), min(value, 1)))


class Canvas:
    """A square picture of `size` pixels, posed like `face`."""

    def __init__(self, size: int, face: Face):
        self.size, self.face = size, face
        self.pixels = np.zeros((size, size, 3))
        self.unit = size * UNIT * face.scale  # pixels per face unit
        turn = math.radians(face.tilt)
        self.turn = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
        self.centre = size * (np.array([0.5, 0.52]) + face.shift)
        self.x, self.y = self._face_units()

    def _face_units(self) -> tuple[np.ndarray, np.ndarray]:
        """Where every pixel lies on the face: x and y, so that shading turns with the head."""
        rows, columns = np.mgrid[: self.size, : self.size] + 0.5
        offsets = np.stack([columns, rows], axis=2) - self.centre
        x, y = np.moveaxis(offsets @ self.turn.T / self.unit, 2, 0)
        return x, y

    def _place(self, shape: np.ndarray) -> list[tuple[float, float]]:
        points = (shape @ self.turn * self.unit + self.centre) * OVERSAMPLING
        return [tuple(point) for point in points.tolist()]

    def _sheet(self) -> Image.Image:
        return Image.new("L", (self.size * OVERSAMPLING,) * 2)

    def fill(self, *shapes: np.ndarray, blur: float = 0) -> np.ndarray:
        """The mask of the shapes' insides; `blur` (face units) softens the edge."""
        sheet = self._sheet()
        for shape in shapes:
            ImageDraw.Draw(sheet).polygon(self._place(shape), fill=255)
        return self._mask(sheet, blur)

    def stroke(self, *shapes: np.ndarray, width: float, blur: float = 0) -> np.ndarray:
        """The mask of round-ended lines along the shapes; `width` and `blur` in face units."""
        sheet, thick = self._sheet(), width * self.unit * OVERSAMPLING
        pen = ImageDraw.Draw(sheet)
        for shape in shapes:
            points = self._place(shape)
            pen.line(points, fill=255, width=max(1, round(thick)), joint="curve")
            for x, y in (points[0], points[-1]):
                pen.ellipse([x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2], fill=255)
        return self._mask(sheet, blur)

    def _mask(self, sheet: Image.Image, blur: float) -> np.ndarray:
        sheet = sheet.reduce(OVERSAMPLING)
        if blur:
            sheet = sheet.filter(ImageFilter.GaussianBlur(blur * self.unit))
        return np.asarray(sheet, dtype=float) / 255

    def paint(self, mask: np.ndarray, paint: np.ndarray, strength: float = 1) -> None:
        """Lays `paint` over the picture where `mask` is; `strength` 0..1 is its opacity."""
        cover = mask[..., None] * strength
        self.pixels = self.pixels * (1 - cover) + paint * cover

    def image(self) -> Image.Image:
        return Image.fromarray((self.pixels.clip(0, 1) * 255).round().astype(np.uint8))
