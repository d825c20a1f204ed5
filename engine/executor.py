"""How a model's steps run on this machine: device, precision, layout, compilation, processes.

The executor works with any model; models contain nothing specific to a device.
"""

import importlib.util
import math
import os
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.utils.parametrize import is_parametrized

from checkpoint.weights import EMA_SUFFIX
from distributed.context import get_world
from distributed.gradients import GradientAllReduce, flat_view
from distributed.sync_batch_norm import synchronize_batch_norm
from engine.compile import compile_network
from engine.cuda_graph import CapturedStep
from engine.device import device_name, select_device
from engine.nonfinite import NonFiniteGuard
from engine.precision import precision_name, select_precision
from engine.tiling import tile_network
from engine.winograd import use_winograd
from models.base_model import BaseModel

USE_WINOGRAD = True  # on CPUs; False computes every convolution directly
# Each network is compiled for fixed and trainable weights, in training and evaluation mode.
COMPILE_CACHE_SIZE = 64


class StepExecutor:
    """Run the steps of a model as fast as the device and the options allow.

    The equations of the model stay as they are: they run under autocast, on channels-last tensors,
    through compiled networks and, on a GPU, as one captured graph. The constructor sets all of
    this up and prints what it chose.
    """

    def __init__(self, model: BaseModel, opt: Namespace):
        self.model = model
        self.world = get_world()
        self.device = select_device(opt.gpu_ids, "gpu_ids" in opt.explicit, self.world)
        self.is_cuda = self.device.type == "cuda"
        self.description = ["channels-last"]

        # Precision and memory layout
        precision = select_precision(opt.precision, self.device, opt.bit_depth)
        if precision == "bf16":
            model.autocast = partial(torch.autocast, self.device.type, dtype=torch.bfloat16)
        model.to(self.device, memory_format=torch.channels_last)

        # Kernels
        if self.is_cuda:
            needs_fp32 = opt.bit_depth > 8
            self._configure_gpu(opt.isTrain and opt.deterministic, needs_fp32)
        else:
            self._configure_cpu()
        if not opt.isTrain and opt.tile:
            self._tile(opt.tile, opt.overlap)
        elif opt.compile == "on" or (opt.compile == "auto" and self.is_cuda and _has_triton()):
            self._compile()

        # Other processes
        self.loss_weight = 1.0  # this rank's share of the current global batch
        if self.world.is_distributed and opt.isTrain:
            self._synchronize_ranks(opt)

        self.guard = NonFiniteGuard(model.optimizers, self.device, model.networks.values())
        self.check_every_step = not self.is_cuda  # on a GPU, checking would synchronize
        self.run_step: Callable[[], None] = model.step  # or its captured graph
        if self.is_cuda and model.is_train and opt.capture != "off":
            self._enable_cuda_graph(opt.capture == "on")

        self.description.insert(0, precision_name(precision, self.device))
        missing = ", no GPU here" if opt.gpu_ids and not self.is_cuda else ""
        print(f"computing on {device_name(self.device)} ({', '.join(self.description)}{missing})")

    # --- steps --------------------------------------------------------------------------------

    def step(self, batch: dict, loss_weight: float = 1.0) -> None:
        """Take one training step on ``batch``, ``loss_weight`` of the global batch of all ranks."""
        self.loss_weight = loss_weight
        if self.model.loss_weight is not None:
            self.model.loss_weight.fill_(loss_weight)
            self.model.is_padding_step = loss_weight == 0

        self.model.set_input(self._to_device(batch))
        self.guard.begin_step()
        self.model.plan_pools()  # random decisions, outside of the captured graph
        self.run_step()

    def test(self, batch: dict) -> dict[str, Tensor]:
        """Return the images that the model computes from ``batch``, (N, C, H, W) by name."""
        with torch.inference_mode():
            self.model.set_input(self._to_device(batch))
            self.model.test()
        return self.model.get_current_visuals()

    def preview(self, batches: Iterable[dict]) -> list[dict[str, Tensor]]:
        """Run `test` on every batch without affecting the training run."""
        self.model.eval()
        with torch.random.fork_rng(devices=[self.device] if self.is_cuda else []):
            samples = [self._test_with_ema(batch) for batch in batches]
        self.model.train()
        return samples

    def _test_with_ema(self, batch: dict) -> dict[str, Tensor]:
        """Run `test`; with ``--ema``, each translation is followed by the averaged generator's."""
        visuals = self.test(batch)
        if not self.model.ema_networks:
            return visuals

        with self.model.use_ema():
            ema_visuals = self.test(batch)
        combined: dict[str, Tensor] = {}
        for name, image in visuals.items():
            combined[name] = image
            if name in self.model.translations():
                combined[name + EMA_SUFFIX] = ema_visuals[name]
        return combined

    def _to_device(self, batch: dict) -> dict:
        """Copy images to the device, channels-last; from pinned memory without waiting."""
        return {
            name: value.to(self.device, non_blocking=True, memory_format=torch.channels_last)
            if isinstance(value, Tensor)
            else value
            for name, value in batch.items()
        }

    def synchronize(self) -> None:
        """Wait until the device has finished all work."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)

    def losses(self) -> dict[str, float]:
        """Return the losses of the last step, averaged over all ranks. Synchronizes."""
        local = self.model.get_current_losses()
        means = self.world.all_reduce_sum([self.loss_weight * value for value in local.values()])
        return dict(zip(local, means, strict=True))

    def pop_problem(self) -> str | None:
        """Describe what was not finite in updates skipped since the last call. Synchronizes."""
        optimizers = self.guard.new_skipped_updates()
        if not optimizers:
            return None
        losses = self.losses()
        bad = [f"{name} is {value}" for name, value in losses.items() if not math.isfinite(value)]
        return ", ".join(bad) or f"a gradient of {' and '.join(optimizers)} is not finite"

    # --- set-up -------------------------------------------------------------------------------

    def _configure_cpu(self) -> None:
        if USE_WINOGRAD:
            for net in (*self.model.networks.values(), *self.model.ema_networks.values()):
                use_winograd(net)
        self._configure_optimizers(fused=True)

    def _configure_gpu(self, deterministic: bool, needs_fp32: bool) -> None:
        torch.cuda.set_device(self.device)
        if needs_fp32:  # TF32, PyTorch's default in convolutions, has a mantissa of 10 bits
            torch.backends.cudnn.allow_tf32 = False
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by cuBLAS
            torch.use_deterministic_algorithms(True)
            self.description.append("deterministic kernels only, which are slower")
        # Shapes are fixed: time the algorithms once. The choice can differ from start to start.
        torch.backends.cudnn.benchmark = not deterministic

        self._configure_optimizers(fused=True, capturable=True)
        for optimizer in self.model.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = torch.tensor(float(group["lr"]), device=self.device)

    def _configure_optimizers(self, **settings) -> None:
        for optimizer in self.model.optimizers.values():
            for group in optimizer.param_groups:
                group.update(settings)

    def _tile(self, tile: int, overlap: int) -> None:
        for net in self.model.networks.values():
            tile_network(net, tile, overlap)
        self.description.append(f"in tiles of {tile}×{tile}, not compiled")

    def _compile(self) -> None:
        if self.model.needs_double_backward:
            self.description.append("not compiled: the gradient penalty differentiates twice")
            return
        if self.world.size > 1 and _has_batch_norm(self.model):
            self.description.append("not compiled: batch norm is synchronized between processes")
            return

        # Compiled backward passes keep its vectors, which the next forward pass changes.
        if any(map(is_parametrized, _layers(self.model))):
            self.description.append("not compiled: spectral normalization")
            return

        torch._dynamo.config.cache_size_limit = COMPILE_CACHE_SIZE
        for net in self.model.networks.values():
            compile_network(net)
        self.description.append("compiled")

    def _synchronize_ranks(self, opt: Namespace) -> None:
        """Copy the networks of rank 0 to all ranks; from now on gradients are all-reduced."""
        model, world = self.model, self.world
        for net in (*model.networks.values(), *model.ema_networks.values()):
            for value in net.state_dict().values():
                dist.broadcast(flat_view(value), src=0)
        model.gradient_sync = {
            name: GradientAllReduce(optimizer) for name, optimizer in model.optimizers.items()
        }
        model.loss_weight = torch.ones((), device=self.device)

        if not world.is_main:
            for name, pool in model.pools.items():
                pool.random.seed(f"{opt.seed} {name} {world.rank}")

        if world.size > 1:
            total = world.size * opt.batch_size
            batches = f"batch size {opt.batch_size} each, {total} in all"
            self.description.append(f"{world.size} processes, {batches}")
            if _has_batch_norm(model):
                for net in model.networks.values():
                    synchronize_batch_norm(net, model.loss_weight)
                self.description.append("batch norm synchronized over all of them")

    def _enable_cuda_graph(self, allow_distributed: bool) -> None:
        if self.world.is_distributed and not allow_distributed:
            self.description.append("steps not captured: under torchrun only with --capture on")
            return
        self.run_step = CapturedStep(self.model)
        self.description.append("steps captured as a CUDA graph while all images have one size")


def _layers(model: BaseModel) -> Iterator[torch.nn.Module]:
    return (layer for net in model.networks.values() for layer in net.modules())


def _has_batch_norm(model: BaseModel) -> bool:
    return any(isinstance(layer, torch.nn.BatchNorm2d) for layer in _layers(model))


def _has_triton() -> bool:
    """Whether the compiler's GPU backend is installed."""
    return importlib.util.find_spec("triton") is not None
