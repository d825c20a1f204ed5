"""What every model has: networks, losses and pictures by name, and one way to take a step."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from models.losses import GAN_LOSSES
from util import checkpoint
from util.averages import MARK, average_of, follow
from util.errors import UserError
from util.flags import Flag
from util.image_pool import ImagePool
from util.optimizers import optimizer_state, restore_optimizer


class BaseModel:
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
    channels: dict[str, tuple[int, ...]] = {"input_nc": (1, 3), "output_nc": (1, 3)}  # grey, colour
    sources: dict[str, str] = {}  # picture in ``visuals`` → the input it is made from
    trainable = True
    differentiates_twice = False  # a loss contains gradients, which compilers do not support

    def __init__(self, opt: Namespace):
        self.folder = Path(opt.checkpoints_dir) / opt.name
        self.training, self.direction = opt.isTrain, opt.direction
        self.networks: dict[str, nn.Module] = {}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.owned: dict[str, list[str]] = {}  # optimizer → the networks whose weights it moves
        self.pools: dict[str, ImagePool] = {}
        self.averages: dict[str, nn.Module] = {}  # of the generators, with --ema
        self.decay = opt.ema if self.training else 0.0
        self.mark = MARK if opt.ema and not self.training else ""  # of the weights to load
        self.inputs: dict[str, Tensor] = {}  # the current batch, (N, C, H, W) in [-1, 1]
        self.losses: dict[str, Tensor] = {}  # scalars of the last step, on the device
        self.visuals: dict[str, Tensor] = {}  # pictures of the last step or test, (N, C, H, W)
        self.paths: dict[str, list[str]] = {}  # the files they came from
        # Set by the runner: the number format, and what this process's part of a batch weighs.
        self.precision: Callable[[], AbstractContextManager] = nullcontext
        self.share: Tensor | None = None
        self.stands_by = False  # it weighs nothing

    # --- what a subclass says -----------------------------------------------------------------

    def forward(self) -> None:
        """Translate the current input and put the pictures into ``visuals``."""
        raise NotImplementedError

    def step(self) -> None:
        """One training step on the current input, everything random in it already drawn."""
        raise NotImplementedError

    # --- what all of them do ------------------------------------------------------------------

    def set_input(self, batch: dict) -> None:
        """Fill ``inputs`` and ``paths`` from a batch with both sides, the way ``direction`` says.

        A model that takes other batches has its own.
        """
        first, second = ("A", "B") if self.direction == "AtoB" else ("B", "A")
        self.inputs = {"real_A": self.place(batch[first]), "real_B": self.place(batch[second])}
        self.paths = self.paths_in(batch)

    def paths_in(self, batch: dict) -> dict[str, list[str]]:
        """The files of a batch by the name of the input that they become."""
        first, second = ("A", "B") if self.direction == "AtoB" else ("B", "A")
        return {
            "real_A": batch.get(f"{first}_paths", []), "real_B": batch.get(f"{second}_paths", [])
        }  # fmt: skip

    def setup(self, opt: Namespace, load: bool = True) -> BaseModel:
        """Load the weights that ``opt`` asks for, if any, and print the size of the networks."""
        suffix = f"iter_{opt.load_iter}" if opt.load_iter else opt.epoch
        if load and (not self.training or opt.continue_train):
            self.load_networks(suffix)
        elif load and opt.init_from:
            self._start_from(Path(opt.init_from), suffix)
        if self.decay:
            self._begin_averages(suffix if load and opt.continue_train else None)
        self.print_networks(opt.verbose)
        return self

    def _start_from(self, folder: Path, suffix: str) -> None:
        found = self.load_networks_from(folder, suffix)
        if not found:
            raise UserError(
                f"--init_from {folder}: no {suffix}_net_*.pth of the networks "
                f"{', '.join(self.networks)} there; check the folder and --epoch"
            )
        fresh = [name for name in self.networks if name not in found]
        print(f"starting from {folder}, {suffix}: {', '.join(found)}"
              + (f"; drawn anew: {', '.join(fresh)}" if fresh else ""))  # fmt: skip

    def _begin_averages(self, suffix: str | None) -> None:
        """Of what the optimizer G moves; from files, where ``suffix`` names some."""
        self.averages = {name: average_of(self.networks[name]) for name in self.owned["G"]}
        for name, net in self.averages.items():
            file = self.weights_file(suffix, name + MARK)
            if suffix is not None and file.is_file():
                checkpoint.load_weights(net, file)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the averages stand in for their networks."""
        networks = self.networks
        self.networks = networks | self.averages
        try:
            yield
        finally:
            self.networks = networks

    def add_optimizer(self, name: str, owned: list[str], lr: float, beta1: float) -> None:
        """Adam for the weights of the networks ``owned``; `update` knows it as ``name``."""
        weights = [weight for net in owned for weight in self.networks[net].parameters()]
        self.optimizers[name] = torch.optim.Adam(weights, lr=lr, betas=(beta1, 0.999))
        self.owned[name] = owned

    def optimize_parameters(self) -> None:
        """One training step on the current input."""
        self.draw()
        self.step()

    def draw(self) -> None:
        """Decide all that is random in the next step; what weighs nothing leaves no traces."""
        pictures = next(iter(self.inputs.values()))
        for pool in self.pools.values():
            pool.draw(len(pictures), pictures.device, passes=self.stands_by)

    def update(self, name: str, *losses: Callable[[], Tensor]) -> None:
        """Move one optimizer's weights down the gradient of the sum; all others stand still.

        Each loss is computed and differentiated by itself, so that only one needs memory. Its
        gradient is multiplied by ``share``, where there is one.
        """
        for net, module in self.networks.items():
            module.requires_grad_(net in self.owned[name])
        self.optimizers[name].zero_grad(set_to_none=True)
        for loss in losses:
            with self.precision():
                value = loss()
            value.backward(self.share)
        self.optimizers[name].step()
        for net in self.averages.keys() & set(self.owned[name]):
            follow(self.averages[net], self.networks[net], self.decay)

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
        """The pictures of the last step or test by name, (N, C, H, W) in [-1, 1], detached.

        Those made from the same input stand together, as in ``sources``.
        """
        names = [name for name in self.sources if name in self.visuals]
        return {name: self.visuals[name].detach() for name in names}

    def get_image_paths(self) -> dict[str, list[str]]:
        """The file that each picture of `get_current_visuals` is made from."""
        return {label: self.paths[self.sources[label]] for label in self.visuals}

    def sources_in(self, batch: dict) -> dict[str, list[str]]:
        """The same for a batch of which only the file names are known."""
        paths = self.paths_in(batch)
        return {label: paths[source] for label, source in self.sources.items()}

    def translations(self) -> dict[str, str]:
        """Label of a translation → label of the picture it is made from."""
        return {label: real for label, real in self.sources.items() if label.startswith("fake")}

    def to(self, *where, **how) -> BaseModel:
        """Move all networks, as `torch.nn.Module.to` does."""
        for net in (*self.networks.values(), *self.averages.values()):
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

    def place(self, batch: Tensor) -> Tensor:
        """``batch`` where the networks are, in their type."""
        weight = next(next(iter(self.networks.values())).parameters())
        return batch.to(weight.device, weight.dtype, non_blocking=True)

    # --- the whole state ----------------------------------------------------------------------

    def state_dict(self) -> dict:
        """Everything that the next step depends on, but for the generators of random numbers."""
        return {
            "networks": {name: net.state_dict() for name, net in self.networks.items()},
            "optimizers": {
                name: optimizer_state(optimizer, self._weights_of(name))
                for name, optimizer in self.optimizers.items()
            },
            "pools": {name: pool.state_dict() for name, pool in self.pools.items()},
            "averages": {name: net.state_dict() for name, net in self.averages.items()},
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on where the model that gave ``state`` was. It must have the same networks.

        Averages that are new begin with the networks of ``state``.
        """
        for name, net in self.networks.items():
            net.load_state_dict(state["networks"][name])
        for name, net in self.averages.items():
            net.load_state_dict(state.get("averages", {}).get(name, state["networks"][name]))
        for name, optimizer in self.optimizers.items():
            restore_optimizer(optimizer, self._weights_of(name), state["optimizers"][name])
        weight = next(next(iter(self.networks.values())).parameters())
        for name, pool in self.pools.items():
            if name in state["pools"]:  # a process that was not there before begins without
                pool.load_state_dict(state["pools"][name], weight.device)

    def _weights_of(self, optimizer: str) -> dict[str, Tensor]:
        """The weights that an optimizer moves, by the names of network and layer."""
        return {
            f"{net} {key}": weight
            for net in self.owned[optimizer]
            for key, weight in self.networks[net].named_parameters()
        }

    # --- files --------------------------------------------------------------------------------

    def save_networks(self, suffix: str | int) -> None:
        """Write ``<suffix>_net_<name>.pth`` for every network, each a plain state dict.

        The averages go to ``<suffix>_net_<name>_ema.pth``.
        """
        for name, weights in checkpoint.exports(self.state_dict()).items():
            checkpoint.save_weights(weights, self.weights_file(suffix, name))

    def load_networks(self, suffix: str | int) -> None:
        """Read what `save_networks` wrote. Raises `UserError` for absent or foreign files."""
        for name, net in self.networks.items():
            checkpoint.load_weights(net, self.weights_file(suffix, name))

    def load_networks_from(self, folder: Path, suffix: str | int) -> dict[str, Path]:
        """Read whichever networks another run has left in ``folder``; return their files."""
        found = checkpoint.weights_in(folder, suffix)
        files = {name: found[name] for name in self.networks if name in found}
        for name, file in files.items():
            checkpoint.load_weights(self.networks[name], file)
        return files

    def weights_file(self, suffix: str | int, name: str) -> Path:
        """Where the weights of the network ``name`` lie."""
        return self.folder / f"{suffix}_net_{name}{self.mark}.pth"

    def print_networks(self, verbose: bool) -> None:
        """A line for every network; ``verbose`` prints its layers as well."""
        for name, net in self.networks.items():
            if verbose:
                print(net)
            count = sum(weight.numel() for weight in net.parameters())
            print(f"[Network {name}] Total number of parameters : {count / 1e6:.3f} M")
