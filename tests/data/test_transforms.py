"""Image → tensor: reference values, and what chance may decide."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest
import torch
from helpers.commands import GOLDEN, draw_image, golden
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data import transforms
from data.transforms import PREPROCESS, AugmentParams, apply, crop_and_flip, get_params, normalize
from util.images import save_image, to_pil, to_uint8

CASES = golden("transforms.pt")
SIDES = st.integers(8, 90)


def is_binding(case: dict) -> bool:
    """The reference resamples with ``none`` where a side is not a multiple of 4; we never do."""
    with Image.open(GOLDEN / "images" / case["image"]) as image:
        return case["preprocess"] != "none" or all(side % 4 == 0 for side in image.size)


def label(case: dict) -> str:
    return f"{case['image']}-{case['preprocess']}-{case['flip']}-{case['grayscale']}"


def transformed(case: dict) -> torch.Tensor:
    keys = ("preprocess", "load_size", "crop_size", "flip", "grayscale")
    with Image.open(GOLDEN / "images" / case["image"]) as image:
        how = {key: case[key] for key in keys}
        return apply(image.convert("RGB"), crop_pos=tuple(case["crop_pos"]), **how)


@pytest.mark.parametrize("case", [case for case in CASES if is_binding(case)], ids=label)
def test_agrees_with_the_reference(case):
    ours = ((transformed(case) + 1) * 127.5).round().int()
    assert ours.shape == case["output"].shape
    assert (ours - case["output"].int()).abs().max() <= 1


def test_most_references_are_binding():
    assert sum(map(is_binding, CASES)) >= 30


@pytest.mark.parametrize("case", [c for c in CASES if c["preprocess"] == "none"], ids=label)
def test_none_leaves_every_pixel_as_it_is(case):
    with Image.open(GOLDEN / "images" / case["image"]) as image:
        expected = np.asarray(image.convert("RGB")).astype(np.float32).transpose(2, 0, 1)
    assert torch.equal(transformed(case), torch.from_numpy(expected) / 127.5 - 1)


@pytest.mark.parametrize("preprocess", PREPROCESS)
@given(width=SIDES, height=SIDES, crop_size=st.integers(4, 24), extra=st.integers(0, 20),
       seed=st.integers(0, 50))  # fmt: skip
def test_sizes_and_cuts(preprocess, width, height, crop_size, extra, seed):
    """What is cut out lies within the image, and has the size asked for."""
    if preprocess == "crop":
        width, height = max(width, crop_size), max(height, crop_size)
    sizes = {"preprocess": preprocess, "load_size": crop_size + extra, "crop_size": crop_size}
    mode = PREPROCESS[preprocess]
    scaled = mode.scaled((width, height), crop_size + extra, crop_size)
    chance = get_params(scaled, Random(seed), crop_size=crop_size if mode.crops else None)
    image = Image.new("RGB", (width, height), "white")
    tensor = apply(image, crop_pos=chance.crop_pos, flip=chance.flip, **sizes)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    assert (tensor == 1).all()  # black would come from beyond the border
    if PREPROCESS[preprocess].crops:
        assert tensor.shape == (3, crop_size, crop_size)
    elif preprocess == "scale_width":
        load_size = crop_size + extra
        expected = max(crop_size, load_size * height / width)
        assert tensor.shape[2] == load_size
        assert abs(tensor.shape[1] - expected) <= 1
    else:
        assert tensor.shape == (3, height, width)


def test_the_cut_is_where_it_was_asked_for():
    image = draw_image("crop", (20, 16))
    how = {"preprocess": "crop", "load_size": 0, "crop_size": 8}
    whole = np.asarray(image).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
    there = apply(image, crop_pos=(5, 3), **how)
    assert np.allclose(there, whole[:, 3:11, 5:13], atol=1e-6)
    assert torch.equal(apply(image, crop_pos=(5, 3), flip=True, **how), there.flip(2))


def test_all_positions_and_both_sides_are_equally_likely():
    n, rng = 6000, Random(0)
    draws = [get_params((12, 12), rng, crop_size=10) for _ in range(n)]
    counts = Counter((chance.crop_pos, chance.flip) for chance in draws)
    assert set(counts) == {((x, y), f) for x in range(3) for y in range(3) for f in (False, True)}
    share = 1 / 18
    for count in counts.values():
        assert abs(count - n * share) < 5 * (n * share * (1 - share)) ** 0.5


def test_no_flip_never_mirrors():
    chances = [get_params((30, 30), Random(i), crop_size=10, flips=False) for i in range(50)]
    assert not any(chance.flip for chance in chances)


def test_gray_is_the_luma_of_the_colors():
    image = Image.new("RGB", (4, 4), (200, 100, 50))
    how = {"preprocess": "none", "load_size": 4, "crop_size": 4, "grayscale": True}
    gray = apply(image, **how)
    assert gray.shape == (1, 4, 4)
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert abs((gray[0, 0, 0].item() + 1) * 127.5 - luma) <= 0.5 + 1e-3


def test_gray_images_fill_three_channels_where_color_is_asked_for():
    gray = draw_image("gray", (6, 5), "L")
    how = {"preprocess": "none", "load_size": 4, "crop_size": 4}
    tensor = apply(gray, **how)
    assert tensor.shape == (3, 5, 6)
    assert torch.equal(tensor[0], tensor[1]) and torch.equal(tensor[0], tensor[2])


@pytest.mark.parametrize("channels", [1, 3])
def test_all_256_levels_survive_the_way_to_the_file_and_back(tmp_path, channels):
    """Rounded, not cut off: an identity generator must give the very same image."""
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    shape = levels if channels == 1 else np.stack([levels, levels[::-1], levels.T], axis=2)
    tensor = normalize(crop_and_flip(shape, AugmentParams(), None))
    assert tensor.shape == (channels, 16, 16)
    assert (tensor.min(), tensor.max()) == (-1, 1)
    save_image(to_uint8(tensor), tmp_path / "same.png")
    with Image.open(tmp_path / "same.png") as image:
        assert np.array_equal(np.asarray(image), shape)
    save_image(to_uint8(tensor.double() + 0.003), tmp_path / "near.png")
    with Image.open(tmp_path / "near.png") as image:
        assert np.array_equal(np.asarray(image), shape)


def test_values_beyond_the_range_are_clipped():
    image = to_pil(to_uint8(torch.tensor([[[-3.0, -1.0, 0.0, 1.0, 3.0]]])))
    assert np.asarray(image).tolist() == [[0, 0, 128, 255, 255]]


@pytest.mark.parametrize(("ratio", "width"), [(1.0, 20), (1.5, 30), (0.5, 10)])
def test_aspect_ratio_changes_the_width(tmp_path, ratio, width):
    save_image(to_uint8(torch.zeros(3, 12, 20)), tmp_path / "wide.png", ratio)
    with Image.open(tmp_path / "wide.png") as image:
        assert image.size == (width, 12)


def test_pure_functions_leave_the_image_alone():
    image = draw_image("kept", (30, 20))
    before = image.tobytes()
    how = {"load_size": 12, "crop_size": 8}
    for preprocess in PREPROCESS:
        first = transforms.apply(image, preprocess=preprocess, flip=True, **how)
        assert torch.equal(first, apply(image, preprocess=preprocess, flip=True, **how))
    assert image.tobytes() == before
