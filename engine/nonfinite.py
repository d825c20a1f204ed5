"""Optimizer updates with NaN or infinite gradients are skipped."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm


class NonFiniteGuard:
    """Skip and count every optimizer update whose gradients are not finite.

    Weights thus stay finite. So do the running statistics of batch norm in ``networks``: an update
    is also skipped if these are not finite, and each skipped update restores them to their values
    at the beginning of the step.

    All of this runs on the device, also inside a captured graph, without synchronizing it; only
    `new_skipped_updates` waits for the device.
    """

    def __init__(
        self,
        optimizers: dict[str, torch.optim.Optimizer],
        device: torch.device,
        networks: Iterable[nn.Module] = (),
    ):
        self.counts = {name: torch.zeros((), device=device) for name in optimizers}
        self.reported = dict.fromkeys(optimizers, 0)  # counts at the last new_skipped_updates()

        layers = (layer for net in networks for layer in net.modules())
        self.batch_norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
        self.saved_statistics: Tensor | None = None  # of all layers, concatenated

        for name, optimizer in optimizers.items():
            optimizer.register_step_pre_hook(lambda opt, *_, name=name: self._check(name, opt))

    def begin_step(self) -> None:
        """Save running statistics; call before each step, outside of a captured graph."""
        if not self.batch_norms:
            return
        current = torch.cat(self._running_statistics())
        if self.saved_statistics is None:
            self.saved_statistics = current
        else:  # in place: a captured graph reads them at a fixed address
            self.saved_statistics.copy_(current)

    def new_skipped_updates(self) -> list[str]:
        """Return the optimizers that skipped updates since the last call. Waits for the device."""
        before = self.reported
        self.reported = {name: int(count) for name, count in self.counts.items()}
        return [name for name, count in self.reported.items() if count > before[name]]

    @property
    def total(self) -> int:
        """Number of skipped updates up to the last call of `new_skipped_updates`."""
        return sum(self.reported.values())

    def _check(self, name: str, optimizer: torch.optim.Optimizer) -> None:
        skip = ~torch.isfinite(gradient_norm(optimizer))
        if self.batch_norms:
            skip = self._restore_statistics(skip)
        self.counts[name] += skip
        optimizer.found_inf = skip.float()  # type: ignore[attr-defined]  # as GradScaler sets it

    def _restore_statistics(self, skip: Tensor) -> Tensor:
        """Restore running statistics if ``skip`` or if they are not finite; return whether so.

        Variances can overflow while gradients are still finite, because these vanish.
        """
        assert self.saved_statistics is not None, "call begin_step() before each step"
        statistics = self._running_statistics()
        current = torch.cat(statistics)
        skip = skip | ~torch.isfinite(current).all()
        restored = torch.where(skip, self.saved_statistics, current)
        torch._foreach_copy_(statistics, list(restored.split([len(value) for value in statistics])))
        return skip

    def _running_statistics(self) -> list[Tensor]:
        # .data: otherwise autograd reports a modification of tensors that `backward` needs.
        return [
            value.data
            for layer in self.batch_norms
            for value in (layer.running_mean, layer.running_var)
            if value is not None
        ]


def gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    """Return √(Σ g²) over all weights of ``optimizer``; not finite if any gradient is not."""
    weights = (weight for group in optimizer.param_groups for weight in group["params"])
    return get_total_norm([weight.grad for weight in weights if weight.grad is not None])
