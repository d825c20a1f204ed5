"""Numbers that went bad stop at the door of the optimizers."""

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm


class Guard:
    """Leaves out every update whose gradients hold NaN or infinity, and counts them.

    So the weights stay finite whatever happens. It works on the device, as part of a captured
    graph too; nobody waits for it until somebody asks.
    """

    def __init__(self, optimizers: dict[str, torch.optim.Optimizer], device: torch.device):
        self.counts = {name: torch.zeros((), device=device) for name in optimizers}
        self.seen = dict.fromkeys(optimizers, 0)  # the counts when somebody last asked
        for name, optimizer in optimizers.items():
            optimizer.register_step_pre_hook(lambda opt, *_, name=name: self._check(name, opt))

    def newly_left_out(self) -> list[str]:
        """Who had to leave out updates since somebody last asked. Waits for the device."""
        before, self.seen = self.seen, {name: int(count) for name, count in self.counts.items()}
        return [name for name, count in self.seen.items() if count > before[name]]

    @property
    def total(self) -> int:
        """How many updates were left out until the last call of `newly_left_out`."""
        return sum(self.seen.values())

    def _check(self, name: str, optimizer: torch.optim.Optimizer) -> None:
        bad = (~torch.isfinite(norm_of_gradients(optimizer))).float()
        optimizer.found_inf = bad  # as torch.amp.GradScaler tells it to a fused optimizer
        self.counts[name] += bad


def norm_of_gradients(optimizer: torch.optim.Optimizer) -> Tensor:
    """√(Σ g²) over all weights of ``optimizer``; not finite where one of them is not."""
    weights = (weight for group in optimizer.param_groups for weight in group["params"])
    return get_total_norm([weight.grad for weight in weights if weight.grad is not None])
