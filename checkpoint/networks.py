"""Files of a model's networks: ``<prefix>_net_<name>.pth``, one plain state dict per network."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from checkpoint.weights import (
    EMA_SUFFIX,
    find_weights,
    load_weights,
    save_weights,
    weights_path,
)

Networks = Mapping[str, nn.Module]  # by the name in the file: G_A, D_B, G_A_ema


def save_networks(networks: Networks, folder: Path, prefix: str | int) -> None:
    """Write the weights of each network to ``<folder>/<prefix>_net_<name>.pth``."""
    for name, net in networks.items():
        save_weights(net.state_dict(), weights_path(folder, prefix, name))


def load_networks(networks: Networks, folder: Path, prefix: str | int) -> None:
    """Load what `save_networks` wrote. Raises `UserError` for missing or mismatched files."""
    for name, net in networks.items():
        load_weights(net, weights_path(folder, prefix, name))


def load_available_networks(networks: Networks, folder: Path, prefix: str | int) -> list[str]:
    """Load the networks that have a file in ``folder``; return their names.

    Raises `UserError` for a file that does not match its network.
    """
    files = find_weights(folder, prefix)
    available = [name for name in networks if name in files]
    for name in available:
        load_weights(networks[name], files[name])
    return available


def exported_weights(model_state: dict) -> dict[str, dict[str, Tensor]]:
    """The state dicts within a model's state that get files of their own, by the name in the file.

    Moving averages are named ``<network>_ema``.
    """
    averages = model_state.get("averages", {})
    return {
        **model_state["networks"],
        **{name + EMA_SUFFIX: weights for name, weights in averages.items()},
    }
