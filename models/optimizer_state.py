"""What an optimizer remembers, by the names of the weights."""

import torch
from torch import Tensor


def optimizer_state(optimizer: torch.optim.Optimizer, weights: dict[str, Tensor]) -> dict:
    """The memory of ``optimizer`` about each of ``weights``; its settings are not part of it."""
    known = optimizer.state
    return {name: dict(known[weight]) for name, weight in weights.items() if weight in known}


def restore_optimizer(
    optimizer: torch.optim.Optimizer, weights: dict[str, Tensor], state: dict
) -> None:
    """Go on where `optimizer_state` was asked.

    Moments get the memory layout of their weights: fused Adam takes it for granted.
    """
    on_device = any(group.get("fused") for group in optimizer.param_groups)
    for name, weight in weights.items():
        for kind, value in state.get(name, {}).items():
            if kind == "step":
                mine = value.to(weight.device) if on_device else value.clone()
            else:
                mine = torch.empty_like(weight, requires_grad=False).copy_(value)
            optimizer.state[weight][kind] = mine
