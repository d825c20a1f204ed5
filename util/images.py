"""Convert tensors to images."""

from pathlib import Path

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from util.files import write_atomically


def resize_tensor(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (C, H, W) in [-1, 1] to (width, height): bicubic, antialiased."""
    width, height = size
    if image.shape[-2:] == (height, width):
        return image
    resized = F.interpolate(image[None].float(), (height, width), mode="bicubic", antialias=True)
    return resized[0].clamp_(-1, 1)


def to_uint8(images: Tensor) -> Tensor:
    """(…, C, H, W) in [-1, 1] to 0…255, rounded to nearest, on the CPU."""
    return images.detach().float().add(1).mul_(127.5).round_().clamp_(0, 255).byte().cpu()


def to_uint16(images: Tensor) -> Tensor:
    """(…, C, H, W) in [-1, 1] to 0…65535, as int32: PyTorch has few operations for uint16."""
    return images.detach().float().add(1).mul_(32767.5).round_().clamp_(0, 65535).int().cpu()


QUANTIZERS = {8: to_uint8, 16: to_uint16}  # by --bit_depth


def to_pil(pixels: Tensor) -> Image.Image:
    """Convert (C, H, W) of `QUANTIZERS`; C is 1 (gray) or 3 (RGB, 8 bits only)."""
    planes = pixels.numpy()
    if planes.dtype == np.int32:
        planes = planes.astype(np.uint16)
    if len(planes) == 1:
        return Image.fromarray(planes[0])
    return Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)))


def resize_pil(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize ``image`` to (width, height), bicubic; 16-bit gray keeps its depth."""
    if image.mode != "I;16":
        return image.resize(size, Image.Resampling.BICUBIC)
    floats = Image.fromarray(np.asarray(image, dtype=np.float32))
    values = np.asarray(floats.resize(size, Image.Resampling.BICUBIC))
    return Image.fromarray(np.rint(values).clip(0, 65535).astype(np.uint16))


def to_rgb8(image: Image.Image) -> Image.Image:
    """Convert an output image to 8-bit RGB for display; Pillow alone would clip 16-bit gray."""
    if image.mode.startswith("I"):  # I;16, which old versions of Pillow read as I
        image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    return image.convert("RGB")


def save_image(pixels: Tensor, path: Path, aspect_ratio: float = 1.0) -> None:
    """Write (C, H, W) of `QUANTIZERS` as PNG, its width multiplied by ``aspect_ratio``."""
    image = to_pil(pixels)
    if aspect_ratio != 1.0:
        image = resize_pil(image, (max(1, round(image.width * aspect_ratio)), image.height))
    write_atomically(path, lambda file: image.save(file, format="PNG"))
