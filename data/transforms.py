"""Image → tensor, with the transforms of torchvision where they give the same pixels as Pillow.

`scale` is the same in every epoch, so that its result can be cached; `crop_and_flip` depends on
`AugmentParams`, which `get_params` draws. `get_transform` composes both with `normalize`.

Pillow scales and converts to gray: on tensors torchvision differs from it by up to 31 gray levels
(scaling passes in another order) and by one level in half of all pixels (gray).
"""

import random
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from data.image_io import is_high_bit_depth, to_rgb_or_gray
from util.images import resize_pil

HALF_RANGE = {torch.uint8: 127.5, torch.uint16: 32767.5}  # half of the highest value
Size = tuple[int, int]  # width, height in pixels
ImageOrTensor = TypeVar("ImageOrTensor", Image.Image, Tensor)


@dataclass(frozen=True)
class Preprocess:
    """One value of ``--preprocess``: how an image is scaled, and whether it is cropped.

    ``scaled`` gives the new size for (size, load_size, crop_size).
    """

    scaled: Callable[[Size, int, int], Size]
    crops: bool
    help: str


def _square(size: Size, load_size: int, crop_size: int) -> Size:
    return load_size, load_size


def _width(size: Size, load_size: int, crop_size: int) -> Size:
    """Scale to the width load_size, keeping the aspect ratio; the height is at least crop_size."""
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
    "none": Preprocess(_unchanged, False, "images unchanged"),
}


def get_preprocess(name: str, keep_size: bool = False) -> Preprocess:
    """Look up a value of ``--preprocess``; with ``--keep_size`` it does not crop."""
    return replace(PREPROCESS[name], crops=False) if keep_size else PREPROCESS[name]


@dataclass(frozen=True)
class AugmentParams:
    """The random decisions for one image: the top left corner (x, y) of the crop, and the flip."""

    crop_pos: tuple[int, int] = (0, 0)
    flip: bool = False


def get_params(
    size: Size, rng: random.Random, *, crop_size: int | None, flips: bool = True
) -> AugmentParams:
    """Draw crop position and flip for a scaled image of ``size``, both uniformly.

    ``crop_size`` is None where the image is not cropped.
    """
    width, height = size
    x = rng.randint(0, max(0, width - crop_size)) if crop_size else 0
    y = rng.randint(0, max(0, height - crop_size)) if crop_size else 0
    return AugmentParams((x, y), flips and rng.random() < 0.5)


def get_transform(
    opt: Namespace,
    params: AugmentParams | Mapping[str, Any] | None = None,
    grayscale: bool = False,
    convert: bool = True,
    rng: random.Random | None = None,
) -> v2.Compose:
    """Compose the transform of a PIL image: scale, crop, flip, convert to a tensor.

    Reads ``preprocess``, ``load_size``, ``crop_size``, ``no_flip`` and, if present, ``keep_size``
    of ``opt``. ``params`` is an `AugmentParams` or a dictionary of its fields. Without it, every
    call draws new ones, from ``rng`` or else from the default generator of PyTorch.

    The result is float32 (C, H, W) in [-1, 1], C = 1 with ``grayscale``, else 3; without
    ``convert`` it remains a PIL image.
    """
    mode = get_preprocess(opt.preprocess, getattr(opt, "keep_size", False))
    if isinstance(params, Mapping):
        params = AugmentParams(**params)

    settings = {name: vars(opt)[name] for name in ("preprocess", "load_size", "crop_size")}
    steps = [
        v2.Lambda(partial(scale, grayscale=grayscale, **settings)),
        CropAndFlip(opt.crop_size if mode.crops else None, params, not opt.no_flip, rng),
    ]
    if convert:
        steps += [v2.PILToTensor(), v2.Lambda(normalize)]
    return v2.Compose(steps)


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
    """Transform ``image`` to float32 (C, H, W) in [-1, 1], without any randomness.

    C is 1 with ``grayscale`` (ITU-R 601 luma), else 3. ``preprocess`` is a key of `PREPROCESS`;
    ``none`` never resamples. A 16-bit image keeps all its levels with ``grayscale``.
    """
    opt = Namespace(
        preprocess=preprocess, load_size=load_size, crop_size=crop_size, no_flip=not flip
    )
    return get_transform(opt, AugmentParams(crop_pos, flip), grayscale)(image)


def scale(
    image: Image.Image, *, preprocess: str, load_size: int, crop_size: int, grayscale: bool
) -> Image.Image:
    """Convert the channels of ``image`` and resize it (bicubic).

    Returns mode ``L`` or ``RGB``, or ``I;16`` for a 16-bit image with ``grayscale``. Raises
    `UserError` for pixel values of unknown range.
    """
    if is_high_bit_depth(image):
        image = to_rgb_or_gray(image, 16 if grayscale else 8)
    if not is_high_bit_depth(image):
        image = image.convert("L" if grayscale else "RGB")

    size = PREPROCESS[preprocess].scaled(image.size, load_size, crop_size)
    return image if size == image.size else resize_pil(image, size)


def crop_and_flip(
    image: ImageOrTensor, params: AugmentParams, crop_size: int | None
) -> ImageOrTensor:
    """Crop a square at ``params.crop_pos`` unless ``crop_size`` is None; flip it horizontally.

    A tensor is (C, H, W). The crop ends at the border of an image that is too small for it.
    """
    if crop_size is not None:
        x, y = params.crop_pos
        height, width = F.get_size(image)
        image = F.crop(image, y, x, min(crop_size, height - y), min(crop_size, width - x))
    return F.horizontal_flip(image) if params.flip else image


class CropAndFlip(v2.Transform):
    """`crop_and_flip` with fixed ``params``, or with new ones for each call if it is None."""

    def __init__(
        self,
        crop_size: int | None,
        params: AugmentParams | None = None,
        flips: bool = True,
        rng: random.Random | None = None,
    ):
        super().__init__()
        self.crop_size = crop_size
        self.params = params
        self.flips = flips
        self.rng = rng

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the parameters that all inputs of one call share."""
        if self.params is not None:
            return {"augment": self.params}

        rng = self.rng or random.Random(int(torch.randint(2**62, ())))
        height, width = F.get_size(flat_inputs[0])
        params = get_params((width, height), rng, crop_size=self.crop_size, flips=self.flips)
        return {"augment": params}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Crop and flip one input."""
        return crop_and_flip(inpt, params["augment"], self.crop_size)


def normalize(pixels: Tensor, pinned: bool = False) -> Tensor:
    """Convert 8-bit or 16-bit pixels to float32 in [-1, 1]; floats are already in this range.

    With ``pinned`` the result is in page-locked memory, for asynchronous copies to a GPU. Divides
    where torchvision multiplies by a rounded reciprocal, which is not exact to the last bit.
    """
    if pixels.is_floating_point():
        return pixels.pin_memory() if pinned else pixels
    floats = torch.empty(pixels.shape, pin_memory=pinned)
    return floats.copy_(pixels).div_(HALF_RANGE[pixels.dtype]).sub_(1)
