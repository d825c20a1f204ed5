"""Translation in tiles: the same as in one piece, without seams, in less memory."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers.commands import draw_image, ok
from helpers.refusals import failures
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.tiling import MIN_OVERLAP, spans, tile_network
from models.networks import define_G

LEVEL = 1 / 127.5  # a gray level, in images of [-1, 1]


def net_with(norm: str, netG: str = "resnet_6blocks"):
    torch.manual_seed(0)
    return define_G(3, 3, 8, netG, norm, init_type="kaiming")


def whole_and_tiled(net, image, tile: int = 64, overlap: int = MIN_OVERLAP):
    with torch.inference_mode():
        whole = net(image)
        tile_network(net, tile, overlap)
        return whole, net(image)


@given(
    length=st.integers(1, 60), tile=st.integers(2, 20), overlap=st.integers(1, 10),
    stride=st.sampled_from([1, 2, 4]),
)  # fmt: skip
def test_tiles_answer_for_every_pixel_once(length, tile, overlap, stride):
    overlap = min(overlap, tile // 2)
    length, tile, overlap = length * stride, tile * stride, overlap * stride
    row = spans(length, tile, overlap, stride)
    answered = [pixel for each in row for pixel in range(each.first, each.last)]
    assert answered == list(range(length))
    for each in row:
        assert each.stop - each.start == row[0].stop - row[0].start <= tile
        assert 0 <= each.start <= each.first <= each.last <= each.stop <= length
        assert all(value % stride == 0 for value in vars(each).values())
    for one, other in pairwise(row):
        assert one.stop - other.start >= overlap
        margin = overlap // (2 * stride) * stride
        assert one.stop - one.last >= margin
        assert other.first - other.start >= margin


@pytest.mark.parametrize("size", [(128, 128), (65, 150), (131, 64), (40, 200)], ids=str)
@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
def test_a_resnet_sees_no_difference(norm, size):
    torch.manual_seed(1)
    whole, tiled = whole_and_tiled(net_with(norm), torch.rand(2, 3, *size) * 2 - 1)
    assert whole.std() > 0.1
    assert (whole - tiled).abs().max() < 0.05 * LEVEL


@settings(max_examples=8)
@given(height=st.integers(33, 180), width=st.integers(33, 180), tile=st.integers(16, 30))
def test_any_size_in_any_tiles(height, width, tile):
    image = torch.rand(1, 3, height, width) * 2 - 1
    whole, tiled = whole_and_tiled(net_with("instance"), image, 4 * tile)
    assert tiled.shape == whole.shape
    assert (whole - tiled).abs().max() < 0.05 * LEVEL


def test_running_statistics_are_used_where_there_are_some():
    net = net_with("batch").eval()
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    whole, tiled = whole_and_tiled(net, torch.rand(1, 3, 100, 100) * 2 - 1)
    assert (whole - tiled).abs().max() < 0.05 * LEVEL


def test_without_the_whole_image_there_would_be_seams():
    """What the other tests rule out is there to be seen: images whose parts differ."""
    net, image = net_with("instance"), torch.rand(1, 3, 128, 128) * 2 - 1
    image[..., :64] *= 0.1
    whole, tiled = whole_and_tiled(net, image)
    with torch.inference_mode():
        halves = torch.cat([net(half) for half in image.split(64, dim=3)], dim=3)
    assert (whole - tiled).abs().max() < 0.05 * LEVEL
    assert (whole - halves).abs().mean() > 5 * LEVEL


def test_layers_are_left_as_they_were():
    net, image = net_with("instance"), torch.rand(1, 3, 128, 128) * 2 - 1
    _, tiled = whole_and_tiled(net, image)
    with torch.inference_mode():
        assert torch.equal(net(image), tiled)
        small = image[..., :64, :64]
        assert torch.equal(net(small), net_with("instance")(small))
    assert not any("forward" in vars(layer) for layer in net.model)


def test_bf16_differs_no_more_than_bf16_does():
    net, image = net_with("instance"), torch.rand(1, 3, 128, 128) * 2 - 1
    with torch.inference_mode():
        exact = net(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            whole, tiled = whole_and_tiled(net, image)
    rounding = (whole - exact).abs().mean()
    assert 0 < (tiled - exact).abs().mean() < 1.5 * rounding


@pytest.mark.parametrize("model", ["test", "cycle_gan"])
def test_the_command_translates_in_tiles(model, tiny, call, dataset, tmp_path):
    for side in ("testA", "testB"):
        (tmp_path / "large" / side).mkdir(parents=True)
        draw_image(side, (150, 101)).save(tmp_path / "large" / side / "one.png")
    root = tmp_path / "large" / ("testA" if model == "test" else "")
    words = [*tiny, "--dataroot", root, "--model", model, "--preprocess", "none"]
    found = []
    for more in ([], ["--tile", "64", "--overlap", "32"]):
        done = ok(call(*words, *more))
        images = sorted((tmp_path / "results" / "tiny" / "test_latest" / "images").glob("*.png"))
        found.append([np.asarray(Image.open(path)).astype(int) for path in images])
    assert "in tiles of 64×64" in done.stdout
    assert len(found[0]) == len(found[1]) == {"test": 2, "cycle_gan": 6}[model]
    for whole, tiled in zip(*found, strict=True):
        assert whole.shape == (101, 150, 3)
        assert np.abs(whole - tiled).max() <= 1


WRONG = {
    "no multiple of 4": (["--tile", "62"], ("--tile 62", "multiple of 4")),
    "little overlap": (["--tile", "64", "--overlap", "8"], ("--overlap 8", "32")),
    "much overlap": (["--tile", "64", "--overlap", "36"], ("--overlap 36", "half of --tile 64")),
    "a U-Net": (["--tile", "64", "--netG", "unet_128"], ("--tile", "unet_128")),
    "no number": (["--tile", "big"], ("--tile", "whole number")),
}


@pytest.mark.parametrize(("words", "says"), WRONG.values(), ids=WRONG)
def test_tiles_that_cannot_be(words, says, tiny, call, dataset):
    failures(call(*tiny, "--dataroot", dataset / "testA", *words), says)


def test_dropout_is_told_of(call, dataset, trained, tmp_path):
    words = ["--dataroot", dataset / "testA", "--name", "other", "--gpu_ids", "-1"]
    done = call("test.py", *words, "--tile", "64", "--overlap", "32")
    failures(done, ("--tile", "--no_dropout"))


def test_small_tiles_share_less_unless_something_else_is_typed(tiny, call, dataset):
    done = ok(call(*tiny, "--dataroot", dataset / "testA", "--tile", "64"))
    assert "overlap: 32" in done.stdout
