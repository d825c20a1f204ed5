"""Weight initialization."""

from functools import partial

from torch import nn
from torch.nn import init

INIT_TYPES = {
    "normal": lambda weight, gain: init.normal_(weight, 0.0, gain),
    "xavier": lambda weight, gain: init.xavier_normal_(weight, gain),
    "kaiming": lambda weight, gain: init.kaiming_normal_(weight, a=0, mode="fan_in"),
    "orthogonal": lambda weight, gain: init.orthogonal_(weight, gain),
}


def init_weights(net: nn.Module, init_type: str, init_gain: float) -> nn.Module:
    """Initialize ``net`` in place and return it.

    Convolutions get ``init_type`` scaled by ``init_gain`` (kaiming has its own scale) and zero
    biases; batch norm gets scales from N(1, init_gain) and zero shifts.
    """
    return net.apply(partial(_init_layer, init_weight=INIT_TYPES[init_type], gain=init_gain))


def _init_layer(layer: nn.Module, init_weight, gain: float) -> None:
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        init_weight(layer.weight, gain)
    elif isinstance(layer, nn.BatchNorm2d):
        init.normal_(layer.weight, 1.0, gain)
    else:
        return

    if layer.bias is not None:
        init.zeros_(layer.bias)
