"""One side of a data set: picture files → tensors."""

import random
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from data import transforms
from data.cache import PictureCache, fits_in_memory
from data.pictures import extensions, list_pictures, picture_sizes, read_picture
from data.transforms import PREPROCESS
from util.errors import UserError


class PictureReader:
    """Reads the pictures ``paths`` as the options say; checks all of them when it is made.

    ``channels`` is 1 for grey or 3 for colour. Scaled pictures are kept in memory for the next
    epoch if they fit (``--cache``). Raises `UserError` for a file that is no picture and for
    pictures smaller than the square to be cut from them.
    """

    def __init__(self, paths: Sequence[Path], channels: int, opt: Namespace):
        self.paths = paths
        self.grayscale = channels == 1
        self.flips = not opt.no_flip
        self.settings = {
            "preprocess": opt.preprocess, "load_size": opt.load_size, "crop_size": opt.crop_size
        }  # fmt: skip
        self.mode = PREPROCESS[opt.preprocess]
        sizes = picture_sizes(paths)
        self._check(sizes)
        self.sizes = [self.mode.scaled(size, opt.load_size, opt.crop_size) for size in sizes]
        self.cache = self._open_cache(channels) if opt.isTrain and opt.cache == "auto" else None

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int, rng: random.Random) -> Tensor:
        """Picture ``index`` as (C, H, W) in [-1, 1]; ``rng`` decides on cut and mirror."""
        pixels = self.cache.get(index) if self.cache else None
        if pixels is None:
            picture = read_picture(self.paths[index])
            pixels = transforms.scale(picture, grayscale=self.grayscale, **self.settings)
            if self.cache:
                self.cache.put(index, pixels)
        crop_size = self.settings["crop_size"] if self.mode.crops else None
        height, width = pixels.shape[:2]
        chance = transforms.draw((width, height), rng, crop_size=crop_size, flips=self.flips)
        return transforms.cut(pixels, chance, crop_size)

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of what `read` returns."""
        return (self.settings["crop_size"],) * 2 if self.mode.crops else self.sizes[index]

    def _check(self, sizes: list[tuple[int, int]]) -> None:
        crop_size, preprocess = self.settings["crop_size"], self.settings["preprocess"]
        small = [pair for pair in zip(sizes, self.paths, strict=True) if min(pair[0]) < crop_size]
        if preprocess == "crop" and small:
            (width, height), path = min(small)
            raise UserError(
                f"--crop_size {crop_size}: {len(small)} of {len(sizes)} pictures are smaller "
                f"(as {path}, {width}×{height}); lower it or use --preprocess resize_and_crop"
            )

    def _open_cache(self, channels: int) -> PictureCache | None:
        nbytes = sum(width * height * channels for width, height in self.sizes)
        return PictureCache(self.sizes, channels) if fits_in_memory(nbytes) else None


def find_pictures(folder: Path, limit: float, remedy: str) -> list[Path]:
    """The first ``limit`` pictures of ``folder``. Raises `UserError` with ``remedy`` if none."""
    if not folder.is_dir():
        kind = "a file, not a folder" if folder.exists() else "missing"
        raise UserError(f"{folder} is {kind}; {remedy}")
    try:
        paths = list_pictures(folder)
        if not paths:
            raise UserError(f"{folder} holds no pictures ({_content(folder)}); {remedy}")
    except PermissionError:
        raise UserError(f"{folder} cannot be read: no permission; {remedy}") from None
    return paths if len(paths) <= limit else paths[: int(limit)]


def _content(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    if not names:
        return "it is empty"
    some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"found {some}, none of a kind that Pillow reads, as {', '.join(_usual())}"


def _usual() -> list[str]:
    return sorted({".png", ".jpg", ".webp", ".tiff", ".bmp"} & extensions())
