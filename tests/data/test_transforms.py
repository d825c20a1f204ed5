"""Transforms: reference values, and the distribution of the random parameters."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from random import Random

import numpy as np
import pytest
import torch
from helpers.commands import GOLDEN, draw_image, golden
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import pil_to_tensor

from data.transforms import (
    PREPROCESS,
    AugmentParams,
    apply,
    crop_and_flip,
    get_params,
    get_transform,
    normalize,
)
from util.images import save_image, to_pil, to_uint8

CASES = golden("transforms.pt")
SIDES = st.integers(8, 90)


def is_binding(case: dict) -> bool:
    """Exclude ``none`` unless all sides are multiples of 4: the reference resamples, we do not."""
    with Image.open(GOLDEN / "images" / case["image"]) as image:
        return case["preprocess"] != "none" or all(side % 4 == 0 for side in image.size)


def label(case: dict) -> str:
    return f"{case['image']}-{case['preprocess']}-{case['flip']}-{case['grayscale']}"


def transformed(case: dict) -> torch.Tensor:
    keys = ("preprocess", "load_size", "crop_size", "flip", "grayscale")
    with Image.open(GOLDEN / "images" / case["image"]) as image:
        settings = {key: case[key] for key in keys}
        return apply(image.convert("RGB"), crop_pos=tuple(case["crop_pos"]), **settings)


@pytest.mark.parametrize("case", [case for case in CASES if is_binding(case)], ids=label)
def test_result_is_within_one_level_of_the_reference(case):
    levels = ((transformed(case) + 1) * 127.5).round().int()
    assert levels.shape == case["output"].shape
    assert (levels - case["output"].int()).abs().max() <= 1


def test_most_references_are_binding():
    assert sum(map(is_binding, CASES)) >= 30


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["preprocess"] == "none"], ids=label
)
def test_none_keeps_every_pixel(case):
    with Image.open(GOLDEN / "images" / case["image"]) as image:
        expected = np.asarray(image.convert("RGB")).astype(np.float32).transpose(2, 0, 1)
    assert torch.equal(transformed(case), torch.from_numpy(expected) / 127.5 - 1)


@pytest.mark.parametrize("preprocess", PREPROCESS)
@given(
    width=SIDES,
    height=SIDES,
    crop_size=st.integers(4, 24),
    extra=st.integers(0, 20),
    seed=st.integers(0, 50),
)
def test_output_size_and_crop_position(preprocess, width, height, crop_size, extra, seed):
    """The crop has the requested size and lies within the image."""
    if preprocess == "crop":
        width, height = max(width, crop_size), max(height, crop_size)
    settings = {"preprocess": preprocess, "load_size": crop_size + extra, "crop_size": crop_size}
    mode = PREPROCESS[preprocess]
    scaled = mode.scaled((width, height), crop_size + extra, crop_size)
    params = get_params(scaled, Random(seed), crop_size=crop_size if mode.crops else None)
    image = Image.new("RGB", (width, height), "white")

    tensor = apply(image, crop_pos=params.crop_pos, flip=params.flip, **settings)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    assert (tensor == 1).all()  # padding beyond the border would be black
    if PREPROCESS[preprocess].crops:
        assert tensor.shape == (3, crop_size, crop_size)
    elif preprocess == "scale_width":
        load_size = crop_size + extra
        expected = max(crop_size, load_size * height / width)
        assert tensor.shape[2] == load_size
        assert abs(tensor.shape[1] - expected) <= 1
    else:
        assert tensor.shape == (3, height, width)


def test_crop_position_and_flip():
    image = draw_image("crop", (20, 16))
    settings = {"preprocess": "crop", "load_size": 0, "crop_size": 8}
    whole = np.asarray(image).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
    crop = apply(image, crop_pos=(5, 3), **settings)
    assert np.allclose(crop, whole[:, 3:11, 5:13], atol=1e-6)
    assert torch.equal(apply(image, crop_pos=(5, 3), flip=True, **settings), crop.flip(2))


def test_crop_positions_and_flips_are_uniform():
    n = 6000
    rng = Random(0)
    counts = Counter(get_params((12, 12), rng, crop_size=10) for _ in range(n))
    assert set(counts) == {
        AugmentParams((x, y), flip) for x in range(3) for y in range(3) for flip in (False, True)
    }
    share = 1 / 18
    for count in counts.values():
        assert abs(count - n * share) < 5 * (n * share * (1 - share)) ** 0.5


def test_no_flip_without_flips():
    params = [get_params((30, 30), Random(i), crop_size=10, flips=False) for i in range(50)]
    assert not any(each.flip for each in params)


def transform_options(preprocess: str = "resize_and_crop", **changes) -> Namespace:
    options = {"load_size": 30, "crop_size": 24, "no_flip": False}
    return Namespace(preprocess=preprocess, **{**options, **changes})


@pytest.mark.parametrize("grayscale", [False, True])
@pytest.mark.parametrize("preprocess", PREPROCESS)
def test_get_transform_with_params_equals_apply(preprocess, grayscale):
    image = draw_image("photo", (40, 36))
    settings = {"preprocess": preprocess, "load_size": 30, "crop_size": 24}
    expected = apply(image, crop_pos=(3, 5), flip=True, grayscale=grayscale, **settings)

    transform = get_transform(
        transform_options(preprocess), {"crop_pos": (3, 5), "flip": True}, grayscale
    )
    assert isinstance(transform, v2.Compose)
    assert torch.equal(transform(image), expected)


def test_get_transform_without_params_draws_new_ones_for_each_call():
    image = draw_image("photo", (40, 36))
    transform = get_transform(transform_options())
    torch.manual_seed(1)
    first = [transform(image) for _ in range(6)]
    torch.manual_seed(1)
    again = [transform(image) for _ in range(6)]
    assert all(map(torch.equal, first, again))
    assert len({tensor.numpy().tobytes() for tensor in first}) >= 5


def test_get_transform_draws_from_a_given_generator():
    image = draw_image("photo", (40, 36))
    params = get_params((30, 30), Random(7), crop_size=24)
    drawn = get_transform(transform_options(), rng=Random(7))(image)
    assert torch.equal(drawn, get_transform(transform_options(), params)(image))


def test_get_transform_without_convert_returns_an_image_for_further_transforms():
    image = draw_image("photo", (40, 36))
    params = AugmentParams((3, 5), True)
    cropped = get_transform(transform_options(), params, convert=False)(image)
    assert (cropped.mode, cropped.size) == ("RGB", (24, 24))

    steps = get_transform(transform_options(), params).transforms
    extended = v2.Compose([*steps, v2.RandomVerticalFlip(1)])(image)
    assert torch.equal(extended, normalize(pil_to_tensor(cropped)).flip(1))


def test_get_transform_with_keep_size_does_not_crop():
    transform = get_transform(transform_options("crop", keep_size=True), AugmentParams())
    assert transform(draw_image("photo", (40, 36))).shape == (3, 36, 40)


def test_gray_is_the_luma_of_the_color():
    image = Image.new("RGB", (4, 4), (200, 100, 50))
    settings = {"preprocess": "none", "load_size": 4, "crop_size": 4, "grayscale": True}
    gray = apply(image, **settings)
    assert gray.shape == (1, 4, 4)
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert abs((gray[0, 0, 0].item() + 1) * 127.5 - luma) <= 0.5 + 1e-3


def test_gray_image_becomes_three_equal_channels():
    gray = draw_image("gray", (6, 5), "L")
    settings = {"preprocess": "none", "load_size": 4, "crop_size": 4}
    tensor = apply(gray, **settings)
    assert tensor.shape == (3, 5, 6)
    assert torch.equal(tensor[0], tensor[1]) and torch.equal(tensor[0], tensor[2])


@pytest.mark.parametrize("channels", [1, 3])
def test_all_256_levels_survive_saving(tmp_path, channels):
    """Values are rounded, not truncated: an identity generator must reproduce the image."""
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pixels = levels if channels == 1 else np.stack([levels, levels[::-1], levels.T], axis=2)
    tensor = normalize(crop_and_flip(pil_to_tensor(Image.fromarray(pixels)), AugmentParams(), None))
    assert tensor.shape == (channels, 16, 16)
    assert (tensor.min(), tensor.max()) == (-1, 1)
    save_image(to_uint8(tensor), tmp_path / "same.png")
    with Image.open(tmp_path / "same.png") as image:
        assert np.array_equal(np.asarray(image), pixels)
    save_image(to_uint8(tensor.double() + 0.003), tmp_path / "near.png")
    with Image.open(tmp_path / "near.png") as image:
        assert np.array_equal(np.asarray(image), pixels)


def test_values_out_of_range_are_clipped():
    image = to_pil(to_uint8(torch.tensor([[[-3.0, -1.0, 0.0, 1.0, 3.0]]])))
    assert np.asarray(image).tolist() == [[0, 0, 128, 255, 255]]


@pytest.mark.parametrize(("ratio", "width"), [(1.0, 20), (1.5, 30), (0.5, 10)])
def test_aspect_ratio_changes_the_width(tmp_path, ratio, width):
    save_image(to_uint8(torch.zeros(3, 12, 20)), tmp_path / "wide.png", ratio)
    with Image.open(tmp_path / "wide.png") as image:
        assert image.size == (width, 12)


def test_apply_does_not_modify_its_input():
    image = draw_image("input", (30, 20))
    before = image.tobytes()
    sizes = {"load_size": 12, "crop_size": 8}
    for preprocess in PREPROCESS:
        first = apply(image, preprocess=preprocess, flip=True, **sizes)
        assert torch.equal(first, apply(image, preprocess=preprocess, flip=True, **sizes))
    assert image.tobytes() == before
