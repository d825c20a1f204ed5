"""Layers, padding and fresh weights: against formulas written out by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from models.networks import INIT_TYPES, NORMS, define_D, define_G
from models.networks.initialization import init_weights
from models.networks.layers import (
    ChannelsLastInstanceNorm2d,
    ResizeConv2d,
    extend_by_reflection,
    forward_batched,
    forward_padded,
    repeat_border,
    upsample_conv,
)

EPS = 1e-5
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6}


def by_hand(x: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Instance norm of x and, for the incoming gradient g, the gradient of x."""

    def mean(values):
        return values.mean(axis=(2, 3), keepdims=True)

    deviation = np.sqrt(mean((x - mean(x)) ** 2) + EPS)
    y = (x - mean(x)) / deviation
    return y, (g - mean(g) - y * mean(g * y)) / deviation


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("incoming", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("shape", [(6, 5, 7), (8, 16, 16)], ids=str)
def test_instance_norm_is_the_formula(n, layout, incoming, dtype, shape):
    torch.manual_seed(n)
    x, g = torch.randn(2, n, *shape, dtype=torch.float64).to(dtype)
    x = (3 * x + 1).contiguous(memory_format=LAYOUTS[layout]).requires_grad_()
    g = g.contiguous(memory_format=LAYOUTS[incoming])
    y = ChannelsLastInstanceNorm2d(shape[0])(x)
    (slope,) = torch.autograd.grad(y, x, g)
    expected, expected_slope = by_hand(x.detach().double().numpy(), g.double().numpy())
    assert y.dtype == slope.dtype == dtype
    assert np.abs(y.detach().double().numpy() - expected).max() < TOLERANCE[dtype] * 4
    assert np.abs(slope.double().numpy() - expected_slope).max() < TOLERANCE[dtype] * 4


def test_a_compiler_gets_the_formula():
    graphs = []

    def keep(graph, _):
        graphs.append(graph.code)
        return graph.forward

    x = torch.randn(2, 4, 6, 6)
    compiled = torch.compile(ChannelsLastInstanceNorm2d(4), backend=keep, fullgraph=True)
    torch.testing.assert_close(compiled(x), ChannelsLastInstanceNorm2d(4)(x))
    assert len(graphs) == 1
    assert "var_mean" in graphs[0]
    assert "instance_norm" not in graphs[0]


def test_instance_norm_stores_nothing_and_is_the_same_in_eval_mode():
    net, x = ChannelsLastInstanceNorm2d(4), torch.randn(2, 4, 6, 6)
    assert net.state_dict() == {}
    assert torch.equal(net.train()(x), net.eval()(x))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (8, 8)])
def test_resize_convolution_is_upsampling_padding_and_convolution(size, bias):
    torch.manual_seed(0)
    layer = ResizeConv2d(3, 5, bias=bias).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    upsampled = torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest")
    padded = torch.nn.functional.pad(upsampled, (1, 1, 1, 1), mode="reflect")
    expected = torch.nn.functional.conv2d(padded, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)

    inputs = (x, *layer.parameters())
    weights = torch.randn_like(expected)
    ours = torch.autograd.grad((layer(x) * weights).sum(), inputs)
    direct = torch.autograd.grad((expected * weights).sum(), inputs)
    for gradient, true in zip(ours, direct, strict=True):
        torch.testing.assert_close(gradient, true, rtol=0, atol=1e-11)


def test_a_compiled_border_is_the_same():
    x = torch.randn(2, 3, 4, 5)
    compiled = torch.compile(repeat_border, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x), repeat_border(x))


def test_resize_convolution_has_no_checkerboard():
    """A constant image stays constant; a transposed convolution of kernel 3 gives a pattern."""
    flat = torch.ones(1, 4, 6, 6)
    for upsample, has_pattern in (("transpose", True), ("resize", False)):
        torch.manual_seed(0)
        how = {"stride": 2, "padding": 1, "output_padding": 1}
        layer, _ = upsample_conv(4, 2, 3, upsample=upsample, norm="none", **how)
        inner = layer(flat)[..., 2:-2, 2:-2]
        assert (inner.std(dim=(2, 3)) > 1e-3).all() == has_pattern
        assert (inner.std(dim=(2, 3)) < 1e-5).all() == (not has_pattern)


def test_spectral_norm_divides_by_the_largest_singular_value():
    torch.manual_seed(0)
    net = define_D(3, 4, "basic", norm="instance", init_gain=0.5, spectral_norm=True)
    assert not any(isinstance(layer, ChannelsLastInstanceNorm2d) for layer in net.modules())
    for _ in range(60):  # one power iteration each
        net(torch.randn(1, 3, 32, 32))
    layers = [layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert len(layers) == 5
    for layer in layers:
        assert layer.bias is not None
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert largest.item() == pytest.approx(1, abs=2e-2)


def test_instance_norm_keeps_images_apart():
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64)
    alone = torch.cat([ChannelsLastInstanceNorm2d(4)(one) for one in x.split(1)])
    torch.testing.assert_close(ChannelsLastInstanceNorm2d(4)(x), alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("norm", NORMS)
def test_on_each_equals_separate_calls(norm, training):
    torch.manual_seed(0)
    net = define_G(3, 3, 2, "resnet_6blocks", norm, init_gain=0.3).double().train(training)
    apart = copy.deepcopy(net)
    batches = torch.randn(2, 2, 3, 16, 16, dtype=torch.float64)
    together = forward_batched(net, *batches)
    for result, batch in zip(together, batches, strict=True):
        torch.testing.assert_close(result, apart(batch), rtol=0, atol=1e-12)
    for ours, theirs in zip(net.buffers(), apart.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


def continued(x: np.ndarray, below: int, right: int) -> np.ndarray:
    """Every pixel looked up one by one, as between two parallel mirrors."""

    def place(i: int, n: int) -> int:
        i %= max(1, 2 * n - 2)
        return i if i < n else 2 * n - 2 - i

    rows = [place(i, x.shape[-2]) for i in range(x.shape[-2] + below)]
    columns = [place(i, x.shape[-1]) for i in range(x.shape[-1] + right)]
    return x[..., rows, :][..., columns]


@given(*[st.integers(1, 9)] * 2, *[st.integers(0, 40)] * 2)
def test_reflect_continues_by_mirror_images(height, width, right, below):
    x = torch.arange(2.0 * height * width).view(1, 2, height, width)
    result = extend_by_reflection(x, right, below)
    assert np.array_equal(result.numpy(), continued(x.numpy(), below, right))


@given(*[st.integers(1, 40)] * 2, st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 8, 16]))
def test_on_padded_gives_the_network_what_fits(height, width, stride, smallest):
    seen = []

    def net(x):
        seen.append(x)
        return -x

    x = torch.randn(1, 2, height, width)
    assert torch.equal(forward_padded(net, x, stride, smallest), -x)
    (given_to_net,) = seen
    for side, least in zip(given_to_net.shape[-2:], (height, width), strict=True):
        assert side % stride == 0 or side == smallest
        assert least <= side < max(least + stride, smallest + 1)
    more = (given_to_net.shape[-2] - height, given_to_net.shape[-1] - width)
    assert np.array_equal(given_to_net.numpy(), continued(x.numpy(), *more))


# --- fresh weights ----------------------------------------------------------------------------

#: name → standard deviation for (gain, inputs of an output value, outputs of an input value)
SPREADS = {
    "normal": lambda gain, fan_in, fan_out: gain,
    "xavier": lambda gain, fan_in, fan_out: gain * (2 / (fan_in + fan_out)) ** 0.5,
    "kaiming": lambda gain, fan_in, fan_out: (2 / fan_in) ** 0.5,
    "orthogonal": lambda gain, fan_in, fan_out: gain * fan_in**-0.5,
}
SOME_LAYERS = {
    "conv": lambda: nn.Conv2d(48, 32, 4),
    "transposed": lambda: nn.ConvTranspose2d(48, 32, 4),
}


@pytest.mark.parametrize("gain", [0.02, 1.0])
@pytest.mark.parametrize("layer", SOME_LAYERS)
@pytest.mark.parametrize("init_type", SPREADS)
def test_spread_of_fresh_weights(init_type, layer, gain):
    """24,576 weights: their deviation is known to 0.45 %, the bound is five times that."""
    torch.manual_seed(0)
    layer = init_weights(SOME_LAYERS[layer](), init_type, gain)
    rows, columns = layer.weight.shape[0], layer.weight[0].numel()
    spread = SPREADS[init_type](gain, columns, rows * 16)
    assert layer.weight.std().item() == pytest.approx(spread, rel=0.023)
    assert abs(layer.weight.mean().item()) < 5 * spread / layer.weight.numel() ** 0.5
    if init_type == "orthogonal":
        flat = layer.weight.detach().flatten(1) / gain
        torch.testing.assert_close(flat @ flat.T, torch.eye(rows), rtol=0, atol=1e-5)


@pytest.mark.parametrize("init_type", INIT_TYPES)
def test_every_initializer_is_repeatable_and_leaves_biases_zero(init_type):
    def fresh(seed):
        torch.manual_seed(seed)
        return define_G(3, 3, 2, "resnet_6blocks", "instance", init_type=init_type, init_gain=0.1)

    first, again, other = fresh(1).state_dict(), fresh(1).state_dict(), fresh(2).state_dict()
    for name, value in first.items():
        assert torch.equal(value, again[name])
        if name.endswith("bias"):
            assert not value.any(), name
        else:
            assert not torch.equal(value, other[name]), name
            assert value.isfinite().all() and value.std() > 0, name


@pytest.mark.parametrize("init_type", INIT_TYPES)
def test_scales_of_batch_norm(init_type):
    torch.manual_seed(0)
    layer = init_weights(nn.BatchNorm2d(20_000), init_type, 0.3)
    assert layer.weight.mean().item() == pytest.approx(1, abs=0.012)
    assert layer.weight.std().item() == pytest.approx(0.3, rel=0.03)
    assert not layer.bias.any()


def test_the_gain_reaches_the_network():
    torch.manual_seed(0)
    net = define_G(3, 3, 8, "resnet_6blocks", "instance", init_type="normal", init_gain=0.5)
    weights = torch.cat([w.flatten() for w in net.parameters() if w.ndim == 4])
    assert weights.std().item() == pytest.approx(0.5, rel=0.02)
