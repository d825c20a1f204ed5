"""What all models share: networks by name, the optimizer update, state, inputs and results."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from checkpoint.networks import load_available_networks, load_networks, save_networks
from checkpoint.weights import EMA_SUFFIX, weights_prefix
from distributed.gradients import GradientAllReduce
from models.ema import make_ema, update_ema
from models.image_pool import ImagePool
from models.losses import GAN_LOSSES
from models.networks import define_D, define_G, generator_options
from models.optimizer_state import optimizer_state, restore_optimizer
from util.errors import UserError
from util.flags import Flag


class BaseModel:
    """A model: its networks, its losses and its training step.

    A subclass creates its networks in the constructor (``self.netG_A = self.create_G(...)``) and
    writes `forward`, one method for each group of loss terms, and `step`. ``opt`` is read in
    constructors only. The type of an attribute says what happens to it:

    - ``netX``, a Module: network ``X``. Saved as ``<epoch>_net_X.pth``; trained by the optimizer
      whose `add_optimizer` names it.
    - any other Module: a frozen helper, such as the VGG of a perceptual loss. It moves with the
      model and is neither saved nor trained; give it ``requires_grad_(False)``.
    - ``X_pool``, an `ImagePool`: part of the saved training state.
    """

    flags: dict[str, Flag] = {}  # the model's own flags
    defaults: dict[str, object] = {}  # other defaults for flags that all models share
    dataset_modes: tuple[str, ...] = ()  # values of --dataset_mode it accepts
    gan_modes: tuple[str, ...] = tuple(GAN_LOSSES)  # values of --gan_mode it accepts
    directions: tuple[str, ...] = ("AtoB", "BtoA")  # values of --direction it accepts
    channels: dict[str, tuple[int, ...]] = {"input_nc": (1, 3), "output_nc": (1, 3)}
    input_names: tuple[str, ...] = ("real_A", "real_B")  # attributes that `set_input` fills
    loss_names: tuple[str, ...] = ()  # order of the losses in logs; others follow
    visual_sources: dict[str, str] = {}  # displayed image → the input it is computed from
    trainable = True
    needs_double_backward = False  # a loss contains gradients, which torch.compile does not support

    def __init__(self, opt: Namespace):
        self.is_train: bool = opt.isTrain
        self.direction: str = opt.direction
        self.save_dir = Path(opt.checkpoints_dir) / opt.name

        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.optimizer_networks: dict[str, list[str]] = {}  # optimizer → networks it updates
        self.initial_lrs: dict[str, float] = {}  # optimizer → its learning rate without a schedule
        self.losses: dict[str, Tensor] = {}  # scalars of the last step, on the device, detached
        self.paths: dict[str, list[str]] = {}  # input → the files of the current batch

        self.ema_decay: float = opt.ema if self.is_train else 0.0
        self.ema_networks: dict[str, nn.Module] = {}  # moving averages of the generators
        self.load_suffix = EMA_SUFFIX if opt.ema and not self.is_train else ""

        # Set by the step executor.
        self.autocast: Callable[[], AbstractContextManager] = nullcontext
        self.gradient_sync: dict[str, GradientAllReduce] = {}  # by optimizer, under torchrun
        self.loss_weight: Tensor | None = None  # this rank's share of the global batch
        self.is_padding_step = False  # the share is 0: this rank has no images left in the epoch

    # --- written by a subclass ----------------------------------------------------------------

    def forward(self) -> None:
        """Translate the current input and set the images (``self.fake_B``, ...)."""
        raise NotImplementedError

    def step(self) -> None:
        """Take one training step on the current input. Pool decisions are made before it."""
        raise NotImplementedError

    # --- networks and optimizers, in constructors ---------------------------------------------

    def create_G(self, opt: Namespace, input_nc: int, output_nc: int) -> nn.Module:
        """Create a generator as the options describe it; see `models.networks.define_G`."""
        return define_G(
            input_nc,
            output_nc,
            opt.ngf,
            opt.netG,
            opt.norm,
            not opt.no_dropout,
            opt.init_type,
            opt.init_gain,
            **{name: vars(opt)[name] for name in generator_options(opt.netG)},
        )

    def create_D(self, opt: Namespace, input_nc: int) -> nn.Module:
        """Create a discriminator as the options describe it; see `models.networks.define_D`."""
        return define_D(
            input_nc,
            opt.ndf,
            opt.netD,
            opt.n_layers_D,
            opt.norm,
            opt.init_type,
            opt.init_gain,
            opt.spectral_norm,
        )

    # --- the training step --------------------------------------------------------------------

    def optimize_parameters(self) -> None:
        """Take one training step on the current input, as `engine.executor.StepExecutor` does."""
        self.plan_pools()
        self.step()

    def plan_pools(self) -> None:
        """Draw what the image pools do in the next step, outside of captured CUDA graphs."""
        batch = next(iter(self.inputs.values()))
        for pool in self.pools.values():
            plan = pool.plan_passthrough if self.is_padding_step else pool.plan
            plan(len(batch), batch.device)

    def sum_losses(self, **terms: Tensor) -> Tensor:
        """Return the sum of loss terms; the log shows each, ``loss_G_A`` as ``G_A``."""
        for name, value in terms.items():
            self.losses[name.removeprefix("loss_")] = value.detach()

        first, *others = terms.values()
        return sum(others, start=first)

    def update(self, name: str, *losses: Callable[[], Tensor]) -> None:
        """Compute the gradients of ``losses`` and update the networks of optimizer ``name``."""
        self.backward(name, *losses)
        self.optimizer_step(name)

    def backward(self, name: str, *losses: Callable[[], Tensor]) -> None:
        """Compute the gradients of the sum of ``losses`` for the networks of optimizer ``name``.

        All other networks are held fixed. Each loss is differentiated before the next one is
        computed, so that memory holds the activations of only one. Under torchrun the all-reduce
        of the gradients starts here and runs until `optimizer_step`.
        """
        trained = self.optimizer_networks[name]
        for net_name, net in self.networks.items():
            net.requires_grad_(net_name in trained)
        self.optimizers[name].zero_grad(set_to_none=True)

        for loss in losses:
            with self.autocast():
                value = loss()
            value.backward(self.loss_weight)

        if self.gradient_sync:
            self.gradient_sync[name].start()

    def optimizer_step(self, name: str) -> None:
        """Update the networks of optimizer ``name`` with the gradients of `backward`."""
        if self.gradient_sync:
            self.gradient_sync[name].finish()
        self.optimizers[name].step()

        for net_name in self.optimizer_networks[name]:
            if net_name in self.ema_networks:
                update_ema(self.ema_networks[net_name], self.networks[net_name], self.ema_decay)

    def add_optimizer(self, name: str, networks: list[str], lr: float, beta1: float) -> None:
        """Create Adam for the weights of ``networks``, known to `update` as ``name``."""
        weights = [weight for net in networks for weight in self.networks[net].parameters()]
        self.optimizers[name] = torch.optim.Adam(weights, lr=lr, betas=(beta1, 0.999))
        self.optimizer_networks[name] = networks
        self.initial_lrs[name] = lr

    def scale_learning_rates(self, factor: float) -> None:
        """Set the learning rate of every optimizer to ``factor`` times its initial one."""
        for name, optimizer in self.optimizers.items():
            lr = factor * self.initial_lrs[name]
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):  # a captured graph reads it at this address
                    group["lr"].fill_(lr)
                else:
                    group["lr"] = lr

    # --- inputs and results -------------------------------------------------------------------

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks by name: attribute ``netG_A`` is network ``G_A``."""
        attributes = vars(self).items()
        return {
            name.removeprefix("net"): value
            for name, value in attributes
            if name.startswith("net") and isinstance(value, nn.Module)
        }

    @property
    def pools(self) -> dict[str, ImagePool]:
        """The image pools by name: attribute ``fake_B_pool`` is pool ``fake_B``."""
        attributes = vars(self).items()
        return {
            name.removesuffix("_pool"): value
            for name, value in attributes
            if isinstance(value, ImagePool)
        }

    @property
    def inputs(self) -> dict[str, Tensor]:
        """The current batch by name, (N, C, H, W) in [-1, 1]."""
        return self.tensors(self.input_names)

    def tensors(self, names: tuple[str, ...] | dict[str, str]) -> dict[str, Tensor]:
        """Those of the attributes ``names`` that are set, by name."""
        return {name: vars(self)[name] for name in names if name in vars(self)}

    def set_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Set attributes by name: the inverse of `tensors`."""
        for name, value in tensors.items():
            setattr(self, name, value)

    def set_input(self, batch: dict) -> None:
        """Take a batch with the keys ``A``, ``B``, ``A_paths``, ``B_paths`` from the loader.

        With direction BtoA, ``real_A`` is the batch's ``B``.
        """
        source, target = self._sides()
        self.real_A = self.to_device(batch[source])
        self.real_B = self.to_device(batch[target])
        self.paths = self.batch_paths(batch)

    def batch_paths(self, batch: dict) -> dict[str, list[str]]:
        """Files of a batch by the input they become."""
        source, target = self._sides()
        return {
            "real_A": batch.get(f"{source}_paths", []),
            "real_B": batch.get(f"{target}_paths", []),
        }

    def _sides(self) -> tuple[str, str]:
        return ("A", "B") if self.direction == "AtoB" else ("B", "A")

    @torch.no_grad()
    def test(self) -> None:
        """Run `forward` without gradients."""
        with self.autocast():
            self.forward()

    def get_current_losses(self) -> dict[str, float]:
        """Return the losses of the last step as numbers. Synchronizes with the device."""
        first = [name for name in self.loss_names if name in self.losses]
        losses = {name: self.losses[name] for name in [*first, *self.losses]}
        if not losses:
            return {}
        values = torch.stack(list(losses.values())).tolist()
        return dict(zip(losses, values, strict=True))

    def get_current_visuals(self) -> dict[str, Tensor]:
        """Return the images of the last step or test by name, (N, C, H, W) in [-1, 1], detached.

        They come in the order of ``visual_sources``.
        """
        return {name: image.detach() for name, image in self.tensors(self.visual_sources).items()}

    def get_image_paths(self) -> dict[str, list[str]]:
        """Return the files that the images of `get_current_visuals` are computed from."""
        return {name: self.paths[self.visual_sources[name]] for name in self.get_current_visuals()}

    def visual_paths(self, batch: dict) -> dict[str, list[str]]:
        """Return what `get_image_paths` would for a batch of which only the paths are known."""
        paths = self.batch_paths(batch)
        return {name: paths[source] for name, source in self.visual_sources.items()}

    def translations(self) -> dict[str, str]:
        """Return the displayed translations, each with the input it is computed from."""
        sources = self.visual_sources.items()
        return {name: source for name, source in sources if name.startswith("fake")}

    # --- mode, device, type -------------------------------------------------------------------

    def modules(self) -> list[nn.Module]:
        """All networks, moving averages and frozen helpers."""
        attributes = [value for value in vars(self).values() if isinstance(value, nn.Module)]
        return [*attributes, *self.ema_networks.values()]

    def to(self, *args, **kwargs) -> BaseModel:
        """Move all modules, as `torch.nn.Module.to` does."""
        for module in self.modules():
            module.to(*args, **kwargs)
        return self

    def double(self) -> BaseModel:
        """Compute in float64, as the reference values were."""
        return self.to(torch.float64)

    def train(self, mode: bool = True) -> BaseModel:
        """Set the networks to training mode: batch statistics in batch norm, active dropout."""
        for net in self.networks.values():
            net.train(mode)
        return self

    def eval(self) -> BaseModel:
        """Set the networks to evaluation mode: running statistics in batch norm, no dropout."""
        return self.train(False)

    def to_device(self, batch: Tensor) -> Tensor:
        """Return ``batch`` on the device and in the type of the networks."""
        weight = next(next(iter(self.networks.values())).parameters())
        return batch.to(weight.device, weight.dtype, non_blocking=True)

    @contextmanager
    def use_ema(self) -> Iterator[None]:
        """Replace the generators by their moving averages inside the block."""
        networks = self.networks
        for name, ema in self.ema_networks.items():
            setattr(self, f"net{name}", ema)
        try:
            yield
        finally:
            for name in self.ema_networks:
                setattr(self, f"net{name}", networks[name])

    # --- state --------------------------------------------------------------------------------

    def state_dict(self) -> dict:
        """Return everything the next step depends on, except the random number generators."""
        return {
            "networks": {name: net.state_dict() for name, net in self.networks.items()},
            "optimizers": {
                name: optimizer_state(optimizer, self._weights_of(name))
                for name, optimizer in self.optimizers.items()
            },
            "pools": {name: pool.state_dict() for name, pool in self.pools.items()},
            "averages": {name: net.state_dict() for name, net in self.ema_networks.items()},
        }

    def load_state_dict(self, state: dict) -> None:
        """Restore what `state_dict` returned, into a model with the same networks.

        Moving averages that are new start as copies of the networks in ``state``.
        """
        for name, net in self.networks.items():
            net.load_state_dict(state["networks"][name])
        for name, net in self.ema_networks.items():
            net.load_state_dict(state.get("averages", {}).get(name, state["networks"][name]))
        for name, optimizer in self.optimizers.items():
            restore_optimizer(optimizer, self._weights_of(name), state["optimizers"][name])

        weight = next(next(iter(self.networks.values())).parameters())
        for name, pool in self.pools.items():
            if name in state["pools"]:  # a rank that is new to the run starts with empty pools
                pool.load_state_dict(state["pools"][name], weight.device)

    def _weights_of(self, optimizer: str) -> dict[str, Tensor]:
        """The weights that an optimizer updates, by network and parameter name."""
        return {
            f"{net} {key}": weight
            for net in self.optimizer_networks[optimizer]
            for key, weight in self.networks[net].named_parameters()
        }

    # --- files --------------------------------------------------------------------------------

    def setup(self, opt: Namespace, load: bool = True) -> BaseModel:
        """Load the weights that the options ask for, if any, and print the network sizes."""
        prefix = weights_prefix(opt)
        if load and (not self.is_train or opt.continue_train):
            self.load_networks(prefix)
        elif load and opt.init_from:
            self._init_from(Path(opt.init_from), prefix)

        if self.ema_decay:
            generators = self.optimizer_networks["G"]
            self.ema_networks = {name: make_ema(self.networks[name]) for name in generators}
            if load and opt.continue_train:
                load_available_networks(self._ema_files(), self.save_dir, prefix)

        self.print_networks(opt.verbose)
        return self

    def _init_from(self, folder: Path, prefix: str) -> None:
        """Load the networks that another run left in ``folder``; the others stay as initialized."""
        networks = self.networks
        loaded = load_available_networks(networks, folder, prefix)
        if not loaded:
            raise UserError(
                f"--init_from {folder}: no {prefix}_net_*.pth of the networks "
                f"{', '.join(networks)} there; check the folder and --epoch"
            )

        fresh = [name for name in networks if name not in loaded]
        note = f"; newly initialized: {', '.join(fresh)}" if fresh else ""
        print(f"starting from {folder}, {prefix}: {', '.join(loaded)}{note}")

    def save_networks(self, prefix: str | int) -> None:
        """Write ``<prefix>_net_<name>.pth`` for every network, each a plain state dict.

        Moving averages go to ``<prefix>_net_<name>_ema.pth``.
        """
        save_networks({**self.networks, **self._ema_files()}, self.save_dir, prefix)

    def load_networks(self, prefix: str | int) -> None:
        """Load what `save_networks` wrote. Raises `UserError` for missing or mismatched files."""
        files = {name + self.load_suffix: net for name, net in self.networks.items()}
        load_networks(files, self.save_dir, prefix)

    def _ema_files(self) -> dict[str, nn.Module]:
        """The moving averages by their names in files."""
        return {name + EMA_SUFFIX: net for name, net in self.ema_networks.items()}

    def print_networks(self, verbose: bool) -> None:
        """Print the size of every network, and its layers with ``verbose``."""
        for name, net in self.networks.items():
            if verbose:
                print(net)
            count = sum(weight.numel() for weight in net.parameters())
            print(f"[Network {name}] Total number of parameters : {count / 1e6:.3f} M")
