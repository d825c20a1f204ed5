"""Exponential moving averages (EMA) of networks, which fluctuate less than the networks."""

import copy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def make_ema(net: nn.Module) -> nn.Module:
    """Return a frozen copy of ``net`` in evaluation mode, the start of its average."""
    return copy.deepcopy(net).requires_grad_(False).eval()


@torch.no_grad()
def update_ema(ema: nn.Module, net: nn.Module, decay: float) -> None:
    """ema ← decay · ema + (1 − decay) · net, for all parameters (Yazıcı et al., 2019).

    Buffers, such as the running statistics of batch norm, are averages already and are copied.
    """
    get_ema_multi_avg_fn(decay)(list(ema.parameters()), list(net.parameters()), None)
    for ema_buffer, buffer in zip(ema.buffers(), net.buffers(), strict=True):
        ema_buffer.copy_(buffer)
