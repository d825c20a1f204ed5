"""Colors to L*a*b* and back, against scikit-image."""

from __future__ import annotations

import itertools
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import lab2rgb, rgb2lab
from torch import Tensor

from util.lab import lab_to_rgb, network_lab_to_rgb, rgb_to_lab, rgb_to_network_lab

LAB, RGB = 1e-4, 1e-6  # how far from scikit-image we may be

#: Colors in [0, 1] where a formula changes or something is at its end.
CORNERS = {
    "black to gray": [(v / 255 / 4,) * 3 for v in range(60)],
    "where sRGB bends": [(v, v / 2, 1 - v) for v in (0.0404, 0.04045, 0.0405, 0.0031308 * 12.92)],
    "one dark primary": [
        tuple(v if c == i else 0.0 for c in range(3))
        for i in range(3) for v in (1e-4, 0.003, 0.03, 0.09, 0.11, 0.2)
    ],
    "the cube": list(itertools.product((0.0, 0.5, 1.0), repeat=3)),
}  # fmt: skip
#: L, a, b that no image has, but a network may say.
OUTSIDE = {
    "colors without light": [(0.0, a, b) for a in (-110.0, 0, 110) for b in (-110.0, 0, 110)],
    "hardly any light": [(2.0, 30.0, 110.0), (7.9, -110.0, -110.0), (8.1, 110.0, 110.0)],
    "negative Z": [(40.0, 0.0, 110.0), (20.0, 110.0, 110.0)],
    "beyond white": [(100.0, a, b) for a in (-110.0, 110) for b in (-110.0, 110)],
}


def image(colors: list[tuple]) -> Tensor:
    """(3, 1, W) of the given colors, float64."""
    return torch.tensor(colors, dtype=torch.float64).T[:, None]


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def theirs(convert, planes: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about colors that cannot be
        return torch.from_numpy(convert(planes.numpy(), channel_axis=planes.ndim - 3))


def apart(first: Tensor, second: Tensor) -> float:
    assert first.shape == second.shape
    return (first - second).abs().max().item()


@pytest.mark.parametrize("shape", [(3, 100, 100), (2, 3, 20, 30), (2, 2, 3, 5, 4)], ids=str)
def test_colors_agree_both_ways(shape):
    rgb = noise(*shape)
    lab = rgb_to_lab(rgb)
    assert apart(lab, theirs(rgb2lab, rgb)) < LAB
    assert apart(lab_to_rgb(lab), theirs(lab2rgb, lab)) < RGB
    assert apart(lab_to_rgb(lab), rgb) < 2e-6


@pytest.mark.parametrize("colors", CORNERS.values(), ids=CORNERS)
def test_corners_agree_both_ways(colors):
    rgb = image(colors)
    lab = rgb_to_lab(rgb)
    assert apart(lab, theirs(rgb2lab, rgb)) < LAB
    assert apart(lab_to_rgb(lab), theirs(lab2rgb, lab)) < RGB
    assert apart(lab_to_rgb(lab), rgb) < 2e-6


@pytest.mark.parametrize("colors", OUTSIDE.values(), ids=OUTSIDE)
def test_what_cannot_be_shown_is_clipped(colors):
    lab = image(colors)
    rgb = lab_to_rgb(lab)
    assert apart(rgb, theirs(lab2rgb, lab)) < RGB
    assert rgb.min() >= 0 and rgb.max() <= 1


@given(st.tuples(st.floats(0, 100), st.floats(-110, 110), st.floats(-110, 110)))
def test_any_lab_gives_the_same_color(color):
    lab = image([color])
    assert apart(lab_to_rgb(lab), theirs(lab2rgb, lab)) < RGB


def test_known_colors():
    """Values that textbooks print: white, middle gray (118 is L 50), pure red, green and blue."""
    rgb = image([(1, 1, 1), (0.466, 0.466, 0.466), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
    expected = image([
        (100, 0, 0), (50, 0, 0), (53.24, 80.09, 67.20), (87.73, -86.18, 83.18),
        (32.30, 79.19, -107.86),
    ])  # fmt: skip
    assert apart(rgb_to_lab(rgb), expected) < 0.05


def test_networks_see_numbers_from_minus_one_to_one():
    images = torch.stack([noise(3, 32, 32).float() * 2 - 1, torch.ones(3, 32, 32)])
    L, ab = rgb_to_network_lab(images)
    assert (L.shape, ab.shape) == ((2, 1, 32, 32), (2, 2, 32, 32))
    assert L.dtype == ab.dtype == torch.float32
    assert L.abs().max() <= 1 + 1e-6 and ab.abs().max() <= 1
    assert L[1].min() == pytest.approx(1) and ab[1].abs().max() < 1e-4
    lab = theirs(rgb2lab, (images.double() + 1) / 2)
    assert apart(L.double(), lab[:, :1] / 50 - 1) < 1e-6
    assert apart(ab.double(), lab[:, 1:] / 110) < 1e-6
    assert apart(network_lab_to_rgb(L, ab), images) < 1e-4  # a level of 8 bits is 0.008


def test_the_last_bit_does_not_depend_on_the_threads():
    images = noise(3, 331, 173).float() * 2 - 1
    alone = rgb_to_network_lab(images)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        together = rgb_to_network_lab(images)
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, alone, together))
