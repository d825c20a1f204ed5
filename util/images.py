"""Tensors → images."""

from pathlib import Path

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from util.files import write_atomically


def resize_tensor(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, H, W) in [-1, 1] scaled to ``size``, width and height: bicubic, without aliasing."""
    width, height = size
    if image.shape[-2:] == (height, width):
        return image
    how = {"mode": "bicubic", "antialias": True}
    return F.interpolate(image[None].float(), (height, width), **how)[0].clamp_(-1, 1)


def to_uint8(images: Tensor) -> Tensor:
    """(…, C, H, W) in [-1, 1] to 0…255, rounded to the nearest, on the CPU."""
    return images.detach().float().add(1).mul_(127.5).round_().clamp_(0, 255).byte().cpu()


def to_uint16(images: Tensor) -> Tensor:
    """The same to 0…65535; int32, as PyTorch can do little with 16 bits without a sign."""
    return images.detach().float().add(1).mul_(32767.5).round_().clamp_(0, 65535).int().cpu()


QUANTIZERS = {8: to_uint8, 16: to_uint16}  # by --bit_depth


def to_pil(pixels: Tensor) -> Image.Image:
    """(C, H, W) of `QUANTIZERS` as an image; C is 1 (gray) or 3 (color, 8 bits only)."""
    planes = pixels.numpy()
    if planes.dtype == np.int32:
        planes = planes.astype(np.uint16)
    if len(planes) == 1:
        return Image.fromarray(planes[0])
    return Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)))


def resize_pil(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """``image`` scaled to width and height ``size``, bicubic; 16-bit gray keeps its depth."""
    if image.mode != "I;16":
        return image.resize(size, Image.Resampling.BICUBIC)
    floats = Image.fromarray(np.asarray(image, dtype=np.float32))
    values = np.asarray(floats.resize(size, Image.Resampling.BICUBIC))
    return Image.fromarray(np.rint(values).clip(0, 65535).astype(np.uint16))


def to_rgb8(image: Image.Image) -> Image.Image:
    """An image of ours in 8-bit color, to be looked at; Pillow itself would clip 16-bit gray."""
    if image.mode.startswith("I"):  # I;16, which older Pillows read as I
        image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    return image.convert("RGB")


def save_image(pixels: Tensor, path: Path, aspect_ratio: float = 1.0) -> None:
    """Write (C, H, W) of `QUANTIZERS` as PNG, ``aspect_ratio`` times as wide as it is."""
    image = to_pil(pixels)
    if aspect_ratio != 1.0:
        image = resize_pil(image, (max(1, round(image.width * aspect_ratio)), image.height))
    write_atomically(path, lambda file: image.save(file, format="PNG"))
