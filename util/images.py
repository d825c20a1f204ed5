"""Tensors → pictures."""

from pathlib import Path

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from util.files import write_atomically


def in_size(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, H, W) in [-1, 1] scaled to ``size``, width and height: bicubic, without aliasing."""
    width, height = size
    if picture.shape[-2:] == (height, width):
        return picture
    how = {"mode": "bicubic", "antialias": True}
    return F.interpolate(picture[None].float(), (height, width), **how)[0].clamp_(-1, 1)


def to_8_bits(pictures: Tensor) -> Tensor:
    """(…, C, H, W) in [-1, 1] to 0…255, rounded to the nearest, on the CPU."""
    return pictures.detach().float().add(1).mul_(127.5).round_().clamp_(0, 255).byte().cpu()


def to_16_bits(pictures: Tensor) -> Tensor:
    """The same to 0…65535; int32, as PyTorch can do little with 16 bits without a sign."""
    return pictures.detach().float().add(1).mul_(32767.5).round_().clamp_(0, 65535).int().cpu()


TO_LEVELS = {8: to_8_bits, 16: to_16_bits}  # by --bit_depth


def to_picture(pixels: Tensor) -> Image.Image:
    """(C, H, W) of `TO_LEVELS` as a picture; C is 1 (grey) or 3 (colour, 8 bits only)."""
    planes = pixels.numpy()
    if planes.dtype == np.int32:
        planes = planes.astype(np.uint16)
    if len(planes) == 1:
        return Image.fromarray(planes[0])
    return Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)))


def resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """``picture`` scaled to width and height ``size``, bicubic; 16-bit grey keeps its depth."""
    if picture.mode != "I;16":
        return picture.resize(size, Image.Resampling.BICUBIC)
    floats = Image.fromarray(np.asarray(picture, dtype=np.float32))
    values = np.asarray(floats.resize(size, Image.Resampling.BICUBIC))
    return Image.fromarray(np.rint(values).clip(0, 65535).astype(np.uint16))


def shown(picture: Image.Image) -> Image.Image:
    """A picture of ours in 8-bit colour, to be looked at; Pillow itself would clip 16-bit grey."""
    if picture.mode.startswith("I"):  # I;16, which older Pillows read as I
        picture = Image.fromarray(np.rint(np.asarray(picture) / 257).astype(np.uint8))
    return picture.convert("RGB")


def save_picture(pixels: Tensor, path: Path, aspect_ratio: float = 1.0) -> None:
    """Write (C, H, W) of `TO_LEVELS` as PNG, ``aspect_ratio`` times as wide as it is."""
    picture = to_picture(pixels)
    if aspect_ratio != 1.0:
        picture = resized(picture, (max(1, round(picture.width * aspect_ratio)), picture.height))
    write_atomically(path, lambda file: picture.save(file, format="PNG"))
