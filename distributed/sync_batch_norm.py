"""Batch norm over the images of all processes (Ioffe & Szegedy, 2015, algorithm 1)."""

from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn

from util.precision import full_precision


def synchronize_batch_norm(net: nn.Module, loss_weight: Tensor) -> int:
    """Compute all batch norms of ``net`` over the images of all processes; return their number.

    While ``loss_weight`` of this process is 0, its images are ignored. `torch.nn.SyncBatchNorm`
    cannot do so, and runs on GPUs only.
    """
    layers = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in layers:
        layer.forward = partial(_forward, layer, loss_weight)  # type: ignore[method-assign]
    return len(layers)


def _forward(layer: nn.BatchNorm2d, loss_weight: Tensor, x: Tensor) -> Tensor:
    """Normalize ``x`` (N, C, H, W) with the mean and variance per channel over all processes."""
    if not layer.training:
        return nn.BatchNorm2d.forward(layer, x)

    # The moments of all processes, from sums in float64.
    exact = full_precision(x)
    variance, mean = (value.double() for value in torch.var_mean(exact, (0, 2, 3), correction=0))
    own_count = (loss_weight > 0).to(mean.dtype).view(1) * (x.numel() // len(mean))
    own_sums = [own_count * mean, own_count * (variance + mean.square()), own_count]
    sums = _AllReduceSum.apply(torch.cat(own_sums))
    first, second, count = sums.split([len(mean), len(mean), 1])
    mean = first / count
    variance = second / count - mean.square()
    unbiased = variance * count / (count - 1)
    _update_running_stats(layer, mean.detach(), unbiased.detach())

    # Normalization and affine map in one multiplication and addition per pixel.
    scale = layer.weight * torch.rsqrt(variance + layer.eps).to(layer.weight.dtype)
    shift = layer.bias - mean.to(layer.bias.dtype) * scale
    return (exact * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)).to(x.dtype)


@torch.no_grad()
def _update_running_stats(layer: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    assert layer.momentum is not None, "cumulative averages are not supported"
    buffers = dict(layer.named_buffers())
    buffers["num_batches_tracked"] += 1
    for name, value in (("running_mean", mean), ("running_var", variance)):
        buffers[name].lerp_(value.to(buffers[name].dtype), layer.momentum)


class _AllReduceSum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of the gradients of all processes."""

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
