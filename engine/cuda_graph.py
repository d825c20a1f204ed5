"""A whole training step as one CUDA graph: one launch instead of thousands."""

import torch
from torch import Tensor

from models.base_model import BaseModel

WARMUP_STEPS = 4  # eager steps before the capture, in which libraries choose their algorithms


class CapturedStep:
    """Call ``model.step()``: eagerly at first, then as a replayed CUDA graph.

    `BaseModel.plan_pools` must be called before, as it draws random numbers on the host. While the
    graph is replayed no Python of the model runs: use ``--capture off`` for breakpoints in it.

    Whatever a step reads is copied to fixed addresses first: the inputs and the plans of the image
    pools; the learning rate is a tensor. Batches of another shape (the last of an epoch) run
    eagerly, and so do all steps once a pool holds images of several shapes. The warm-up steps are
    real training steps, on a side stream as capture requires.
    """

    def __init__(self, model: BaseModel):
        self.model = model
        self.stream = torch.cuda.Stream()
        self.graph: torch.cuda.CUDAGraph | None = None
        self.static_inputs: dict[str, Tensor] = {}
        self.static_losses: dict[str, Tensor] = {}
        self.static_visuals: dict[str, Tensor] = {}
        self.warmup_steps = 0

    def __call__(self) -> None:
        if not self.static_inputs:
            self.static_inputs = {name: x.clone() for name, x in self.model.inputs.items()}

        if not self._can_replay():
            self.model.step()
        elif self.warmup_steps < WARMUP_STEPS:
            self._warm_up()
        else:
            self._replay()

    def _can_replay(self) -> bool:
        if any(isinstance(pool.stored, list) for pool in self.model.pools.values()):
            return False  # the host chooses from the list, which a graph cannot
        inputs = self.model.inputs
        return all(inputs[name].shape == x.shape for name, x in self.static_inputs.items())

    def _warm_up(self) -> None:
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.model.step()
        torch.cuda.current_stream().wait_stream(self.stream)
        self.warmup_steps += 1

    def _replay(self) -> None:
        for name, static in self.static_inputs.items():
            static.copy_(self.model.inputs[name])
        self.model.set_tensors(self.static_inputs)

        if self.graph is None:
            self.graph = self._capture()
        self.graph.replay()

        # An eager step in between has replaced these by its own results.
        self.model.losses = dict(self.static_losses)
        self.model.set_tensors(self.static_visuals)

    def _capture(self) -> torch.cuda.CUDAGraph:
        """Record a step, which computes nothing yet. Loader threads may keep running."""
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            self.model.step()

        # Detached: a reference to the autograd graph would keep its buffers for later steps.
        self.static_losses = dict(self.model.losses)
        self.static_visuals = {
            name: image.detach()
            for name, image in self.model.tensors(self.model.visual_sources).items()
        }
        self.model.set_tensors(self.static_visuals)
        return graph
