"""The state of an optimizer by parameter name, independent of the order of parameters."""

import torch
from torch import Tensor


def optimizer_state(optimizer: torch.optim.Optimizer, weights: dict[str, Tensor]) -> dict:
    """Return the optimizer's state for each of ``weights`` by name, without its settings."""
    state = optimizer.state
    return {name: dict(state[weight]) for name, weight in weights.items() if weight in state}


def restore_optimizer(
    optimizer: torch.optim.Optimizer, weights: dict[str, Tensor], state: dict
) -> None:
    """Restore what `optimizer_state` returned.

    Moments get the memory layout of their weights, as fused Adam requires.
    """
    is_fused = any(group.get("fused") for group in optimizer.param_groups)

    for name, weight in weights.items():
        for key, value in state.get(name, {}).items():
            if key == "step":
                restored = value.to(weight.device) if is_fused else value.clone()
            else:
                restored = torch.empty_like(weight, requires_grad=False).copy_(value)
            optimizer.state[weight][key] = restored
