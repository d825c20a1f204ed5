"""Networks compiled by `torch.compile`."""

import torch
from torch import Tensor, nn


def compile_network(net: nn.Module, **options) -> None:
    """Replace ``net.forward`` with a compiled version; ``options`` are those of `torch.compile`.

    Shapes are static, so each input shape is compiled once, and once more for frozen weights: the
    compiler of torch 2.11 does not guard on ``requires_grad`` of parameters, and a graph traced
    with frozen weights gives trainable ones no gradients.
    """
    forward = net.forward

    @torch.compile(dynamic=False, **options)
    def compiled_forward(x: Tensor, is_frozen: bool) -> Tensor:
        # The branch makes the compiler guard on `is_frozen`.
        return forward(x) if is_frozen else forward(x)  # noqa: RUF034

    def run(x: Tensor) -> Tensor:
        is_frozen = not any(weight.requires_grad for weight in net.parameters())
        return compiled_forward(x, is_frozen)

    net.forward = run
