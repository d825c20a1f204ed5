"""16-bit gray images and files of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

GRAY = ["--input_nc", "1", "--output_nc", "1", "--bit_depth", "16"]
ALL_LEVELS = np.arange(65536, dtype=np.uint16).reshape(256, 256)

#: file → function that creates the stored values, and the 16-bit levels they represent
FILES = {
    "deep.png": (lambda: ALL_LEVELS, ALL_LEVELS),
    "deep.tiff": (lambda: ALL_LEVELS, ALL_LEVELS),
    "mac.tiff": (lambda: ALL_LEVELS.astype(">u2"), ALL_LEVELS),
    "wide.tiff": (lambda: ALL_LEVELS.astype(np.int32), ALL_LEVELS),
    "float.tiff": (lambda: (ALL_LEVELS / 65535).astype(np.float32), ALL_LEVELS),
    "plain.png": (lambda: (ALL_LEVELS >> 8).astype(np.uint8), (ALL_LEVELS >> 8) * 257),
    "color.png": (
        lambda: np.stack([(ALL_LEVELS >> 8).astype(np.uint8)] * 3, 2),
        (ALL_LEVELS >> 8) * 257,
    ),
}


def deep(seed: int, width: int = 40, height: int = 40) -> np.ndarray:
    """A 16-bit ramp with noise in the low bits, (H, W)."""
    rng = np.random.default_rng(seed)
    ramp = np.add.outer(np.linspace(0, 30000, height), np.linspace(0, 30000, width))
    return (ramp + rng.integers(0, 5000, (height, width))).astype(np.uint16)


def read(file: Path) -> np.ndarray:
    """Read the levels of a 16-bit file."""
    with Image.open(file) as image:
        assert image.mode.startswith("I")
        return np.asarray(image).astype(int)


def make_gray_set(root: Path) -> Path:
    """Create unpaired folders, and paired files A|B in which B is A inverted; all of 16 bits."""
    for k, side in enumerate(("trainA", "trainB", "testA", "testB")):
        (root / side).mkdir()
        for i in range(3):
            Image.fromarray(deep(10 * k + i)).save(root / side / f"{i}.png")
    for phase in ("train", "test"):
        (root / phase).mkdir()
        for i in range(2):
            both = np.hstack([deep(i), 65535 - deep(i)])
            Image.fromarray(both).save(root / phase / f"{i}.png")
    return root
