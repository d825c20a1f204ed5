"""What every model has: networks, losses and images by name, and one way to take a step."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from models.ema import update_ema
from models.losses import GAN_LOSSES
from models.saved_model import SavedModel
from util.flags import Flag


class BaseModel(SavedModel):
    """A method: which networks there are, and what a step computes.

    A subclass fills the dictionaries in its constructor and writes `forward`, the losses and
    `step`; its ``flags``, changed ``defaults`` and ``dataset_modes`` stand in tables.
    ``opt`` is read in constructors only.
    """

    flags: dict[str, Flag] = {}  # the method's own flags
    defaults: dict[str, object] = {}  # flags of others, to which this method gives another default
    dataset_modes: tuple[str, ...] = ()  # the data it can be fed
    gan_modes: tuple[str, ...] = tuple(GAN_LOSSES)  # the objectives it can be trained with
    directions: tuple[str, ...] = ("AtoB", "BtoA")  # the ways it can translate
    channels: dict[str, tuple[int, ...]] = {"input_nc": (1, 3), "output_nc": (1, 3)}  # gray, color
    sources: dict[str, str] = {}  # image in ``visuals`` → the input it is made from
    trainable = True
    needs_double_backward = False  # a loss contains gradients, which compilers do not support

    def __init__(self, opt: Namespace):
        super().__init__(opt)
        self.direction = opt.direction
        self.inputs: dict[str, Tensor] = {}  # the current batch, (N, C, H, W) in [-1, 1]
        self.losses: dict[str, Tensor] = {}  # scalars of the last step, on the device
        self.visuals: dict[str, Tensor] = {}  # images of the last step or test, (N, C, H, W)
        self.paths: dict[str, list[str]] = {}  # the files they came from
        # Set by the executor: the number format, and what this process's part of a batch weighs.
        self.precision: Callable[[], AbstractContextManager] = nullcontext
        self.loss_weight: Tensor | None = None
        self.is_padding_step = False  # it weighs nothing

    # --- what a subclass says -----------------------------------------------------------------

    def forward(self) -> None:
        """Translate the current input and put the images into ``visuals``."""
        raise NotImplementedError

    def step(self) -> None:
        """One training step on the current input, everything random in it already draw_image."""
        raise NotImplementedError

    # --- what all of them do ------------------------------------------------------------------

    def set_input(self, batch: dict) -> None:
        """Fill ``inputs`` and ``paths`` from a batch with both sides, the way ``direction`` says.

        A model that takes other batches has its own.
        """
        first, second = ("A", "B") if self.direction == "AtoB" else ("B", "A")
        self.inputs = {
            "real_A": self.to_device(batch[first]),
            "real_B": self.to_device(batch[second]),
        }
        self.paths = self.paths_in(batch)

    def paths_in(self, batch: dict) -> dict[str, list[str]]:
        """The files of a batch by the name of the input that they become."""
        first, second = ("A", "B") if self.direction == "AtoB" else ("B", "A")
        return {
            "real_A": batch.get(f"{first}_paths", []), "real_B": batch.get(f"{second}_paths", [])
        }  # fmt: skip

    @contextmanager
    def use_ema(self) -> Iterator[None]:
        """Inside, the averages stand in for their networks."""
        networks = self.networks
        self.networks = networks | self.ema_networks
        try:
            yield
        finally:
            self.networks = networks

    def add_optimizer(self, name: str, owned: list[str], lr: float, beta1: float) -> None:
        """Adam for the weights of the networks ``owned``; `update` knows it as ``name``."""
        weights = [weight for net in owned for weight in self.networks[net].parameters()]
        self.optimizers[name] = torch.optim.Adam(weights, lr=lr, betas=(beta1, 0.999))
        self.optimizer_networks[name] = owned

    def optimize_parameters(self) -> None:
        """One training step on the current input."""
        self.plan_pools()
        self.step()

    def plan_pools(self) -> None:
        """Decide all that is random in the next step; what weighs nothing leaves no traces."""
        images = next(iter(self.inputs.values()))
        for pool in self.pools.values():
            decide = pool.plan_passthrough if self.is_padding_step else pool.plan
            decide(len(images), images.device)

    def update(self, name: str, *losses: Callable[[], Tensor]) -> None:
        """Move one optimizer's weights down the gradient of the sum; all others stand still.

        Each loss is computed and differentiated by itself, so that only one needs memory. Its
        gradient is multiplied by ``share``, where there is one.
        """
        for net, module in self.networks.items():
            module.requires_grad_(net in self.optimizer_networks[name])
        self.optimizers[name].zero_grad(set_to_none=True)
        for loss in losses:
            with self.precision():
                value = loss()
            value.backward(self.loss_weight)
        self.optimizers[name].step()
        for net in self.ema_networks.keys() & set(self.optimizer_networks[name]):
            update_ema(self.ema_networks[net], self.networks[net], self.ema_decay)

    def set_learning_rate(self, rate: float) -> None:
        """The rate of every optimizer from the next step on."""
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):  # a captured graph reads it at its address
                    group["lr"].fill_(rate)
                else:
                    group["lr"] = rate

    @torch.no_grad()
    def test(self) -> None:
        """`forward` without gradients."""
        with self.precision():
            self.forward()

    def get_current_losses(self) -> dict[str, float]:
        """The losses of the last step as numbers. Waits for the device."""
        if not self.losses:
            return {}
        values = torch.stack([loss.detach() for loss in self.losses.values()]).tolist()
        return dict(zip(self.losses, values, strict=True))

    def get_current_visuals(self) -> dict[str, Tensor]:
        """The images of the last step or test by name, (N, C, H, W) in [-1, 1], detached.

        Those made from the same input stand together, as in ``sources``.
        """
        names = [name for name in self.sources if name in self.visuals]
        return {name: self.visuals[name].detach() for name in names}

    def get_image_paths(self) -> dict[str, list[str]]:
        """The file that each image of `get_current_visuals` is made from."""
        return {label: self.paths[self.sources[label]] for label in self.visuals}

    def sources_in(self, batch: dict) -> dict[str, list[str]]:
        """The same for a batch of which only the file names are known."""
        paths = self.paths_in(batch)
        return {label: paths[source] for label, source in self.sources.items()}

    def translations(self) -> dict[str, str]:
        """Label of a translation → label of the image it is made from."""
        return {label: real for label, real in self.sources.items() if label.startswith("fake")}

    def to(self, *where, **how) -> BaseModel:
        """Move all networks, as `torch.nn.Module.to` does."""
        for net in (*self.networks.values(), *self.ema_networks.values()):
            net.to(*where, **how)
        return self

    def double(self) -> BaseModel:
        """Compute everything in float64 from now on, as the reference values were."""
        return self.to(torch.float64)

    def train(self, mode: bool = True) -> BaseModel:
        """Batch norm by the batch, and dropout; or by its running values, and none."""
        for net in self.networks.values():
            net.train(mode)
        return self

    def eval(self) -> BaseModel:
        """``train(False)``."""
        return self.train(False)

    def to_device(self, batch: Tensor) -> Tensor:
        """``batch`` where the networks are, in their type."""
        weight = next(next(iter(self.networks.values())).parameters())
        return batch.to(weight.device, weight.dtype, non_blocking=True)
