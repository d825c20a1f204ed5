"""The networks: layers and how they are put together. Nothing here knows the command line.

People import `define_G` and `define_D` in notebooks; the parser takes its choices from
`GENERATORS`, `DISCRIMINATORS`, `NORMS` and `INIT_TYPES`.
"""

import bisect
from functools import partial

import torch
from torch import nn

from models.networks.initialization import INIT_TYPES, init_weights
from models.networks.layers import NORMS
from models.networks.patchgan import NLayerDiscriminator, PixelDiscriminator
from models.networks.resnet import ResnetGenerator
from models.networks.unet import UnetGenerator

__all__ = [
    "DISCRIMINATORS",
    "GENERATORS",
    "INIT_TYPES",
    "NORMS",
    "define_D",
    "define_G",
    "min_image_size",
]

GENERATORS = {
    "resnet_9blocks": partial(ResnetGenerator, n_blocks=9),
    "resnet_6blocks": partial(ResnetGenerator, n_blocks=6),
    "unet_256": partial(UnetGenerator, num_downs=8),
    "unet_128": partial(UnetGenerator, num_downs=7),
}
DISCRIMINATORS = {
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
) -> nn.Module:
    """A generator with fresh weights: (N, input_nc, H, W) in [-1, 1] → (N, output_nc, H, W).

    ``netG`` is a key of `GENERATORS`, ``norm`` of `NORMS`, ``init_type`` of `INIT_TYPES`.
    H and W are free: inside, images are padded to a multiple of ``net.stride`` (4 for the
    ResNets, 128 or 256 for the U-Nets). Raises KeyError for an unknown name.
    """
    net = GENERATORS[netG](input_nc, output_nc, ngf, norm=norm, use_dropout=use_dropout)
    return init_weights(net, init_type, init_gain)


def define_D(
    input_nc: int,
    ndf: int,
    netD: str,
    n_layers_D: int = 3,
    norm: str = "batch",
    init_type: str = "normal",
    init_gain: float = 0.02,
) -> nn.Module:
    """A discriminator with fresh weights: (N, input_nc, H, W) → a map of scores (N, 1, h, w).

    Scores are raw (no sigmoid). ``netD`` is a key of `DISCRIMINATORS`; ``n_layers_D`` counts for
    ``n_layers`` only, ``basic`` always has 3, which makes the 70×70 PatchGAN. Raises KeyError
    for an unknown name.
    """
    net = DISCRIMINATORS[netD](input_nc, ndf, n_layers_D, norm)
    return init_weights(net, init_type, init_gain)


@torch.no_grad()
def min_image_size(netD: str, n_layers_D: int, norm: str, most: int = 512) -> int:
    """The least side in pixels of images that the discriminator can judge; at most ``most``."""
    net = DISCRIMINATORS[netD](1, 1, n_layers_D, norm)

    def fits(side: int) -> bool:
        try:
            net(torch.zeros(1, 1, side, side))
        except (RuntimeError, ValueError):  # nothing left to convolve, or to normalize
            return False
        return True

    return bisect.bisect_left(range(most), True, lo=1, key=fits)
