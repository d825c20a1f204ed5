"""One side of a data set: image files → tensors."""

import random
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from data import transforms
from data.cache import ImageCache, Size
from data.image_io import extensions, image_sizes, list_images, read_image
from data.resources import free_memory
from data.transforms import get_preprocess
from distributed.context import get_world
from util.errors import UserError

MAX_BROKEN_FRACTION = 0.1  # share of the images of a folder that may be broken
STRICT = "mend or remove the file, or leave out --strict_data"


class ImageReader:
    """Reads the images ``files`` as the options say; checks all of them when it is made.

    ``half`` 0 or 1 takes the left or right half of each file for the image.

    ``channels`` is 1 for gray or 3 for color. Files that cannot be read are left out and noted in
    ``broken``. Raises `UserError` for images smaller than the square to be cut from them, if
    more than a tenth of the files is broken, and with ``--strict_data`` for the first such file.
    """

    def __init__(
        self, files: Sequence[Path], channels: int, opt: Namespace, half: int | None = None
    ):
        self.half = half
        self.strict = opt.strict_data
        self.replaces = opt.isTrain  # a broken image by the next one; a test leaves it out
        self.broken: dict[str, str] = {}  # file → what is wrong
        self.folder, self.files = files[0].parent, len(files)
        found = self._readable(files, opt.max_dataset_size)
        self.paths = [path for path, _ in found]
        self.own_sizes = [self._own(size) for _, size in found]  # as seen, before any scaling
        self.grayscale, self.bit_depth = channels == 1, opt.bit_depth
        self.flips = not opt.no_flip
        self.settings = {
            "preprocess": opt.preprocess, "load_size": opt.load_size, "crop_size": opt.crop_size
        }  # fmt: skip
        self.mode = get_preprocess(opt.preprocess, keep_size=not opt.isTrain and opt.keep_size)
        self._check(self.own_sizes)
        self.sizes = [
            self.mode.scaled(size, opt.load_size, opt.crop_size) for size in self.own_sizes
        ]
        self.channels, self.levels = channels, np.uint8 if opt.bit_depth == 8 else np.uint16
        self.pixel_bytes = channels * (1 if opt.bit_depth == 8 else 4)  # as handed over
        self.cache: ImageCache | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int, rng: random.Random) -> tuple[Tensor, str]:
        """Image ``index``, (C, H, W) of `crop_and_flip`, and its file; ``rng`` decides how it is cut.

        While training, the next image stands in for one that turns out to be broken inside.
        Otherwise, and with ``--strict_data``, it raises `UserError`.
        """
        for at in (*range(index, len(self)), *range(index)):
            try:
                pixels = self._pixels(at)
                break
            except UserError as error:
                self.broken[str(self.paths[at])] = str(error)
                if self.strict:
                    raise UserError(f"{error}; {STRICT}") from None
                if not self.replaces:
                    raise
        else:
            raise UserError(f"no image in {self.folder} can be read; mend or replace them")
        crop_size = self.settings["crop_size"] if self.mode.crops else None
        height, width = pixels.shape[:2]
        chance = transforms.get_params((width, height), rng, crop_size=crop_size, flips=self.flips)
        return transforms.crop_and_flip(pixels, chance, crop_size), str(self.paths[at])

    def refuse_many_broken(self) -> None:
        """Raise `UserError` if more than a tenth of the files is in ``broken``."""
        if len(self.broken) > self.files * MAX_BROKEN_FRACTION:
            reason, count = next(iter(self.broken.values())), f"{len(self.broken)} of {self.files}"
            if self.files == 1:
                raise UserError(f"{reason}; mend or replace the file")
            raise UserError(f"{reason}; {count} files in {self.folder} broken: mend or remove them")

    def _pixels(self, index: int) -> np.ndarray:
        pixels = self.cache.get(index) if self.cache else None
        if pixels is None:
            image = crop_half(read_image(self.paths[index], self.bit_depth), self.half)
            pixels = transforms.scale(image, grayscale=self.grayscale, **self.settings)
            if self.cache:
                self.cache.put(index, pixels)
        return pixels

    def _readable(self, files: Sequence[Path], limit: float) -> list[tuple[Path, Size]]:
        """The first ``limit`` files that can be read, with their sizes; notes the others."""
        good: list[tuple[Path, Size]] = []
        first = 0
        while len(good) < limit and first < len(files):
            some = files[first : first + int(min(limit - len(good), len(files)))]
            first += len(some)
            for path, size in zip(some, image_sizes(some), strict=True):
                if not isinstance(size, UserError):
                    good.append((path, size))
                    continue
                if self.strict:
                    raise UserError(f"{size}; {STRICT}")
                self.broken[str(path)] = str(size)
        self.refuse_many_broken()
        return good

    def _own(self, size: Size) -> Size:
        return size if self.half is None else (size[0] // 2, size[1])

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of what `read` returns."""
        return (self.settings["crop_size"],) * 2 if self.mode.crops else self.sizes[index]

    @property
    def largest(self) -> int:
        """The most bytes that an image takes as `read` returns it."""
        sizes = map(self.size, range(len(self)))
        return max(width * height for width, height in sizes) * self.pixel_bytes

    @property
    def cache_bytes(self) -> int:
        """What it takes to keep all scaled images."""
        pixels = sum(width * height for width, height in self.sizes)
        return pixels * self.channels * np.dtype(self.levels).itemsize

    def open_cache(self) -> None:
        """From now on, keep scaled images in memory for the next epoch."""
        self.cache = ImageCache(self.sizes, self.channels, self.levels)

    def _check(self, sizes: list[Size]) -> None:
        crop_size, preprocess = self.settings["crop_size"], self.settings["preprocess"]
        small = [pair for pair in zip(sizes, self.paths, strict=True) if min(pair[0]) < crop_size]
        if preprocess == "crop" and self.mode.crops and small:
            (width, height), path = min(small)
            raise UserError(
                f"--crop_size {crop_size}: {len(small)} of {len(sizes)} images are smaller "
                f"(as {path}, {width}×{height}); lower it or use --preprocess resize_and_crop"
            )


def allocate_caches(readers: Sequence[ImageReader]) -> None:
    """A cache for each reader in turn that together fit into half of the memory that is free."""
    left = free_memory() / 2 / get_world().local_size  # every process of the job here has its own
    for reader in readers:
        if reader.cache_bytes <= left:
            reader.open_cache()
            left -= reader.cache_bytes


def side_channels(opt: Namespace) -> tuple[int, int]:
    """How many channels the images of A and B have: what goes in is A, or B for ``BtoA``."""
    channels = (opt.input_nc, opt.output_nc)
    return channels if opt.direction == "AtoB" else channels[::-1]


def generator_input_channels(opt: Namespace) -> int:
    """How many channels the images have that ``--model test`` takes."""
    return opt.output_nc if opt.backward else opt.input_nc


def crop_half(image: Image.Image, half: int | None) -> Image.Image:
    """The left (0) or right (1) half, without the middle of an odd width; all of it for None."""
    if half is None:
        return image
    width, height = image.width // 2, image.height
    left = half * (image.width - width)
    return image.crop((left, 0, left + width, height))


def find_images(folder: Path, remedy: str) -> list[Path]:
    """The images of ``folder``. Raises `UserError` with ``remedy`` if there are none."""
    try:
        if not folder.is_dir():
            raise UserError(f"{folder} is {_what_instead(folder)}; {remedy}")
        paths = list_images(folder)
        if not paths:
            raise UserError(f"{folder} holds no images ({_content(folder)}); {remedy}")
    except OSError as error:
        where = error.filename or folder
        raise UserError(f"{where} cannot be read: {error.strerror or error}; {remedy}") from None
    return paths


def _what_instead(folder: Path) -> str:
    if folder.exists():
        return "a file, not a folder"
    return "a link to nothing" if folder.is_symlink() else "missing"


def _content(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    if not names:
        return "it is empty"
    some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"found {some}, none of a kind that Pillow reads, as {', '.join(_usual())}"


def _usual() -> list[str]:
    return sorted({".png", ".jpg", ".webp", ".tiff", ".bmp"} & extensions())
