"""*How* a model's step runs on this machine. Which model it is, the executor does not know."""

import importlib.util
import math
import os
from argparse import Namespace
from collections.abc import Callable, Iterable
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor

from distributed.context import get_world
from distributed.gradients import Reducer, flat_view
from distributed.sync_batch_norm import synchronize_batch_norm
from engine.compile import compile_network
from engine.cuda_graph import CapturedStep
from engine.device import device_name, precision_name, select_device, select_precision
from engine.nonfinite import NonFiniteGuard
from engine.tiling import tile_network
from engine.winograd import use_winograd
from models.ema import EMA_SUFFIX


class StepExecutor:
    """Runs the steps of a model as fast as the device and the options allow, and says how.

    The model stays as it is: its equations run under autocast, on channels-last tensors, through
    compiled networks, and, on a GPU, as one captured graph. All of that is set up here.
    """

    def __init__(self, model, opt: Namespace):
        self.model, self.world = model, get_world()
        self.device = select_device(opt.gpu_ids, "gpu_ids" in opt.typed, self.world)
        precision = select_precision(opt.precision, self.device, opt.bit_depth)
        self.how = ["channels-last"]
        if precision == "bf16":
            model.precision = partial(torch.autocast, self.device.type, dtype=torch.bfloat16)
        model.to(self.device, memory_format=torch.channels_last)
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            self._prepare_gpu(opt.isTrain and opt.deterministic, exact=opt.bit_depth > 8)
        else:
            self._prepare_cpu()
        if not opt.isTrain and opt.tile:
            self._tile(opt.tile, opt.overlap)
        elif opt.compile == "on" or (opt.compile == "auto" and on_gpu and _has_compiler()):
            self._compile()
        self.loss_weight, self.reducers = 1.0, []
        if self.world.is_distributed and opt.isTrain:
            self._join(opt)
        # After the hooks that sum the gradients.
        self.guard = NonFiniteGuard(model.optimizers, self.device, model.networks.values())
        self.check_every_step = not on_gpu  # there is no queue of work to wait for
        self.run_step: Callable[[], None] = model.optimize_parameters
        if on_gpu and model.training and opt.capture != "off":
            self._capture(opt.capture == "on")
        self.how.insert(0, precision_name(precision, self.device))
        missing = ", no GPU here" if opt.gpu_ids and not on_gpu else ""
        print(f"computing on {device_name(self.device)} ({', '.join(self.how)}{missing})")

    def step(self, batch: dict, loss_weight: float = 1.0) -> None:
        """One training step on ``batch``, which is ``share`` of what all processes have now."""
        self.loss_weight = loss_weight
        if self.world.is_distributed:
            self.model.loss_weight.fill_(loss_weight)
            self.model.is_padding_step = loss_weight == 0
        self.model.set_input(self._placed(batch))
        self.guard.begin_step()
        self.run_step()

    def test(self, batch: dict) -> dict[str, Tensor]:
        """The images that the model makes of ``batch``, (N, C, H, W) by label."""
        with torch.inference_mode():
            self.model.set_input(self._placed(batch))
            self.model.test()
        return self.model.get_current_visuals()

    def preview(self, batches: Iterable[dict]) -> list[dict[str, Tensor]]:
        """`test` on every batch, in the middle of a training, of which nothing changes by it."""
        self.model.eval()
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            samples = [self._beside_averages(batch) for batch in batches]
        self.model.train()
        return samples

    def _beside_averages(self, batch: dict) -> dict[str, Tensor]:
        """`test`, and after every translation what the averaged generators make of it."""
        visuals = self.test(batch)
        if not self.model.ema_networks:
            return visuals
        with self.model.use_ema():
            averaged = self.test(batch)
        both: dict[str, Tensor] = {}
        for label, image in visuals.items():
            both[label] = image
            if label in self.model.translations():
                both[label + EMA_SUFFIX] = averaged[label]
        return both

    def synchronize(self) -> None:
        """Wait until the device has done all it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def losses(self) -> dict[str, float]:
        """The losses of the last step, the mean over all images. Waits for everybody."""
        own = self.model.get_current_losses()
        means = self.world.all_reduce_sum([self.loss_weight * value for value in own.values()])
        return dict(zip(own, means, strict=True))

    def problem(self) -> str | None:
        """What is not finite, if updates were left out since the last time somebody asked."""
        if not (optimizers := self.guard.new_skipped_updates()):
            return None
        losses = self.losses()
        bad = [f"{name} is {value}" for name, value in losses.items() if not math.isfinite(value)]
        return ", ".join(bad) or f"a gradient of {' and '.join(optimizers)} is not finite"

    def _placed(self, batch: dict) -> dict:
        """Images on the device, channels-last; from pinned memory the copy does not wait."""
        how = {"non_blocking": True, "memory_format": torch.channels_last}
        return {
            name: value.to(self.device, **how) if isinstance(value, Tensor) else value
            for name, value in batch.items()
        }

    def _prepare_cpu(self) -> None:
        for net in (*self.model.networks.values(), *self.model.ema_networks.values()):
            use_winograd(net)
        self._configure_optimizers(fused=True)

    def _prepare_gpu(self, deterministic: bool, exact: bool) -> None:
        torch.cuda.set_device(self.device)
        if exact:  # TF32, which PyTorch takes for fp32 in convolutions, has 11 bits of digits
            torch.backends.cudnn.allow_tf32 = False
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
            torch.use_deterministic_algorithms(True)
            self.how.append("deterministic kernels only, which are slower")
        # ImageSizes are fixed: let it choose once, by timing, which differs from start to start.
        torch.backends.cudnn.benchmark = not deterministic
        self._configure_optimizers(fused=True, capturable=True)
        for optimizer in self.model.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = torch.tensor(float(group["lr"]), device=self.device)

    def _configure_optimizers(self, **how) -> None:
        for optimizer in self.model.optimizers.values():
            for group in optimizer.param_groups:
                group.update(how)

    def _capture(self, forced: bool) -> None:
        if self.world.is_distributed and not forced:
            self.how.append("steps not captured: under torchrun only by --capture on")
            return
        self.run_step = CapturedStep(self.model)
        self.how.append("steps captured as long as all images have one size")

    def _join(self, opt: Namespace) -> None:
        """Begin with the networks of the first process; from now on all learn the same."""
        rank, size = self.world.rank, self.world.size
        networks = self.model.networks.values()
        for net in (*networks, *self.model.ema_networks.values()):
            for value in net.state_dict().values():
                dist.broadcast(flat_view(value), src=0)
        self.reducers = [Reducer(optimizer) for optimizer in self.model.optimizers.values()]
        loss_weight = self.model.loss_weight = torch.ones((), device=self.device)
        if rank > 0:
            for name, pool in self.model.pools.items():
                pool.random.seed(f"{opt.seed} {name} {rank}")
        if size > 1:
            batches = f"batch size {opt.batch_size} each, {size * opt.batch_size} in all"
            self.how.append(f"{size} processes, {batches}")
        if size > 1 and sum(synchronize_batch_norm(net, loss_weight) for net in networks):
            self.how.append("batch norm synchronized over all of them")

    def _tile(self, tile: int, overlap: int) -> None:
        for net in self.model.networks.values():
            tile_network(net, tile, overlap)
        self.how.append(f"in tiles of {tile}×{tile}, not compiled")

    def _compile(self) -> None:
        if self.model.needs_double_backward:
            self.how.append("not compiled: the gradient penalty differentiates twice")
            return
        if self.world.size > 1 and _has_batch_norm(self.model):
            self.how.append("not compiled: synchronized batch norm talks to other processes")
            return
        torch._dynamo.config.cache_size_limit = 64  # each network: frozen or not, training or not
        for net in self.model.networks.values():
            compile_network(net)
        self.how.append("compiled")


def _has_batch_norm(model) -> bool:
    modules = (layer for net in model.networks.values() for layer in net.modules())
    return any(isinstance(layer, torch.nn.BatchNorm2d) for layer in modules)


def _has_compiler() -> bool:
    """Compiling for a GPU takes triton."""
    return importlib.util.find_spec("triton") is not None
