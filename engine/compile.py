"""Networks through PyTorch's compiler."""

import torch
from torch import Tensor, nn


def compile_network(net: nn.Module, **how) -> None:
    """Let ``net`` run compiled from now on, for inputs of fixed sizes; ``how`` as `torch.compile`.

    A network is compiled twice: with its weights held fixed, and free. The compiler of torch 2.11
    does not look at that itself: what it made of fixed weights gave free ones no gradients.
    """
    forward = net.forward

    @torch.compile(dynamic=False, **how)
    def compiled(x: Tensor, is_fixed: bool) -> Tensor:
        # The question alone makes the compiler keep what it makes for each answer apart.
        return forward(x) if is_fixed else forward(x)  # noqa: RUF034

    def run(x: Tensor) -> Tensor:
        return compiled(x, not any(weight.requires_grad for weight in net.parameters()))

    net.forward = run
