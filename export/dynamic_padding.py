"""A network whose padding is part of its graph: for programs that do not know ours."""

import torch
from torch import Tensor, nn


class DynamicPadding(nn.Module):
    """What `models.networks.layers.forward_padded` computes, without a branch on the size of x.

    (N, C, H, W) → (N, C', H, W) for any H and W, traced once for all of them. ``model`` takes
    sides that are multiples of ``stride``, and of ``smallest`` pixels or more.
    """

    def __init__(self, model: nn.Module, stride: int, min_size: int):
        super().__init__()
        self.model, self.stride = model, stride
        self.fewest = -(-min_size // stride)  # strides a side

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        rows, columns = self._pixels(height, x.device), self._pixels(width, x.device)
        padded = x.index_select(2, rows).index_select(3, columns)
        return self.model(padded)[..., :height, :width]

    def _pixels(self, size: int, device: torch.device) -> Tensor:
        """For every pixel of a padded side the one it shows: 0 … size − 1, back to 0, and so on."""
        strides = torch.sym_max(self.fewest, (size + self.stride - 1) // self.stride)
        steps = torch.arange(strides * self.stride, device=device)
        # At least 1: a single pixel has no mirror image and is repeated. A tensor: the exporter
        # of torch 2.14 takes no symbol on the right of %.
        there_and_back = steps.new_full((1,), torch.sym_max(2 * size - 2, 1))
        steps = steps % there_and_back
        return torch.minimum(steps, there_and_back - steps)
