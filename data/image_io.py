"""Image files as a person sees them."""

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from util.errors import UserError

EXIF_ORIENTATION = 0x0112
TIFF_WIDTH, TIFF_HEIGHT = 0x0100, 0x0101
ENDS = {".png": b"IEND", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}
#: how parts of a PNG begin that may say how it is turned: name, or name and title
TURNS = (
    b"eXIf",
    b"iTXtXML:com.adobe.xmp",
    b"zTXtRaw profile type exif",
    b"tEXtRaw profile type exif",
)
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
# An image is read or it is refused; what Pillow remarks on the way would only disturb the output.
warnings.filterwarnings("ignore", module=r"PIL\.")


@cache
def extensions() -> frozenset[str]:
    """The file name endings, lower case with a dot, of all formats that Pillow reads here."""
    known = Image.registered_extensions()
    return frozenset(ending for ending, kind in known.items() if kind in Image.OPEN)


def list_images(folder: Path) -> list[Path]:
    """All images in ``folder`` and below, hidden files and folders left out, in a fixed order.

    Links to nothing are among them, to be found broken. Raises OSError for a folder that is there
    but cannot be read.
    """
    found: list[Path] = []
    for at, folders, names in os.walk(folder, onerror=_unless_missing):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(at, name) for name in names if not name.startswith(".")]
        found += [path for path in paths if path.suffix.lower() in extensions() and _is_file(path)]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def _is_file(path: Path) -> bool:
    """Not for sockets, pipes and devices."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def read_image(path: Path, bit_depth: int = 8) -> Image.Image:
    """The image in ``path``, upright, then `to_rgb_or_gray`; if it cannot be read, a `UserError`."""
    try:
        # By name, Pillow maps a TIFF file into memory, and garbles one that lies on its side.
        with path.open("rb") as content, Image.open(content) as file:
            image = ImageOps.exif_transpose(file)
            image.load()
            return to_rgb_or_gray(image, bit_depth)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except Exception as error:  # Pillow's decoders raise almost anything on broken files
        raise UserError(f"{path} cannot be read as an image: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """What is wrong with a file, without its name."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is not an image"
    if isinstance(error, Image.DecompressionBombError):
        return f"it claims more than {2 * Image.MAX_IMAGE_PIXELS / 1e6:.0f} million pixels"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def to_rgb_or_gray(image: Image.Image, bit_depth: int = 8) -> Image.Image:
    """``image`` opaque, 8 bits a channel, mode ``L`` or ``RGB``; or 16-bit gray, mode ``I;16``.

    Transparent parts show white. Values are scaled to the other depth, not clipped; of unknown
    scale they raise `UserError`.
    """
    if is_high_bit_depth(image):
        return _to_levels(image, bit_depth)
    if bit_depth == 16:
        return Image.fromarray(
            np.asarray(to_rgb_or_gray(image).convert("L"), dtype=np.uint16) * 257
        )
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def is_high_bit_depth(image: Image.Image) -> bool:
    """Whether it is gray with more than 8 bits a pixel."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _to_levels(image: Image.Image, bit_depth: int) -> Image.Image:
    """Gray values of 0…65535 (integers) or 0…1 (floating point) to 8 or 16 bits, rounded."""
    if image.mode == "I;16" and bit_depth == 16:
        return image
    values = np.asarray(image, dtype=np.float64)
    top = 1.0 if image.mode == "F" else 65535.0
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= top):
        raise UserError(
            f"its values run from {low:g} to {high:g}, expected 0 to {top:g}; rescale the file"
        )
    highest, levels = (255, np.uint8) if bit_depth == 8 else (65535, np.uint16)
    return Image.fromarray(np.rint(values * (highest / top)).astype(levels))


def image_size(path: Path) -> tuple[int, int]:
    """Width and height as a person sees them. Raises `UserError` for a file that is no image.

    Only the head of the file is decoded, and its end is looked at: a file that was cut short is
    found here, not in the middle of a run. So are values of unknown scale.
    """
    try:
        with Image.open(path) as file:
            width, height = _stored_size(file)
            has_scale = file.mode not in ("I", "F")
            # Of a PNG without EXIF, Pillow would decode all of it to look behind the pixels.
            if file.format == "PNG" and _turns_behind_pixels(path):
                file.load()
            turned = Image.Image.getexif(file).get(EXIF_ORIENTATION) in SIDEWAYS
    except Exception as error:  # as above
        raise UserError(f"{path} cannot be read as an image: {_reason(error)}") from None
    if not has_scale or not _seems_whole(path):
        read_image(path)
    return (height, width) if turned else (width, height)


def _turns_behind_pixels(path: Path) -> bool:
    """Whether a PNG may say only after its pixels how it is turned, as ExifTool writes it."""
    at, behind = 8, False
    with path.open("rb", buffering=0) as file:  # of each part its head only, not what follows
        while file.seek(at) and len(head := file.read(32)) >= 8:
            behind = behind or head[4:8] == b"IDAT"
            if behind and head[4:].startswith(TURNS):
                return True
            at += 12 + int.from_bytes(head[:4], "big")
    return False


def _stored_size(file: Image.Image) -> tuple[int, int]:
    """Width and height of the rows in the file; for TIFF, new Pillows have turned them already."""
    if file.format == "TIFF":
        return file.tag_v2[TIFF_WIDTH], file.tag_v2[TIFF_HEIGHT]
    return file.size


def _seems_whole(path: Path) -> bool:
    """Whether the last 64 bytes hold the mark with which a PNG or JPEG ends, or it is neither."""
    end = ENDS.get(path.suffix.lower())
    if end is None:
        return True
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64))
        return end in file.read()


def image_sizes(paths: Sequence[Path]) -> list[tuple[int, int] | UserError]:
    """`image_size` of many files at once, or what is wrong; waiting for the disk overlaps."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        return list(pool.map(_size_or_error, paths))


def _size_or_error(path: Path) -> tuple[int, int] | UserError:
    try:
        return image_size(path)
    except UserError as error:
        return error
