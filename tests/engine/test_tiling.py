"""Translation in tiles gives the result of the whole image, without seams."""

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

from engine.tiling import MIN_OVERLAP, TiledForward, tile_network, tile_spans
from models.networks import define_G

LEVEL = 1 / 127.5  # a gray level, in images of [-1, 1]


def make_net(norm: str, netG: str = "resnet_6blocks", **options: str):
    torch.manual_seed(0)
    return define_G(3, 3, 8, netG, norm, init_type="kaiming", **options)


def run_whole_and_tiled(net, image, tile: int = 64, overlap: int = MIN_OVERLAP):
    with torch.inference_mode():
        whole = net(image)
        tile_network(net, tile, overlap)
        return whole, net(image)


@given(
    length=st.integers(1, 60),
    tile=st.integers(2, 20),
    overlap=st.integers(1, 10),
    stride=st.sampled_from([1, 2, 4]),
)
def test_each_pixel_is_in_one_valid_region(length, tile, overlap, stride):
    overlap = min(overlap, tile // 2)
    length, tile, overlap = length * stride, tile * stride, overlap * stride
    row = tile_spans(length, tile, overlap, stride)

    covered = [pixel for span in row for pixel in range(span.valid_start, span.valid_stop)]
    assert covered == list(range(length))
    for span in row:
        assert span.stop - span.start == row[0].stop - row[0].start <= tile
        assert 0 <= span.start <= span.valid_start <= span.valid_stop <= span.stop <= length
        assert all(value % stride == 0 for value in vars(span).values())
    for left, right in pairwise(row):
        assert left.stop - right.start >= overlap
        margin = overlap // (2 * stride) * stride
        assert left.stop - left.valid_stop >= margin
        assert right.valid_start - right.start >= margin


@pytest.mark.parametrize("size", [(128, 128), (65, 150), (131, 64), (40, 200)], ids=str)
@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
def test_resnet_output_is_equal(norm, size):
    torch.manual_seed(1)
    whole, tiled = run_whole_and_tiled(make_net(norm), torch.rand(2, 3, *size) * 2 - 1)
    assert whole.std() > 0.1
    assert (whole - tiled).abs().max() < 0.05 * LEVEL


def test_resize_convolutions_are_equal_and_store_no_large_feature_map():
    """Only feature maps of a quarter of the size are stored, as with transposed convolutions."""
    stored = [
        [store for _, store in TiledForward(net.model, 64, MIN_OVERLAP, net.stride).chain]
        for net in (make_net("instance"), make_net("instance", upsample="resize"))
    ]
    assert stored[0] == stored[1]

    net = make_net("instance", upsample="resize")
    whole, tiled = run_whole_and_tiled(net, torch.rand(1, 3, 131, 150) * 2 - 1)
    assert (whole - tiled).abs().max() < 0.05 * LEVEL


@settings(max_examples=8)
@given(height=st.integers(33, 180), width=st.integers(33, 180), tile=st.integers(16, 30))
def test_any_size_and_tile(height, width, tile):
    image = torch.rand(1, 3, height, width) * 2 - 1
    whole, tiled = run_whole_and_tiled(make_net("instance"), image, 4 * tile)
    assert tiled.shape == whole.shape
    assert (whole - tiled).abs().max() < 0.05 * LEVEL


def test_running_statistics_are_used_in_eval_mode():
    net = make_net("batch").eval()
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    whole, tiled = run_whole_and_tiled(net, torch.rand(1, 3, 100, 100) * 2 - 1)
    assert (whole - tiled).abs().max() < 0.05 * LEVEL


def test_independent_tiles_would_show_seams():
    """The difference that the other tests rule out is large where parts of an image differ."""
    net, image = make_net("instance"), torch.rand(1, 3, 128, 128) * 2 - 1
    image[..., :64] *= 0.1
    whole, tiled = run_whole_and_tiled(net, image)
    with torch.inference_mode():
        halves = torch.cat([net(half) for half in image.split(64, dim=3)], dim=3)
    assert (whole - tiled).abs().max() < 0.05 * LEVEL
    assert (whole - halves).abs().mean() > 5 * LEVEL


def test_layers_are_restored():
    net, image = make_net("instance"), torch.rand(1, 3, 128, 128) * 2 - 1
    _, tiled = run_whole_and_tiled(net, image)
    with torch.inference_mode():
        assert torch.equal(net(image), tiled)
        small = image[..., :64, :64]
        assert torch.equal(net(small), make_net("instance")(small))
    assert not any("forward" in vars(layer) for layer in net.model)


def test_bf16_error_is_that_of_bf16():
    net, image = make_net("instance"), torch.rand(1, 3, 128, 128) * 2 - 1
    with torch.inference_mode():
        exact = net(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            whole, tiled = run_whole_and_tiled(net, image)
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
    "not a multiple of 4": (["--tile", "62"], ("--tile 62", "multiple of 4")),
    "overlap too small": (["--tile", "64", "--overlap", "8"], ("--overlap 8", "32")),
    "overlap too large": (
        ["--tile", "64", "--overlap", "36"],
        ("--overlap 36", "half of --tile 64"),
    ),
    "U-Net": (["--tile", "64", "--netG", "unet_128"], ("--tile", "unet_128")),
    "skips": (["--tile", "64", "--skip", "add"], ("--tile", "--skip add")),
    "residual": (["--tile", "64", "--residual", "on"], ("--tile", "--residual on")),
    "not a number": (["--tile", "big"], ("--tile", "whole number")),
}


@pytest.mark.parametrize(("words", "says"), WRONG.values(), ids=WRONG)
def test_invalid_tiles_are_refused(words, says, tiny, call, dataset):
    failures(call(*tiny, "--dataroot", dataset / "testA", *words), says)


def test_dropout_is_refused(call, dataset, trained, tmp_path):
    words = ["--dataroot", dataset / "testA", "--name", "other", "--gpu_ids", "-1"]
    done = call("test.py", *words, "--tile", "64", "--overlap", "32")
    failures(done, ("--tile", "--no_dropout"))


def test_default_overlap_is_smaller_for_small_tiles(tiny, call, dataset):
    done = ok(call(*tiny, "--dataroot", dataset / "testA", "--tile", "64"))
    assert "overlap: 32" in done.stdout
