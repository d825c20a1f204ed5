"""Network architectures, from the names on the command line; nothing here reads options.

`define_G` and `define_D` build and initialize a network; the parser takes its choices from the
registries `GENERATORS`, `DISCRIMINATORS`, `NORMS` and `INIT_TYPES`.
"""

import bisect
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from models.networks.initialization import INIT_TYPES, init_weights
from models.networks.layers import (
    NORMS,
    SPECTRAL,
    UPSAMPLE,
    add_spectral_norm,
    get_norm_layer,
)
from models.networks.patchgan import NLayerDiscriminator, PixelDiscriminator
from models.networks.resnet import RESIDUAL, SKIPS, ResnetGenerator
from models.networks.unet import UnetGenerator

__all__ = [
    "DISCRIMINATORS",
    "GENERATORS",
    "INIT_TYPES",
    "NORMS",
    "RESIDUAL",
    "SKIPS",
    "UPSAMPLE",
    "NLayerDiscriminator",
    "PixelDiscriminator",
    "ResnetGenerator",
    "UnetGenerator",
    "define_D",
    "define_G",
    "generator_options",
    "get_norm_layer",
    "min_image_size",
]

# name → constructor(input_nc, output_nc, ngf, norm=..., use_dropout=..., **options)
GENERATORS: dict[str, Callable[..., nn.Module]] = {
    "resnet_9blocks": partial(ResnetGenerator, n_blocks=9),
    "resnet_6blocks": partial(ResnetGenerator, n_blocks=6),
    "unet_256": partial(UnetGenerator, num_downs=8),
    "unet_128": partial(UnetGenerator, num_downs=7),
}
# name → constructor(input_nc, ndf, n_layers, norm)
DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "basic": lambda input_nc, ndf, n_layers, norm: NLayerDiscriminator(input_nc, ndf, 3, norm),
    "n_layers": NLayerDiscriminator,
    "pixel": lambda input_nc, ndf, n_layers, norm: PixelDiscriminator(input_nc, ndf, norm),
}


def define_G(
    input_nc: int,
    output_nc: int,
    ngf: int,
    netG: str,
    norm: str = "batch",
    use_dropout: bool = False,
    init_type: str = "normal",
    init_gain: float = 0.02,
    **options: str,
) -> nn.Module:
    """Create a generator: (N, input_nc, H, W) in [-1, 1] → (N, output_nc, H, W) in [-1, 1].

    ``netG`` is a key of `GENERATORS`, ``norm`` of `NORMS`, ``init_type`` of `INIT_TYPES`; raises
    KeyError for other names. ``options`` are those of `generator_options`. Any H and W work: images
    are padded inside to a multiple of ``net.stride`` (4 for ResNets, 128 or 256 for U-Nets) and the
    result is cropped.
    """
    how = {"norm": norm, "use_dropout": use_dropout, **options}
    net = GENERATORS[netG](input_nc, output_nc, ngf, **how)
    return init_weights(net, init_type, init_gain)


def generator_options(netG: str) -> tuple[str, ...]:
    """Return the further keyword arguments of a generator: the ``options`` of its class."""
    constructor = GENERATORS[netG]
    network = constructor.func if isinstance(constructor, partial) else constructor
    return getattr(network, "options", ())


def define_D(
    input_nc: int,
    ndf: int,
    netD: str,
    n_layers_D: int = 3,
    norm: str = "batch",
    init_type: str = "normal",
    init_gain: float = 0.02,
    spectral_norm: bool = False,
) -> nn.Module:
    """Create a discriminator: (N, input_nc, H, W) → a map of raw scores (N, 1, h, w), no sigmoid.

    ``netD`` is a key of `DISCRIMINATORS`; raises KeyError for other names. ``n_layers_D`` applies
    to ``n_layers``; ``basic`` always has 3, which makes the 70×70 PatchGAN. With ``spectral_norm``
    the weights are normalized (`add_spectral_norm`), and the activations are not.
    """
    net = DISCRIMINATORS[netD](input_nc, ndf, n_layers_D, SPECTRAL if spectral_norm else norm)
    init_weights(net, init_type, init_gain)
    return add_spectral_norm(net) if spectral_norm else net


@torch.no_grad()
def min_image_size(netD: str, n_layers_D: int, norm: str, limit: int = 512) -> int:
    """Return the smallest side in pixels that the discriminator accepts, at most ``limit``."""
    net = DISCRIMINATORS[netD](1, 1, n_layers_D, norm)

    def accepts(side: int) -> bool:
        try:
            net(torch.zeros(1, 1, side, side))
        except (RuntimeError, ValueError):  # too few pixels for a convolution or a normalization
            return False
        return True

    return bisect.bisect_left(range(limit), True, lo=1, key=accepts)
