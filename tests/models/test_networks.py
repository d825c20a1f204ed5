"""The networks: reference values, sizes, ranges, gradients, receptive fields."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.commands import GOLDEN, golden
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.networks import (
    DISCRIMINATORS,
    GENERATORS,
    NORMS,
    SKIPS,
    define_D,
    define_G,
    generator_options,
)
from options import TrainOptions

REFERENCES = sorted(file.name for file in GOLDEN.glob("[GD]_*.pt"))
RESNETS = sorted(name for name in GENERATORS if name.startswith("resnet"))
#: option of a generator → its values
CHOICES = {name: flag.choices for name, flag in TrainOptions().flags().items()}
CHANNELS = [(3, 3), (1, 3), (3, 1), (2, 5)]

#: Worked out by hand: the last two 4×4 convolutions make 7, every halving 2·r + 2.
RECEPTIVE_FIELDS = {1: 16, 2: 34, 3: 70, 4: 142}


def build(config: dict) -> nn.Module:
    """The network that a reference file describes."""
    if config["kind"] == "G":
        return define_G(
            config["input_nc"], config["output_nc"], config["width"], config["net"],
            config["norm"], config["use_dropout"],
        )  # fmt: skip
    return define_D(
        config["input_nc"], config["width"], config["net"], config["n_layers_D"], config["norm"]
    )


def size_of(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


def small_G(netG: str, norm: str = "instance", channels=(3, 3), **how) -> nn.Module:
    torch.manual_seed(0)
    how = {"init_type": "kaiming", **how}
    return define_G(*channels, 1 if netG.startswith("unet") else 2, netG, norm, **how)


@pytest.mark.parametrize("file", REFERENCES)
def test_agrees_with_the_reference(file):
    reference = golden(file)
    net = build(reference["config"])
    net.load_state_dict(reference["state_dict"], strict=True)
    net.eval()
    with torch.no_grad():
        output = net(reference["input"])
    assert output.dtype == torch.float32
    assert output.shape == reference["output"].shape
    assert (output - reference["output"]).abs().max() <= 1e-5


@pytest.mark.parametrize("file", REFERENCES)
def test_stores_what_the_reference_stores(file):
    reference = golden(file)
    ours = build(reference["config"]).state_dict()
    assert list(ours) == list(reference["state_dict"])
    for name, value in reference["state_dict"].items():
        assert (ours[name].shape, ours[name].dtype) == (value.shape, value.dtype), name


def test_numbers_of_parameters_of_the_paper():
    assert size_of(define_G(3, 3, 64, "resnet_9blocks", "instance")) == 11_378_179
    assert size_of(define_D(3, 64, "basic", norm="instance")) == 2_764_737


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("netG", GENERATORS)
@pytest.mark.parametrize("channels", CHANNELS, ids=str)
def test_generators_keep_the_size_and_the_range(netG, norm, channels):
    net = small_G(netG, norm, channels, init_gain=1.0)
    with torch.no_grad():
        output = net(torch.rand(2, channels[0], 41, 70) * 2 - 1)
    assert output.shape == (2, channels[1], 41, 70)
    assert output.abs().max() <= 1
    assert output.std() > 0


@pytest.mark.parametrize("netG", RESNETS)
@given(height=st.integers(1, 70), width=st.integers(1, 70), count=st.integers(1, 2))
@settings(max_examples=15)
def test_resnets_take_images_of_any_size(netG, height, width, count):
    with torch.no_grad():
        output = small_G(netG)(torch.randn(count, 3, height, width))
    assert output.shape == (count, 3, height, width)
    assert output.isfinite().all()


@pytest.mark.parametrize("netG", GENERATORS)
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (129, 33), (300, 258)], ids=str)
def test_generators_see_the_image_continued_by_reflection(netG, size):
    net = small_G(netG).eval()
    side = {"unet_256": 256, "unet_128": 128}.get(netG, 4)
    least = max(side, 8)
    extra = [max(least, -(-n // side) * side) - n for n in size]
    image = torch.randn(1, 3, *size)
    padded = np.pad(image.numpy(), ((0, 0), (0, 0), (0, extra[0]), (0, extra[1])), "reflect")
    with torch.no_grad():
        whole = net(torch.from_numpy(padded))
        assert torch.equal(net(image), whole[..., : size[0], : size[1]])


@pytest.mark.parametrize("netG", RESNETS)
@pytest.mark.parametrize("size", [(64, 64), (32, 48), (8, 8)], ids=str)
def test_resnets_leave_fitting_images_alone(netG, size):
    net, image = small_G(netG), torch.randn(1, 3, *size)
    with torch.no_grad():
        assert torch.equal(net(image), net.model(image))


@pytest.mark.parametrize("use_dropout", [False, True])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("netG", GENERATORS)
def test_every_generator_weight_learns(netG, norm, use_dropout):
    net = small_G(netG, norm, use_dropout=use_dropout).double()
    image = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    net(image).mul(torch.randn_like(image)).sum().backward()
    assert_all_learn(net, norm)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("netD", DISCRIMINATORS)
def test_every_discriminator_weight_learns(netD, norm):
    torch.manual_seed(0)
    net = define_D(3, 2, netD, 2, norm, "kaiming").double()
    scores = net(torch.randn(2, 3, 64, 64, dtype=torch.float64))
    assert scores.shape[:2] == (2, 1)
    scores.mul(torch.randn_like(scores)).sum().backward()
    assert_all_learn(net, norm)


def assert_all_learn(net: nn.Module, norm: str) -> None:
    """Before instance norm a bias is without effect; every other weight has a gradient."""
    for name, weight in net.named_parameters():
        if weight.ndim > 1 or norm != "instance":
            assert weight.grad is not None, name
            assert weight.grad.isfinite().all(), name
            assert weight.grad.abs().max() > 0, name


@pytest.mark.parametrize("netG", GENERATORS)
def test_dropout_is_there_when_asked_for_only(netG):
    def has_dropout(asked):
        net = small_G(netG, use_dropout=asked)
        return any(isinstance(layer, nn.Dropout) for layer in net.modules())

    assert has_dropout(True)
    assert not has_dropout(False)


@pytest.mark.parametrize("n_layers", RECEPTIVE_FIELDS)
def test_receptive_field_of_a_score(n_layers):
    net = define_D(3, 2, "n_layers", n_layers, "none", init_gain=1.0)
    assert seen_by_one_score(net, 288) == (RECEPTIVE_FIELDS[n_layers],) * 2


@pytest.mark.parametrize(("netD", "pixels"), [("basic", 70), ("pixel", 1)])
@pytest.mark.parametrize("n_layers", [1, 5])
def test_receptive_field_does_not_depend_on_n_layers(netD, pixels, n_layers):
    net = define_D(3, 2, netD, n_layers, "none", init_gain=1.0)
    assert seen_by_one_score(net, 288) == (pixels, pixels)


def seen_by_one_score(net: nn.Module, size: int) -> tuple[int, int]:
    """Height and width of the pixels that move the score in the middle; nothing cancels."""
    for weight in net.parameters():
        weight.data.abs_()
    image = torch.rand(1, 3, size, size, requires_grad=True)
    scores = net(image)[0, 0]
    scores[scores.shape[0] // 2, scores.shape[1] // 2].backward()
    touched = image.grad[0].abs().sum(0) > 0
    rows, columns = touched.any(1), touched.any(0)
    assert touched.sum() == rows.sum() * columns.sum()
    return int(rows.sum()), int(columns.sum())


@pytest.mark.parametrize(("netD", "side"), [("basic", 30), ("pixel", 256)])
def test_maps_of_scores_at_256(netD, side):
    with torch.no_grad():
        assert define_D(3, 2, netD)(torch.randn(1, 3, 256, 256)).shape == (1, 1, side, side)


@pytest.mark.parametrize("netD", DISCRIMINATORS)
def test_scores_are_raw(netD):
    """Neither a sigmoid nor a tanh stands at the end: ten times the last layer, ten times that."""
    net = define_D(3, 4, netD, norm="none", init_gain=1.0).double()
    image = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        before = net(image)
        last = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)][-1]
        last.weight.mul_(10)
        torch.testing.assert_close(net(image), 10 * before)
    assert before.abs().max() > 1


def test_skip_connections_add_the_encoder_to_the_decoder():
    """Of two stages, by running the layers one after the other."""
    net = small_G("resnet_6blocks", skip="add").double()
    layers, x = net.model, torch.randn(1, 3, 16, 16, dtype=torch.float64)
    full = layers[:4](x)
    half = layers[4:7](full)
    up_half = layers[7:19](half) + half  # downsampling, 6 blocks, upsampling
    up_full = layers[19:22](up_half) + full
    torch.testing.assert_close(net(x), layers[22:](up_full), rtol=0, atol=1e-12)


@pytest.mark.parametrize("skip", SKIPS)
def test_a_residual_generator_changes_the_image(skip):
    """Without a change the image stays as it is; the sum stays in [-1, 1]."""
    net = small_G("resnet_6blocks", skip=skip, residual="on")
    x = torch.rand(2, 3, 18, 21) * 2 - 1
    assert not torch.equal(net(x), x)
    last = net.model[-2]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    assert torch.equal(net(x), x)

    torch.nn.init.constant_(last.bias, 0.75)
    torch.testing.assert_close(net(x), (x + 0.75).clamp(-1, 1))


@pytest.mark.parametrize("netG", GENERATORS)
def test_options_of_a_generator_keep_size_and_range(netG):
    for option in generator_options(netG):
        for value in CHOICES[option]:
            net = small_G(netG, **{option: value})
            x = torch.rand(1, 3, 33, 20) * 2 - 1
            y = net(x)
            assert y.shape == x.shape
            assert y.abs().max() <= 1
