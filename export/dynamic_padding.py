"""Padding as a part of the exported graph."""

import torch
from torch import Tensor, nn


class DynamicPadding(nn.Module):
    """`models.networks.layers.forward_padded`, without branches that depend on the image size.

    (N, C, H, W) → (N, C', H, W) for any H and W, by one traced graph. ``net`` takes sides that are
    multiples of ``stride`` and at least ``min_size`` pixels.
    """

    def __init__(self, net: nn.Module, stride: int, min_size: int):
        super().__init__()
        self.net = net
        self.stride = stride
        self.min_strides = -(-min_size // stride)  # per side

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        rows = self._source_pixels(height, x.device)
        columns = self._source_pixels(width, x.device)
        padded = x.index_select(2, rows).index_select(3, columns)
        return self.net(padded)[..., :height, :width]

    def _source_pixels(self, size: int, device: torch.device) -> Tensor:
        """For each pixel of a padded side, the index of its source: 0 … size − 1 … 0 …"""
        num_strides = torch.sym_max(self.min_strides, (size + self.stride - 1) // self.stride)
        indices = torch.arange(num_strides * self.stride, device=device)

        # At least 1: a single pixel has no mirror image and is repeated. A tensor, because the
        # exporter of torch 2.14 does not support a symbol on the right side of %.
        period = indices.new_full((1,), torch.sym_max(2 * size - 2, 1))
        indices = indices % period
        return torch.minimum(indices, period - indices)
