"""A cache of scaled images in memory that all dataloader workers share."""

import mmap
from collections.abc import Sequence

import torch
from torch import Tensor

Size = tuple[int, int]  # width, height in pixels


class ImageCache:
    """Memory for the pixels of every image, filled when an image is read for the first time.

    The memory is anonymous and shared: workers started by fork see what any of them has stored.
    Unpickled in another process, for example a worker started by spawn, the cache stays empty.
    ``dtype`` is that of the pixels, uint8 or uint16.
    """

    def __init__(self, sizes: Sequence[Size], channels: int, dtype: torch.dtype = torch.uint8):
        self.shapes = [(channels, height, width) for width, height in sizes]
        self.offsets = [0]
        for width, height in sizes:
            self.offsets.append(self.offsets[-1] + channels * height * width)

        self.nbytes = self.offsets[-1] * dtype.itemsize  # when full
        self.pixels: Tensor | None = _shared_tensor(self.nbytes, dtype)
        self.is_stored: Tensor | None = _shared_tensor(len(sizes), torch.bool)

    def get(self, index: int) -> Tensor | None:
        """Return the pixels (C, H, W) of an image, or None if they are not stored yet."""
        if self.pixels is None or self.is_stored is None or not self.is_stored[index]:
            return None
        return self._slot(self.pixels, index)

    def put(self, index: int, pixels: Tensor) -> None:
        """Store the pixels (C, H, W) of an image; others are ignored if their shape differs."""
        if self.pixels is None or self.is_stored is None or pixels.shape != self.shapes[index]:
            return
        self._slot(self.pixels, index).copy_(pixels)
        self.is_stored[index] = True  # last, so that no process reads half an image

    def _slot(self, pixels: Tensor, index: int) -> Tensor:
        first, end = self.offsets[index : index + 2]
        return pixels[first:end].view(self.shapes[index])

    def __getstate__(self) -> dict:
        return {**vars(self), "pixels": None, "is_stored": None}


def _shared_tensor(nbytes: int, dtype: torch.dtype) -> Tensor:
    """Allocate ``nbytes`` of shared memory, filled with zeros."""
    return torch.frombuffer(mmap.mmap(-1, max(dtype.itemsize, nbytes)), dtype=dtype)
