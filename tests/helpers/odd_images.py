"""Broken image files with their errors, and unusual ones with the pixels expected from them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.commands import draw_image

ORIENTATION = 0x0112


def png(width: int, height: int, bits: int = 8) -> bytes:
    """A PNG file whose header claims a size, without pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b""))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def save_truncated(image: Image.Image, path: Path, cut: int = 0, **how) -> None:
    """Save ``image`` without the last ``cut`` bytes of the file."""
    image.save(path, **how)
    path.write_bytes(path.read_bytes()[: -cut or None])


def garbled(path: Path) -> None:
    """Save a file that is intact at both ends and broken between them."""
    save_truncated(draw_image("whole"), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + bytes(100) + whole[160:])


def values(content: float, kind: type) -> Image.Image:
    return Image.fromarray(np.full((5, 4), content, dtype=kind))


#: file → function that creates it, and part of the error message
BROKEN = {
    "empty.png": (lambda path: path.touch(), "it is not an image"),
    "text.jpg": (lambda path: path.write_text("not an image\n" * 50), "it is not an image"),
    "short.png": (lambda path: save_truncated(draw_image("a"), path, cut=60), "truncated"),
    "short.jpg": (lambda path: save_truncated(draw_image("a"), path, cut=100), "truncated"),
    "short.bmp": (lambda path: save_truncated(draw_image("a"), path, cut=100), "truncated"),
    "garbled.png": (garbled, "broken data stream"),
    "hollow.png": (lambda path: path.write_bytes(png(40, 40)), "truncated"),
    "bomb.png": (lambda path: path.write_bytes(png(60000, 60000)), "more than 179 million pixels"),
    "above.tiff": (lambda path: values(300, np.float32).save(path), "run from 300 to 300"),
    "below.tiff": (lambda path: values(-0.5, np.float32).save(path), "run from -0.5 to -0.5"),
    "nan.tiff": (lambda path: values(np.nan, np.float32).save(path), "run from nan to nan"),
    "wide.tiff": (lambda path: values(70000, np.int32).save(path), "run from 70000 to 70000"),
    "link.png": (lambda path: path.symlink_to("nowhere.png"), "No such file"),
    "loop.png": (lambda path: path.symlink_to(path), "symbolic link"),
}
#: files whose pixels alone are broken, which only decoding finds
INSIDE = ("short.bmp", "garbled.png", "hollow.png")


def palette(path: Path) -> None:
    """Save a blue palette image with a transparent red corner."""
    image = Image.new("P", (5, 4), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((0, 0), 0)
    image.save(path, transparency=0)


def animated(path: Path) -> None:
    """Save a green frame, then a red one."""
    colors = [Image.new("RGB", (5, 4), color) for color in ((0, 255, 0), (255, 0, 0))]
    colors[0].save(path, save_all=True, append_images=colors[1:])


def turned(path: Path) -> None:
    """Save an image rotated by 90° in the file, so that its left side is the top when upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 16, 16))
    image.save(path, exif=exif, quality=95)


def plain(height: int, width: int, *color: int) -> np.ndarray:
    return np.full((height, width, 3), color)


#: file → function that creates it, the expected pixels, and the tolerance in gray levels
FINE = {
    "png.jpg": (
        lambda path: draw_image("p").save(path, format="PNG"),
        lambda: np.asarray(draw_image("p")),
        0,
    ),
    "dot.png": (
        lambda path: Image.new("RGB", (1, 1), (9, 99, 199)).save(path),
        lambda: plain(1, 1, 9, 99, 199),
        0,
    ),
    "line.png": (
        lambda path: draw_image("line", (20000, 3)).save(path),
        lambda: np.asarray(draw_image("line", (20000, 3))),
        0,
    ),
    "deep.png": (lambda path: values(16448, np.uint16).save(path), lambda: plain(5, 4, 64), 0),
    "float.tiff": (lambda path: values(0.25, np.float32).save(path), lambda: plain(5, 4, 64), 0),
    "print.jpg": (
        lambda path: Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path, quality=100),
        lambda: plain(8, 8, 255, 0, 0),
        3,
    ),
    "palette.png": (palette, lambda: np.r_[255, 255, 255, [0, 0, 255] * 19].reshape(4, 5, 3), 0),
    "animated.gif": (animated, lambda: plain(4, 5, 0, 255, 0), 0),
    "phone.jpg": (turned, lambda: np.r_[plain(16, 16, 255), plain(16, 16, 0)], 16),
}
