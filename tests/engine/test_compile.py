"""Compiled networks have the gradients of eager ones."""

from __future__ import annotations

import shutil

import pytest
import torch

from engine.compile import compile_network
from models.networks import define_D


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_networks_give_the_same_gradients(backend):
    """Alternately frozen and trainable, as the discriminators are in every step."""
    if backend == "inductor" and shutil.which("g++") is None:
        pytest.skip("inductor needs g++ on the CPU")
    torch.manual_seed(0)
    plain, compiled = (define_D(3, 4, "basic", 3, "instance", init_gain=0.1) for _ in range(2))
    compiled.load_state_dict(plain.state_dict())
    compile_network(compiled, backend=backend)
    for is_frozen in (True, False, True, False):
        grads = []
        for net in (plain, compiled):
            net.to(memory_format=torch.channels_last).requires_grad_(not is_frozen)
            x = random(2, 3, 32, 32).to(memory_format=torch.channels_last).requires_grad_()
            net.zero_grad()
            net(x).square().sum().backward()
            grads.append([x.grad, *(w.grad for w in net.parameters() if w.grad is not None)])
        assert len(grads[0]) == len(grads[1])
        assert (len(grads[0]) == 1) == is_frozen
        for expected, found in zip(*grads, strict=True):
            assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4)
