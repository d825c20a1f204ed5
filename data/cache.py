"""Decoded and scaled images in memory, shared by all worker processes."""

import mmap
from collections.abc import Sequence

import numpy as np

Size = tuple[int, int]  # width, height in pixels


class ImageCache:
    """A place for the pixels of every image, filled as they are read for the first time.

    The memory is anonymous and shared: workers made by fork see what any of them has stored. A
    process that was not made by fork gets a cache without places, which never holds anything.
    ``levels`` is the type of the pixels, 8 or 16 bits.
    """

    def __init__(self, sizes: Sequence[Size], channels: int, levels: type = np.uint8):
        self.shapes = [(height, width, channels)[: 2 + (channels > 1)] for width, height in sizes]
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        self.places = [0, *ends.tolist()]
        self.nbytes = self.places[-1] * np.dtype(levels).itemsize  # when it is full
        self.pixels = np.frombuffer(mmap.mmap(-1, max(1, self.nbytes)), levels)
        self.is_stored = np.frombuffer(mmap.mmap(-1, max(1, len(sizes))), np.bool_)

    def get(self, index: int) -> np.ndarray | None:
        """The pixels of an image, (H, W) or (H, W, 3), if they are there."""
        if self.is_stored is None or not self.is_stored[index]:
            return None
        return self._place(index)

    def put(self, index: int, pixels: np.ndarray) -> None:
        """Store the pixels of an image; the mark comes last, so that nobody reads half of them."""
        if self.is_stored is not None and pixels.shape == self.shapes[index]:
            self._place(index)[:] = pixels
            self.is_stored[index] = True

    def _place(self, index: int) -> np.ndarray:
        first, end = self.places[index : index + 2]
        return self.pixels[first:end].reshape(self.shapes[index])

    def __getstate__(self) -> dict:
        return {**vars(self), "pixels": None, "is_stored": None}
