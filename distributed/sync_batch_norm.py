"""Batch norm over the images of all processes (Ioffe & Szegedy, 2015, algorithm 1)."""

from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn

from util.precision import full_precision


def synchronize_batch_norm(net: nn.Module, loss_weight: Tensor) -> int:
    """Let all batch norms of ``net`` see the images of all processes; return how many there are.

    While ``loss_weight`` of this process is 0, its images count for nothing. `torch.nn.SyncBatchNorm`
    knows no such thing, and runs on GPUs only.
    """
    layers = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in layers:
        layer.forward = partial(_forward, layer, loss_weight)
    return len(layers)


def _forward(
    layer: nn.BatchNorm2d, loss_weight: Tensor, x: Tensor
) -> Tensor:  # (N, C, H, W) → the same
    if not layer.training:
        return nn.BatchNorm2d.forward(layer, x)
    exact = full_precision(x)
    variance, mean = (each.double() for each in torch.var_mean(exact, (0, 2, 3), correction=0))
    own = (loss_weight > 0).to(mean.dtype).view(1) * (x.numel() // len(mean))
    sums = _Sum.apply(torch.cat([own * mean, own * (variance + mean.square()), own]))
    first, second, count = sums.split([len(mean), len(mean), 1])
    mean = first / count
    variance = second / count - mean.square()
    _remember(layer, mean.detach(), (variance * count / (count - 1)).detach())
    scale = layer.weight * torch.rsqrt(variance + layer.eps).to(layer.weight.dtype)
    shift = layer.bias - mean.to(layer.bias.dtype) * scale
    return (exact * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)).to(x.dtype)


@torch.no_grad()
def _remember(layer: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """The running values go a step towards those of the batch."""
    layer.num_batches_tracked += 1
    for running, value in ((layer.running_mean, mean), (layer.running_var, variance)):
        running.lerp_(value.to(running.dtype), layer.momentum)


class _Sum(torch.autograd.Function):
    """The sum over all processes, all of whose losses depend on it."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total
