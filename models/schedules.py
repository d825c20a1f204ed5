"""Learning-rate policies: pure functions of the epoch that return a factor for ``--lr``.

Epochs count from 1. Policies start at 1 (except linear with ``--n_epochs 0``), never increase and
stay above 0 up to the last epoch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

PLATEAU_FACTOR = 0.2
PLATEAU_PATIENCE = 5  # evaluations
PLATEAU_THRESHOLD = 0.01  # of the best score


@dataclass(frozen=True)
class EpochPlan:
    """Length of a run: epochs at the full rate, epochs of decay, epochs between two steps.

    ``scores`` are known only after evaluations, for `plateau`.
    """

    n_epochs: int
    n_epochs_decay: int
    lr_decay_iters: int = 50
    lr_warmup: int = 0  # epochs
    scores: tuple[float, ...] = ()  # of the evaluations so far; lower is better

    @property
    def last(self) -> int:
        """The last epoch."""
        return self.n_epochs + self.n_epochs_decay


def linear(epoch: int, plan: EpochPlan) -> float:
    """1 for ``n_epochs``, then linear decay that would reach 0 after the last epoch."""
    return 1 - max(0, epoch - plan.n_epochs) / (plan.n_epochs_decay + 1)


def step(epoch: int, plan: EpochPlan) -> float:
    """Multiplied by 0.1 after every ``lr_decay_iters`` epochs."""
    return 0.1 ** ((epoch - 1) // plan.lr_decay_iters)


def cosine(epoch: int, plan: EpochPlan) -> float:
    """Cosine annealing over the run, 0 after the last epoch (Loshchilov & Hutter 2017, eq. 5)."""
    return (1 + math.cos(math.pi * min(1, (epoch - 1) / max(1, plan.last)))) / 2


def plateau(epoch: int, plan: EpochPlan) -> float:
    """Multiplied by 0.2 whenever the watched metric has not improved for 5 evaluations.

    An improvement is one of at least 1%. (PyTorch's ReduceLROnPlateau waits one evaluation more.)
    """
    factor = 1.0
    best = math.inf
    without_improvement = 0
    for score in plan.scores:
        if best == math.inf or score < best - PLATEAU_THRESHOLD * abs(best):
            best = score
            without_improvement = 0
            continue
        without_improvement += 1
        if without_improvement >= PLATEAU_PATIENCE:
            factor *= PLATEAU_FACTOR
            without_improvement = 0
    return factor


def learning_rate_factor(policy: str, epoch: int, plan: EpochPlan) -> float:
    """The factor of ``policy``, a key of `LR_POLICIES`, with linear warm-up in the first epochs.

    Epoch e of n warm-up epochs has e / (n + 1) of the rate (Goyal et al., 2017, section 2.2).
    """
    return min(1.0, epoch / (plan.lr_warmup + 1)) * LR_POLICIES[policy](epoch, plan)


LR_POLICIES: dict[str, Callable[[int, EpochPlan], float]] = {
    "linear": linear,
    "step": step,
    "plateau": plateau,
    "cosine": cosine,
}
