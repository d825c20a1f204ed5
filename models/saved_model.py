"""What a model remembers, and the files in which it does."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import torch
from torch import Tensor, nn

from checkpoint import weights as checkpoint
from models.ema import EMA_SUFFIX, make_ema
from models.image_pool import ImagePool
from models.optimizer_state import optimizer_state, restore_optimizer
from util.errors import UserError


class SavedModel:
    """The half of a model that lasts: networks and all that training adds to them, by name."""

    def __init__(self, opt: Namespace):
        self.folder, self.training = Path(opt.checkpoints_dir) / opt.name, opt.isTrain
        self.networks: dict[str, nn.Module] = {}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.optimizer_networks: dict[
            str, list[str]
        ] = {}  # optimizer → the networks whose weights it moves
        self.pools: dict[str, ImagePool] = {}
        self.ema_networks: dict[str, nn.Module] = {}  # of the generators, with --ema
        self.ema_decay = opt.ema if self.training else 0.0
        self.mark = EMA_SUFFIX if opt.ema and not self.training else ""  # of the weights to load

    def setup(self, opt: Namespace, load: bool = True) -> SavedModel:
        """Load the weights that ``opt`` asks for, if any, and print the size of the networks."""
        suffix = checkpoint.weights_prefix(opt)
        if load and (not self.training or opt.continue_train):
            self.load_networks(suffix)
        elif load and opt.init_from:
            self._start_from(Path(opt.init_from), suffix)
        if self.ema_decay:
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
              + (f"; draw_image anew: {', '.join(fresh)}" if fresh else ""))  # fmt: skip

    def _begin_averages(self, suffix: str | None) -> None:
        """Of what the optimizer G moves; from files, where ``suffix`` names some."""
        self.ema_networks = {
            name: make_ema(self.networks[name]) for name in self.optimizer_networks["G"]
        }
        for name, net in self.ema_networks.items():
            file = self.weights_file(suffix, name + EMA_SUFFIX)
            if suffix is not None and file.is_file():
                checkpoint.load_weights(net, file)

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
            "averages": {name: net.state_dict() for name, net in self.ema_networks.items()},
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on where the model that gave ``state`` was. It must have the same networks.

        Averages that are new begin with the networks of ``state``.
        """
        for name, net in self.networks.items():
            net.load_state_dict(state["networks"][name])
        for name, net in self.ema_networks.items():
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
            for net in self.optimizer_networks[optimizer]
            for key, weight in self.networks[net].named_parameters()
        }

    # --- files --------------------------------------------------------------------------------

    def save_networks(self, suffix: str | int) -> None:
        """Write ``<suffix>_net_<name>.pth`` for every network, each a plain state dict.

        The averages go to ``<suffix>_net_<name>_ema.pth``.
        """
        for name, weights in checkpoint.exported_weights(self.state_dict()).items():
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
