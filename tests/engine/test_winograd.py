"""Convolutions by Winograd's method equal direct ones, and are used where they are faster."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

import engine.winograd
from engine.winograd import Winograd, use_winograd
from models.networks import define_G

MAX_ERROR = 5e-5  # of the largest exact value


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def relative_error(found: torch.Tensor, exact: torch.Tensor) -> float:
    return ((found.double() - exact).abs().max() / exact.abs().max()).item()


@given(
    n=st.integers(1, 3),
    channels=st.sampled_from([1, 5, 64]),
    out=st.sampled_from([1, 7, 64]),
    height=st.integers(3, 23),
    width=st.integers(3, 23),
    nhwc=st.booleans(),
)
def test_winograd_equals_direct_convolution(n, channels, out, height, width, nhwc):
    x, weight = random(n, channels, height, width), random(out, channels, 3, 3, seed=1)
    grad = random(n, out, height - 2, width - 2, seed=2)
    if nhwc:
        x, grad = (t.to(memory_format=torch.channels_last) for t in (x, grad))

    exact: list[torch.Tensor] = []
    found: list[torch.Tensor] = []
    for compute, dtype, results in (
        (F.conv2d, torch.float64, exact),
        (Winograd.apply, torch.float32, found),
    ):
        leaves = [t.to(dtype).requires_grad_() for t in (x, weight)]
        y = compute(*leaves)
        y.backward(grad.to(dtype))
        results += [y.detach(), *(leaf.grad for leaf in leaves)]
    for result, expected in zip(found, exact, strict=True):
        assert result.shape == expected.shape
        assert relative_error(result, expected) < MAX_ERROR


def test_results_do_not_depend_on_the_block_size(monkeypatch):
    x, weight = random(2, 8, 42, 30), random(6, 8, 3, 3, seed=1)
    exact = F.conv2d(x.double(), weight.double())
    for floats in (10**9, 10**4, 1):
        monkeypatch.setattr(engine.winograd, "MAX_BLOCK_FLOATS", floats)
        assert relative_error(Winograd.apply(x, weight), exact) < MAX_ERROR


def test_only_requested_gradients_are_computed():
    x, weight = random(1, 4, 10, 10), random(3, 4, 3, 3, seed=1).requires_grad_()
    Winograd.apply(x, weight).sum().backward()
    assert weight.grad is not None
    assert x.grad is None

    trained_x = x.clone().requires_grad_()
    frozen_weight = weight.detach()
    Winograd.apply(trained_x, frozen_weight).sum().backward()
    assert trained_x.grad is not None
    assert frozen_weight.grad is None


def test_winograd_is_used_only_for_large_float32_convolutions(monkeypatch):
    calls = []
    monkeypatch.setattr(
        Winograd, "apply", lambda x, w: calls.append(x.shape) or F.conv2d(x, w), raising=True
    )
    net = use_winograd(define_G(3, 3, 16, "resnet_6blocks", "instance"))
    with torch.no_grad():
        net(torch.zeros(1, 3, 32, 32))
        assert not calls  # too little work
        monkeypatch.setattr(engine.winograd, "MIN_WORK", 0)
        net(torch.zeros(1, 3, 32, 32))
        assert len(calls) == 12  # both convolutions of six blocks
        net.double()(torch.zeros(1, 3, 32, 32, dtype=torch.float64))
        assert len(calls) == 12
