"""Gradient all-reduce: one flattened message for each optimizer and step."""

import torch
import torch.distributed as dist
from torch import Tensor


class GradientAllReduce:
    """Sum the gradients of one optimizer over all ranks while other work goes on.

    Each rank weights its losses by its share of the global batch, so that the sum is the gradient
    of the mean over the global batch. Gradients are float32 and are sent as such.
    """

    def __init__(self, optimizer: torch.optim.Optimizer):
        self.weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        self.gradients: list[Tensor] = []
        self.message: Tensor | None = None
        self.work: dist.Work | None = None

    def start(self) -> None:
        """Start the all-reduce. The gradients must not change until `finish`."""
        self.gradients = [flat_view(w.grad) for w in self.weights if w.grad is not None]
        self.message = torch.cat(self.gradients)
        self.work = dist.all_reduce(self.message, async_op=True)

    def finish(self) -> None:
        """Wait for the all-reduce and write the sums into the gradients."""
        assert self.work is not None and self.message is not None, "start() comes first"
        self.work.wait()
        sizes = [gradient.numel() for gradient in self.gradients]
        torch._foreach_copy_(self.gradients, list(self.message.split(sizes)))
        self.message = None
        self.gradients = []


def flat_view(tensor: Tensor) -> Tensor:
    """View a dense ``tensor`` as one dimension, in the order of its elements in memory."""
    return tensor.as_strided((tensor.numel(),), (1,))
