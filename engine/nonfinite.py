"""Numbers that went bad stop at the door of the optimizers."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm


class NonFiniteGuard:
    """Leaves out every update whose gradients hold NaN or infinity, and counts them.

    So the weights stay finite whatever happens, and so do the running values of batch norm in
    ``networks``: bad ones leave an update out as well, and with every update that is left out they
    go back to what they were when the step began. It works on the device, as part of a captured
    graph too; nobody waits for it until somebody asks.
    """

    def __init__(
        self,
        optimizers: dict[str, torch.optim.Optimizer],
        device: torch.device,
        networks: Iterable[nn.Module] = (),
    ):
        self.counts = {name: torch.zeros((), device=device) for name in optimizers}
        self.seen = dict.fromkeys(optimizers, 0)  # the counts when somebody last asked
        layers = (layer for net in networks for layer in net.modules())
        self.norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
        self.before: Tensor | None = None  # their running values when the step began, in a row
        for name, optimizer in optimizers.items():
            optimizer.register_step_pre_hook(lambda opt, *_, name=name: self._check(name, opt))

    def begin_step(self) -> None:
        """Keep the running values; to be called before every step, outside of a captured graph."""
        if not self.norms:
            return
        now = torch.cat(self._running_values())
        # In place: a captured graph reads them at a fixed address.
        self.before = now if self.before is None else self.before.copy_(now)

    def new_skipped_updates(self) -> list[str]:
        """Who had to leave out updates since somebody last asked. Waits for the device."""
        before, self.seen = self.seen, {name: int(count) for name, count in self.counts.items()}
        return [name for name, count in self.seen.items() if count > before[name]]

    @property
    def total(self) -> int:
        """How many updates were left out until the last call of `new_skipped_updates`."""
        return sum(self.seen.values())

    def _check(self, name: str, optimizer: torch.optim.Optimizer) -> None:
        bad = ~torch.isfinite(gradient_norm(optimizer))
        if self.norms:
            bad = self._mend_running_values(bad)
        optimizer.found_inf = bad.float()  # as torch.amp.GradScaler tells it to a fused optimizer
        self.counts[name] += optimizer.found_inf

    def _mend_running_values(self, bad: Tensor) -> Tensor:
        """Put back those of before if they or the gradients are ``bad``; return whether it was so.

        Variances overflow where gradients are still finite: all of them vanish.
        """
        values = self._running_values()
        now = torch.cat(values)
        bad = bad | ~torch.isfinite(now).all()
        mended = torch.where(bad, self.before, now)
        torch._foreach_copy_(values, list(mended.split([len(value) for value in values])))
        return bad

    def _running_values(self) -> list[Tensor]:
        """As `data`: autograd must not take it for a change of what `backward` still needs."""
        return [
            value.data for layer in self.norms for value in (layer.running_mean, layer.running_var)
        ]


def gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    """√(Σ g²) over all weights of ``optimizer``; not finite where one of them is not."""
    weights = (weight for group in optimizer.param_groups for weight in group["params"])
    return get_total_norm([weight.grad for weight in weights if weight.grad is not None])
