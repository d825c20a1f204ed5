"""Moving averages of networks: calmer than the networks themselves, whose last steps jitter."""

import copy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

EMA_SUFFIX = "_ema"  # behind the name of a network or image: that of the average


def make_ema(net: nn.Module) -> nn.Module:
    """The average to begin with, ``net`` itself; it is never trained."""
    return copy.deepcopy(net).requires_grad_(False).eval()


@torch.no_grad()
def update_ema(average: nn.Module, net: nn.Module, decay: float) -> None:
    """average ← decay · average + (1 − decay) · net, for all weights (Yazıcı et al., 2019).

    What is no weight, as the running values of batch norm, is an average already and is copied.
    """
    get_ema_multi_avg_fn(decay)(list(average.parameters()), list(net.parameters()), None)
    for mine, theirs in zip(average.buffers(), net.buffers(), strict=True):
        mine.copy_(theirs)
