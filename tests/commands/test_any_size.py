"""Images of any size: what comes out has the size of what went in, where that is asked for."""

from __future__ import annotations

import pytest
import torch
from helpers.commands import call_in, draw_image, generator, ok, sizes_in, write_weights
from hypothesis import given, settings
from hypothesis import strategies as st

from models.networks import GENERATORS
from util.images import resize_tensor

SIDES = st.integers(33, 70)
ODD = [(33, 70), (41, 37), (70, 33), (253, 257), (1, 1), (128, 5)]


def translated(net, height: int, width: int) -> torch.Tensor:
    with torch.no_grad():
        return net(torch.rand(1, 3, height, width) * 2 - 1)


@pytest.mark.parametrize("netG", GENERATORS)
def test_no_side_from_33_to_70_changes_the_size(netG):
    """Every height and every width, as squares and lying and standing."""
    net = generator(netG)
    for side in range(33, 71):
        for height, width in ((side, side), (side, 103 - side)):
            found = translated(net, height, width)
            assert found.shape == (1, 3, height, width)
            assert found.isfinite().all()


@pytest.mark.parametrize("netG", GENERATORS)
@given(height=SIDES, width=SIDES)
@settings(max_examples=25)
def test_no_size_from_33_to_70_changes(netG, height, width):
    assert translated(generator(netG), height, width).shape == (1, 3, height, width)


@given(sizes=st.tuples(*[st.integers(1, 70)] * 4))
def test_scaling_gives_exact_sizes_and_stays_in_range(sizes):
    height, width, *size = sizes
    image = torch.rand(3, height, width).round() * 2 - 1  # black and white: bicubic overshoots
    found = resize_tensor(image, tuple(size))
    assert found.shape == (3, size[1], size[0])
    assert -1 <= found.min() <= found.max() <= 1
    assert torch.equal(resize_tensor(image, (width, height)), image)


def test_scaling_down_does_not_alias():
    stripes = torch.ones(1, 64, 64)
    stripes[:, :, ::2] = -1
    assert resize_tensor(stripes, (23, 64))[..., 2:-2].abs().max() < 0.05


# --- through the commands -------------------------------------------------------------------


@pytest.mark.parametrize("netG", ["resnet_6blocks", "unet_128"])
def test_none_keeps_every_size_through_the_command(netG, tmp_path):
    expected = {}
    (tmp_path / "odd").mkdir()
    for width, height in ODD:
        draw_image("odd", (width, height)).save(tmp_path / "odd" / f"{width}x{height}.png")
        labels = ("real", "fake")
        expected |= {f"{width}x{height}_{label}.png": (width, height) for label in labels}
    words = [*write_weights(tmp_path, netG, "G"), "--dataroot", tmp_path / "odd"]
    ok(call_in(tmp_path, "test.py", *words, "--preprocess", "none"))
    assert sizes_in(tmp_path) == expected
