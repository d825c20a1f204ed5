"""A whole training step as one CUDA graph: one launch in place of thousands."""

import torch
from torch import Tensor

WARMUP_STEPS = 4  # steps taken one kernel after the other first: libraries choose their algorithms


class CapturedStep:
    """Calls ``model.step()``: the first times as it is, then as a replayed graph.

    What a step reads is copied to fixed places first: the inputs, and what `get_params` decided; the
    learning rate is a tensor. ImageLoader of another shape (the last of an epoch) run as they are; so
    do all from the moment when a pool keeps images of several sizes. The warm-up steps are real
    steps of the training, on a stream of their own as capture demands.
    """

    def __init__(self, model):
        self.model = model
        self.stream = torch.cuda.Stream()
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: dict[str, Tensor] = {}
        self.warmed = 0

    def __call__(self) -> None:
        self.model.plan_pools()
        if not self.inputs:
            self.inputs = {name: batch.clone() for name, batch in self.model.inputs.items()}
        if not self._fits():
            self.model.step()
        elif self.warmed < WARMUP_STEPS:
            self._warm_up()
        else:
            self._replay()

    def _fits(self) -> bool:
        if any(isinstance(pool.stored, list) for pool in self.model.pools.values()):
            return False  # the host picks from it, and a graph has no host
        return all(
            self.model.inputs[name].shape == fixed.shape for name, fixed in self.inputs.items()
        )

    def _warm_up(self) -> None:
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.model.step()
        torch.cuda.current_stream().wait_stream(self.stream)
        self.warmed += 1

    def _replay(self) -> None:
        for name, fixed in self.inputs.items():
            fixed.copy_(self.model.inputs[name])
        self.model.inputs = dict(self.inputs)
        if self.graph is None:
            self._capture()
        self.graph.replay()
        # A step in between that was not captured has put its own results there.
        self.model.losses, self.model.visuals = dict(self.losses), dict(self.visuals)

    def _capture(self) -> None:
        """Record a step; nothing is computed yet. Loader threads may go on meanwhile."""
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=self.stream, capture_error_mode="thread_local"):
            self.model.step()
        self.losses, self.visuals = dict(self.model.losses), dict(self.model.visuals)
