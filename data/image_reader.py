"""One domain of a dataset: image files → pixels."""

import random
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from data import transforms
from data.cache import ImageCache, Size
from data.image_io import extensions, image_sizes, list_images, read_image
from data.resources import free_memory
from data.transforms import get_preprocess
from distributed.context import get_world
from util.errors import UserError

MAX_BROKEN_FRACTION = 0.1  # of the images in a folder
MAX_CACHE_FRACTION = 0.5  # of the free memory
STRICT_REMEDY = "fix or remove the file, or omit --strict_data"
COMMON_EXTENSIONS = {".png", ".jpg", ".webp", ".tiff", ".bmp"}


class ImageReader:
    """Reads and transforms the images ``files`` as the options say.

    ``channels`` is 1 for gray or 3 for color; ``half`` 0 or 1 selects the left or right half of
    each file. All files are checked on construction; those that cannot be read are skipped and
    recorded in ``broken``. Raises `UserError` for images smaller than the crop, if more than a
    tenth of the files are broken, and with ``--strict_data`` for the first broken file.
    """

    def __init__(
        self, files: Sequence[Path], channels: int, opt: Namespace, half: int | None = None
    ):
        self.half = half
        self.channels = channels
        self.grayscale = channels == 1
        self.bit_depth = opt.bit_depth
        self.dtype = torch.uint8 if opt.bit_depth == 8 else torch.uint16
        self.bytes_per_pixel = channels * self.dtype.itemsize  # as returned by `read`
        self.strict = opt.strict_data
        self.replaces_broken = opt.isTrain  # by the next image; a test skips the item
        self.cache: ImageCache | None = None

        self.flips = not opt.no_flip
        self.mode = get_preprocess(opt.preprocess, getattr(opt, "keep_size", False))
        self.crop_size = opt.crop_size if self.mode.crops else None
        self.scaling = {
            "preprocess": opt.preprocess,
            "load_size": opt.load_size,
            "crop_size": opt.crop_size,
            "grayscale": self.grayscale,
        }

        self.folder = files[0].parent
        self.num_files = len(files)
        self.broken: dict[str, str] = {}  # path → reason
        readable = self._find_readable(files, opt.max_dataset_size)
        self.paths = [path for path, _ in readable]
        self.original_sizes = [self._half_size(size) for _, size in readable]
        self._check_crop_fits(opt)
        self.scaled_sizes = [
            self.mode.scaled(size, opt.load_size, opt.crop_size) for size in self.original_sizes
        ]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int, rng: random.Random) -> tuple[Tensor, str]:
        """Load image ``index``, crop and flip it at random, and return it with its path.

        The pixels are uint8 or uint16, (C, H, W). In training, the next image replaces one that
        turns out to be broken. Otherwise, and with ``--strict_data``, raises `UserError`.
        """
        position, pixels = self._load_or_replace(index)
        size = pixels.shape[2], pixels.shape[1]

        params = transforms.get_params(size, rng, crop_size=self.crop_size, flips=self.flips)
        pixels = transforms.crop_and_flip(pixels, params, self.crop_size).contiguous()
        return pixels, str(self.paths[position])

    def _load_or_replace(self, index: int) -> tuple[int, Tensor]:
        """Load image ``index`` or, where allowed, the next readable one; return its index too."""
        for position in (*range(index, len(self)), *range(index)):
            try:
                return position, self._load_scaled(position)
            except UserError as error:
                self.broken[str(self.paths[position])] = str(error)
                if self.strict:
                    raise UserError(f"{error}; {STRICT_REMEDY}") from None
                if not self.replaces_broken:
                    raise

        raise UserError(f"no image in {self.folder} can be read; fix or replace them")

    def _load_scaled(self, index: int) -> Tensor:
        """Return the scaled pixels (C, H, W) from the cache or the file."""
        pixels = self.cache.get(index) if self.cache else None
        if pixels is None:
            image = crop_half(read_image(self.paths[index], self.bit_depth), self.half)
            pixels = F.pil_to_tensor(transforms.scale(image, **self.scaling))
            if self.cache:
                self.cache.put(index, pixels)
        return pixels

    def check_broken_fraction(self) -> None:
        """Raise `UserError` if more than a tenth of the files are ``broken``."""
        if len(self.broken) <= self.num_files * MAX_BROKEN_FRACTION:
            return

        reason = next(iter(self.broken.values()))
        if self.num_files == 1:
            raise UserError(f"{reason}; fix or replace the file")
        count = f"{len(self.broken)} of {self.num_files}"
        raise UserError(f"{reason}; {count} files in {self.folder} broken: fix or remove them")

    def _find_readable(self, files: Sequence[Path], limit: float) -> list[tuple[Path, Size]]:
        """Return the first ``limit`` readable files with their sizes; record the broken ones."""
        readable: list[tuple[Path, Size]] = []
        first = 0
        while len(readable) < limit and first < len(files):
            chunk = files[first : first + int(min(limit - len(readable), len(files)))]
            first += len(chunk)

            for path, size in zip(chunk, image_sizes(chunk), strict=True):
                if not isinstance(size, UserError):
                    readable.append((path, size))
                    continue
                if self.strict:
                    raise UserError(f"{size}; {STRICT_REMEDY}")
                self.broken[str(path)] = str(size)

        self.check_broken_fraction()
        return readable

    def _half_size(self, size: Size) -> Size:
        return size if self.half is None else (size[0] // 2, size[1])

    def output_size(self, index: int) -> Size:
        """Return width and height of what `read` returns."""
        if self.crop_size is not None:
            return self.crop_size, self.crop_size
        return self.scaled_sizes[index]

    @property
    def max_image_bytes(self) -> int:
        """The size of the largest image that `read` returns."""
        sizes = map(self.output_size, range(len(self)))
        return max(width * height for width, height in sizes) * self.bytes_per_pixel

    @property
    def cache_bytes(self) -> int:
        """The memory needed to cache all scaled images."""
        pixels = sum(width * height for width, height in self.scaled_sizes)
        return pixels * self.channels * self.dtype.itemsize

    def enable_cache(self) -> None:
        """Keep scaled images in memory from now on."""
        self.cache = ImageCache(self.scaled_sizes, self.channels, self.dtype)

    def _check_crop_fits(self, opt: Namespace) -> None:
        """Raise `UserError` if images that are cropped without scaling are too small."""
        if opt.preprocess != "crop" or self.crop_size is None:
            return
        pairs = zip(self.original_sizes, self.paths, strict=True)
        small = [pair for pair in pairs if min(pair[0]) < opt.crop_size]

        if small:
            (width, height), path = min(small)
            raise UserError(
                f"--crop_size {opt.crop_size}: {len(small)} of {len(self)} images are smaller "
                f"(as {path}, {width}×{height}); lower it or use --preprocess resize_and_crop"
            )


def allocate_caches(readers: Sequence[ImageReader]) -> None:
    """Enable the caches that together fit into half of the free memory, first come, first served.

    The processes on this machine share it, as each has caches of its own.
    """
    left = free_memory() * MAX_CACHE_FRACTION / get_world().local_size

    for reader in readers:
        if reader.cache_bytes <= left:
            reader.enable_cache()
            left -= reader.cache_bytes


def side_channels(opt: Namespace) -> tuple[int, int]:
    """Return the channels of the images in A and B; ``--input_nc`` is B's with ``BtoA``."""
    channels = (opt.input_nc, opt.output_nc)
    return channels if opt.direction == "AtoB" else channels[::-1]


def generator_input_channels(opt: Namespace) -> int:
    """Return the channels of the images that ``--model test`` translates."""
    return opt.output_nc if opt.backward else opt.input_nc


def crop_half(image: Image.Image, half: int | None) -> Image.Image:
    """Return the left (0) or right (1) half, or the whole image for None.

    The middle column of an odd width belongs to neither half.
    """
    if half is None:
        return image
    width = image.width // 2
    left = half * (image.width - width)
    return image.crop((left, 0, left + width, image.height))


def find_images(folder: Path, remedy: str) -> list[Path]:
    """List the images of ``folder``. Raises `UserError` with ``remedy`` if there are none."""
    try:
        if not folder.is_dir():
            raise UserError(f"{folder} is {_describe_non_folder(folder)}; {remedy}")
        paths = list_images(folder)
        if not paths:
            raise UserError(f"{folder} holds no images ({_describe_content(folder)}); {remedy}")
    except OSError as error:
        where = error.filename or folder
        raise UserError(f"{where} cannot be read: {error.strerror or error}; {remedy}") from None
    return paths


def _describe_non_folder(path: Path) -> str:
    if path.exists():
        return "a file, not a folder"
    return "a link to nothing" if path.is_symlink() else "missing"


def _describe_content(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    if not names:
        return "it is empty"

    found = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    readable = ", ".join(sorted(COMMON_EXTENSIONS & extensions()))
    return f"found {found}, none of a format that Pillow reads, such as {readable}"
