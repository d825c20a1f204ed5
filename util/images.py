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
    return F.interpolate(picture[None].float(), (height, width), **how)[0].clamp(-1, 1)


def to_8_bits(pictures: Tensor) -> Tensor:
    """(…, C, H, W) in [-1, 1] to 0…255, rounded to the nearest, on the CPU."""
    return pictures.detach().float().add(1).mul(127.5).round().clamp(0, 255).byte().cpu()


def to_picture(pixels: Tensor) -> Image.Image:
    """8-bit (C, H, W) as a picture; C is 1 (grey) or 3 (colour)."""
    planes = pixels.numpy()
    if len(planes) == 1:
        return Image.fromarray(planes[0])
    return Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)))


def save_picture(pixels: Tensor, path: Path, aspect_ratio: float = 1.0) -> None:
    """Write 8-bit (C, H, W) as PNG, ``aspect_ratio`` times as wide as it is."""
    picture = to_picture(pixels)
    if aspect_ratio != 1.0:
        width = max(1, round(picture.width * aspect_ratio))
        picture = picture.resize((width, picture.height), Image.Resampling.BICUBIC)
    write_atomically(path, lambda file: picture.save(file, format="PNG"))
