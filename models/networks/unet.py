"""The U-Net of pix2pix: encoder, decoder and a skip at every size (Isola et al., 2017, A.1)."""

import torch
from torch import Tensor, nn

from models.networks.layers import Tanh, conv, conv_transpose, forward_padded, has_bias

HALF = {"kernel_size": 4, "stride": 2, "padding": 1}  # half the size down, twice the size up


class UnetGenerator(nn.Module):
    """(N, input_nc, H, W) → (N, output_nc, H, W) in [-1, 1]; H and W are any: see `forward_padded`.

    Built from the inside out; the innermost block sees 1×1 pixels of an image of 2**num_downs.
    Channels grow ngf, 2·ngf, 4·ngf, 8·ngf and stay there; the blocks between have dropout.
    """

    def __init__(
        self,
        input_nc: int,
        output_nc: int,
        ngf: int = 64,
        norm: str = "batch",
        use_dropout: bool = False,
        num_downs: int = 8,
    ):
        super().__init__()
        self.stride = self.min_size = 2**num_downs
        block = _innermost(8 * ngf, norm)
        for _ in range(num_downs - 5):
            block = _between(8 * ngf, 8 * ngf, block, norm, use_dropout)
        for outer, inner in ((4, 8), (2, 4), (1, 2)):
            block = _between(outer * ngf, inner * ngf, block, norm, False)
        self.model = _outermost(input_nc, output_nc, ngf, block, norm)

    def forward(self, x: Tensor) -> Tensor:
        return forward_padded(self.model, x, self.stride, self.min_size)


class SkipBlock(nn.Module):
    """x beside what the smaller sizes make of it: (N, C, H, W) → (N, 2·C, H, W)."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.model(x)], dim=1)


class OuterBlock(SkipBlock):
    """The whole U-Net: there is nothing to skip to."""

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def _outermost(input_nc: int, output_nc: int, ngf: int, inside: nn.Module, norm: str) -> OuterBlock:
    down = nn.Conv2d(input_nc, ngf, bias=has_bias(norm), **HALF)
    up = nn.ConvTranspose2d(2 * ngf, output_nc, **HALF)
    return OuterBlock(down, inside, nn.ReLU(), up, Tanh())


def _between(outer: int, inner: int, inside: nn.Module, norm: str, use_dropout: bool) -> SkipBlock:
    return SkipBlock(
        nn.LeakyReLU(0.2), *conv(outer, inner, norm=norm, **HALF),
        inside,
        nn.ReLU(), *conv_transpose(2 * inner, outer, norm=norm, **HALF),
        *([nn.Dropout(0.5)] if use_dropout else []),
    )  # fmt: skip


def _innermost(channels: int, norm: str) -> SkipBlock:
    """No norm on the way down: what arrives may be a single pixel, which would become zero."""
    down = nn.Conv2d(channels, channels, bias=has_bias(norm), **HALF)
    up = conv_transpose(channels, channels, norm=norm, **HALF)
    return SkipBlock(nn.LeakyReLU(0.2), down, nn.ReLU(), *up)
