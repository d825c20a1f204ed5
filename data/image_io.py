"""Image files: find them, check them quickly, and read them upright and opaque."""

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from util.errors import UserError

EXIF_ORIENTATION = 0x0112
TRANSPOSED_ORIENTATIONS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
TIFF_WIDTH = 0x0100
TIFF_HEIGHT = 0x0101
NUM_SCAN_THREADS = 16
#: how files of these formats end; the markers are searched in the last bytes of the file
END_MARKERS = {".png": b"IEND", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}
END_MARKER_BYTES = 64
#: how PNG chunks begin that may hold an orientation: type, or type and keyword
PNG_ORIENTATION_CHUNKS = (
    b"eXIf",
    b"iTXtXML:com.adobe.xmp",
    b"zTXtRaw profile type exif",
    b"tEXtRaw profile type exif",
)
MAX_PIXELS_PER_BYTE = 5000  # of the compressions below; LZW, the strongest, reaches 1400
BOUNDED_COMPRESSIONS = ("raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate")

# An image is either read or refused; warnings of Pillow in between would only clutter the output.
warnings.filterwarnings("ignore", module=r"PIL\.")


@cache
def extensions() -> frozenset[str]:
    """Return the lower-case file extensions, with a dot, of all formats that Pillow reads here."""
    known = Image.registered_extensions()
    return frozenset(extension for extension, name in known.items() if name in Image.OPEN)


def list_images(folder: Path) -> list[Path]:
    """List all images in ``folder`` and below in a fixed order, without hidden files and folders.

    Includes dangling links, which are reported as broken later; a missing folder gives an empty
    list. Raises OSError for an existing folder that cannot be read.
    """
    found: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=_raise_unless_missing):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(root, name) for name in names if not name.startswith(".")]
        found += [path for path in paths if path.suffix.lower() in extensions() and _is_file(path)]

    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def _is_file(path: Path) -> bool:
    """Accept files and dangling links, but no sockets, pipes or devices."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def read_image(path: Path, bit_depth: int = 8) -> Image.Image:
    """Read the image in ``path``, upright, converted by `to_rgb_or_gray`.

    Raises `UserError` if it cannot be read.
    """
    try:
        # Opened by name, Pillow maps a TIFF file into memory, and garbles one with an orientation.
        with path.open("rb") as content, Image.open(content) as file:
            _check_claimed_size(file, path)
            image = ImageOps.exif_transpose(file)
            image.load()
            return to_rgb_or_gray(image, bit_depth)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except Exception as error:  # Pillow's decoders raise almost anything on broken files
        raise UserError(f"{path} cannot be read as an image: {_reason(error)}") from None


def _check_claimed_size(file: Image.Image, path: Path) -> None:
    """Raise ValueError for a TIFF or GIF header with more pixels than the file can hold.

    Decoding such a file would allocate memory for all of them first.
    """
    is_bounded = file.format == "GIF" or (
        file.format == "TIFF" and file.info.get("compression") in BOUNDED_COMPRESSIONS
    )
    pixels = file.width * file.height
    if is_bounded and pixels > MAX_PIXELS_PER_BYTE * path.stat().st_size:
        raise ValueError(f"it claims {pixels / 1e6:.1f} million pixels, the file is too short")


def _reason(error: Exception) -> str:
    """Say what is wrong with a file, without its name."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is not an image"
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"it claims more than {limit / 1e6:.0f} million pixels"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def to_rgb_or_gray(image: Image.Image, bit_depth: int = 8) -> Image.Image:
    """Convert ``image`` to opaque 8-bit mode ``L`` or ``RGB``, or to 16-bit gray, mode ``I;16``.

    Transparent areas become white. Values are rescaled to the other bit depth, not clipped. Raises
    `UserError` for values of unknown range.
    """
    if is_high_bit_depth(image):
        return _quantize(image, bit_depth)
    if bit_depth == 16:
        levels = np.asarray(to_rgb_or_gray(image).convert("L"), dtype=np.uint16) * 257
        return Image.fromarray(levels)

    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def is_high_bit_depth(image: Image.Image) -> bool:
    """Return whether ``image`` is gray with more than 8 bits per pixel."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _quantize(image: Image.Image, bit_depth: int) -> Image.Image:
    """Round gray values in 0…65535 (integers) or 0…1 (floating point) to 8 or 16 bits."""
    if image.mode == "I;16" and bit_depth == 16:
        return image

    values = np.asarray(image, dtype=np.float64)
    top = 1.0 if image.mode == "F" else 65535.0
    low = values.min()
    high = values.max()
    if not (low >= 0 and high <= top):
        raise UserError(
            f"its values run from {low:g} to {high:g}, expected 0 to {top:g}; rescale the file"
        )

    levels = np.rint(values * ((2**bit_depth - 1) / top))
    return Image.fromarray(levels.astype(np.uint8 if bit_depth == 8 else np.uint16))


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height of the upright image in ``path``.

    Decodes the header only, and looks for the end marker, so that truncated files are found before
    a run starts. Gray files with values of unknown range are read in full. Raises `UserError` if
    the file is not an image.
    """
    try:
        with Image.open(path) as file:
            _check_claimed_size(file, path)
            width, height = _stored_size(file)
            has_known_range = file.mode not in ("I", "F")
            # `PngImageFile.getexif` decodes every PNG without EXIF: 1.9 ms for 256×256, not 0.04.
            if file.format == "PNG" and _has_late_orientation(path):
                file.load()
            orientation = Image.Image.getexif(file).get(EXIF_ORIENTATION)
    except Exception as error:  # as above
        raise UserError(f"{path} cannot be read as an image: {_reason(error)}") from None

    if not has_known_range or not _has_end_marker(path):
        read_image(path)
    return (height, width) if orientation in TRANSPOSED_ORIENTATIONS else (width, height)


def _has_late_orientation(path: Path) -> bool:
    """Return whether a PNG may hold its orientation after the pixels, as ExifTool writes it."""
    position = 8  # after the signature
    after_pixels = False
    with path.open("rb", buffering=0) as file:  # unbuffered: only the first bytes of each chunk
        while file.seek(position) and len(head := file.read(32)) >= 8:
            after_pixels = after_pixels or head[4:8] == b"IDAT"
            if after_pixels and head[4:].startswith(PNG_ORIENTATION_CHUNKS):
                return True

            position += 12 + int.from_bytes(head[:4], "big")  # length, type, content, checksum
    return False


def _stored_size(file: Image.Image) -> tuple[int, int]:
    """Return width and height as stored; Pillow 11 and later transposes the size of a TIFF."""
    if isinstance(file, TiffImageFile):
        return file.tag_v2[TIFF_WIDTH], file.tag_v2[TIFF_HEIGHT]
    return file.size


def _has_end_marker(path: Path) -> bool:
    """Return whether a PNG or JPEG file ends as it should; True for all other formats."""
    marker = END_MARKERS.get(path.suffix.lower())
    if marker is None:
        return True

    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - END_MARKER_BYTES))
        return marker in file.read()


def image_sizes(paths: Sequence[Path]) -> list[tuple[int, int] | UserError]:
    """Return `image_size` of each file, or its error; threads overlap the waits for the disk."""
    with ThreadPoolExecutor(max_workers=NUM_SCAN_THREADS) as pool:
        return list(pool.map(_size_or_error, paths))


def _size_or_error(path: Path) -> tuple[int, int] | UserError:
    try:
        return image_size(path)
    except UserError as error:
        return error
