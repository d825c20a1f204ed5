"""Image → tensor, in two halves: *draw* what is random, then *apply* it.

`get_params` needs only the size of an image and a random generator; `apply` is a pure function. Paired
and unpaired data share both.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from data.image_io import is_high_bit_depth, to_rgb_or_gray
from util.images import resize_pil

HALF = {torch.uint8: 127.5, torch.int32: 32767.5}  # of the highest value of 8 and of 16 bits
Size = tuple[int, int]  # width, height in pixels


@dataclass(frozen=True)
class Preprocess:
    """One value of ``--preprocess``: how an image is scaled, and whether a square is cut out.

    ``scaled`` gives the new size for (size, load_size, crop_size).
    """

    scaled: Callable[[Size, int, int], Size]
    crops: bool
    help: str


def _square(size: Size, load_size: int, crop_size: int) -> Size:
    return load_size, load_size


def _width(size: Size, load_size: int, crop_size: int) -> Size:
    """To the width load_size, in proportion, but not flatter than crop_size."""
    width, height = size
    if width == load_size and height >= crop_size:
        return size
    return load_size, int(max(load_size * height / width, crop_size))


def _unchanged(size: Size, load_size: int, crop_size: int) -> Size:
    return size


PREPROCESS = {
    "resize_and_crop": Preprocess(_square, True, "to load_size × load_size, then a square"),
    "crop": Preprocess(_unchanged, True, "a square of crop_size × crop_size"),
    "scale_width": Preprocess(_width, False, "to the width load_size"),
    "scale_width_and_crop": Preprocess(_width, True, "to the width load_size, then a square"),
    "none": Preprocess(_unchanged, False, "images as they are"),
}


def get_preprocess(name: str, keep_size: bool) -> Preprocess:
    """The value ``name`` of ``--preprocess``; with ``keep_size`` it cuts nothing off."""
    return replace(PREPROCESS[name], crops=False) if keep_size else PREPROCESS[name]


@dataclass(frozen=True)
class AugmentParams:
    """What chance decided for one image: where the square is cut out (x, y), and the mirror."""

    crop_pos: tuple[int, int] = (0, 0)
    flip: bool = False


def get_params(
    size: Size, rng: random.Random, *, crop_size: int | None, flips: bool = True
) -> AugmentParams:
    """Where to cut a scaled image of ``size``, if at all, and whether to mirror it.

    All positions are equally likely, and so are both answers.
    """
    width, height = size
    x = rng.randint(0, max(0, width - crop_size)) if crop_size else 0
    y = rng.randint(0, max(0, height - crop_size)) if crop_size else 0
    return AugmentParams((x, y), flips and rng.random() < 0.5)


def apply(
    image: Image.Image,
    *,
    preprocess: str,
    load_size: int,
    crop_size: int,
    crop_pos: tuple[int, int] = (0, 0),
    flip: bool = False,
    grayscale: bool = False,
) -> Tensor:
    """``image`` as a float tensor (C, H, W) in [-1, 1]: scaled, cut at ``crop_pos``, reflect_pad.

    C is 1 with ``grayscale`` (ITU-R 601 luma), else 3. ``preprocess`` is a key of `PREPROCESS`;
    ``none`` never resamples. A 16-bit image keeps all its levels where gray is asked for.
    """
    pixels = scale(
        image, preprocess=preprocess, load_size=load_size, crop_size=crop_size,
        grayscale=grayscale,
    )  # fmt: skip
    crop_size = crop_size if PREPROCESS[preprocess].crops else None
    return normalize(crop_and_flip(pixels, AugmentParams(crop_pos, flip), crop_size))


def scale(
    image: Image.Image, *, preprocess: str, load_size: int, crop_size: int, grayscale: bool
) -> np.ndarray:
    """The half of `apply` that is the same in every epoch: channels and size (bicubic).

    Returns 8-bit pixels, (H, W) for gray and (H, W, 3) for color; of a 16-bit image that is to
    be gray, 16-bit ones. Raises `UserError` for an image with values of unknown scale.
    """
    if is_high_bit_depth(image):
        image = to_rgb_or_gray(image, 16 if grayscale else 8)
    if not is_high_bit_depth(image):
        image = image.convert("L" if grayscale else "RGB")
    size = PREPROCESS[preprocess].scaled(image.size, load_size, crop_size)
    return np.asarray(image if size == image.size else resize_pil(image, size))


def crop_and_flip(pixels: np.ndarray, chance: AugmentParams, crop_size: int | None) -> Tensor:
    """The half that differs: the square at ``chance.crop_pos``, reflect_pad or not, (C, H, W).

    8 bits stay 8; 16 come as int32, as PyTorch can do little with 16 bits without a sign.
    """
    if crop_size is not None:
        x, y = chance.crop_pos
        pixels = pixels[y : y + crop_size, x : x + crop_size]
    pixels = pixels[:, ::-1] if chance.flip else pixels
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if planes.dtype == np.uint16:
        planes = planes.astype(np.int32)
    # Pillow's pixels may be read-only, which tensors cannot be.
    return torch.from_numpy(np.require(planes, requirements="CW"))


def normalize(pixels: Tensor, pinned: bool = False) -> Tensor:
    """What `crop_and_flip` returns as float32 in [-1, 1], in which floats are already.

    In ``pinned`` memory for a GPU.
    """
    if pixels.is_floating_point():
        return pixels.pin_memory() if pinned else pixels
    floats = torch.empty(pixels.shape, pin_memory=pinned)
    return floats.copy_(pixels).div_(HALF[pixels.dtype]).sub_(1)
