"""Differentiable augmentation of what discriminators see (Zhao et al., 2020, arXiv:2006.10738).

With few training images discriminators learn them by heart. Augmenting only the training images
would teach generators to imitate the augmentation; here real and fake images are both augmented,
and gradients pass through.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from util.errors import did_you_mean

MAX_SHIFT = 1 / 8  # of the side
CUTOUT_SIZE = 1 / 2  # of the side


def color(images: Tensor) -> Tensor:
    """Change brightness by up to ±0.5, saturation by 0…2 and contrast by 0.5…1.5."""
    images = images + uniform(images, -0.5, 0.5)
    gray = images.mean(dim=1, keepdim=True)
    images = gray + (images - gray) * uniform(images, 0.0, 2.0)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * uniform(images, 0.5, 1.5)


def translation(images: Tensor) -> Tensor:
    """Shift by up to 1/8 of each side, and fill with zeros."""
    height, width = images.shape[-2:]
    rows = shifted_pixels(images, height).unsqueeze(2)  # (N, H, 1)
    columns = shifted_pixels(images, width).unsqueeze(1)  # (N, 1, W)
    n = torch.arange(len(images), device=images.device).view(-1, 1, 1)
    padded = F.pad(images, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    return padded[n, rows, columns].permute(0, 3, 1, 2)


def cutout(images: Tensor) -> Tensor:
    """Set a rectangle of half the sides, which may exceed the image, to zero."""
    rows = distance_to_center(images, images.shape[2]) < CUTOUT_SIZE / 2
    columns = distance_to_center(images, images.shape[3]) < CUTOUT_SIZE / 2
    is_cut = rows.unsqueeze(2) & columns.unsqueeze(1)  # (N, H, W)
    return images * (~is_cut).unsqueeze(1)


def uniform(images: Tensor, low: float, high: float) -> Tensor:
    """Return a random number for each image, (N, 1, 1, 1)."""
    values = torch.rand(len(images), 1, 1, 1, device=images.device, dtype=images.dtype)
    return low + (high - low) * values


def shifted_pixels(images: Tensor, size: int) -> Tensor:
    """Return indices (N, size) into a side with a zero pixel at each end, shifted at random."""
    limit = round(size * MAX_SHIFT)
    shift = torch.randint(-limit, limit + 1, (len(images), 1), device=images.device)
    return (torch.arange(1, size + 1, device=images.device) + shift).clamp(0, size + 1)


def distance_to_center(images: Tensor, size: int) -> Tensor:
    """Return the distances (N, size) of pixels to a random center, as a fraction of the side."""
    center = torch.rand(len(images), 1, device=images.device)
    pixels = (torch.arange(size, device=images.device) + 0.5) / size
    return (pixels - center).abs()


AUGMENTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "color": color,
    "translation": translation,
    "cutout": cutout,
}


def augmentation_names(text: str) -> str:
    """Parse keys of `AUGMENTATIONS` separated by commas; raises ValueError for other names."""
    names = [name.strip() for name in text.split(",")] if text else []
    for name in names:
        if name not in AUGMENTATIONS:
            known = ", ".join(AUGMENTATIONS)
            raise ValueError(f"{name!r} is none of {known}{did_you_mean(name, AUGMENTATIONS)}")
    return ",".join(dict.fromkeys(names))


class DiffAugment:
    """Apply the augmentations ``names``, separated by commas, to images (N, C, H, W).

    Every image gets random parameters of its own. Without names, images are returned unchanged.
    """

    def __init__(self, names: str):
        self.functions = [AUGMENTATIONS[name] for name in names.split(",") if name]

    def __call__(self, images: Tensor) -> Tensor:
        for function in self.functions:
            images = function(images)
        return images
