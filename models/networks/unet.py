"""The U-Net of pix2pix: encoder and decoder with a skip connection at each resolution.

Isola et al., 2017, appendix A.1.
"""

from typing import Any

import torch
from torch import Tensor, nn

from models.networks.layers import (
    FullPrecisionTanh,
    ResizeConv2d,
    conv,
    forward_padded,
    has_bias,
    upsample_conv,
)

HALVE: dict[str, Any] = {
    "kernel_size": 4,
    "stride": 2,
    "padding": 1,
}  # transposed: doubles the size


class UnetGenerator(nn.Module):
    """(N, input_nc, H, W) → (N, output_nc, H, W) in [-1, 1], for any H and W (`forward_padded`).

    Built from the innermost block outwards, which sees a single pixel of an image of 2**num_downs
    pixels. Channels grow as ngf, 2·ngf, 4·ngf, 8·ngf and stay there. With ``use_dropout`` the
    decoder blocks of 8·ngf channels have dropout.
    """

    options = ("upsample",)  # of `upsample_conv`

    def __init__(
        self,
        input_nc: int,
        output_nc: int,
        ngf: int = 64,
        norm: str = "batch",
        use_dropout: bool = False,
        num_downs: int = 8,
        upsample: str = "transpose",
    ):
        super().__init__()
        self.stride = self.min_size = 2**num_downs

        block = _innermost_block(8 * ngf, norm, upsample)
        for _ in range(num_downs - 5):
            block = _middle_block(8 * ngf, 8 * ngf, block, norm, use_dropout, upsample)
        for outer, inner in ((4, 8), (2, 4), (1, 2)):
            block = _middle_block(outer * ngf, inner * ngf, block, norm, False, upsample)
        self.model = _outermost_block(input_nc, output_nc, ngf, block, norm, upsample)

    def forward(self, x: Tensor) -> Tensor:
        return forward_padded(self.model, x, self.stride, self.min_size)


class SkipBlock(nn.Module):
    """Concatenate x and the output of the inner layers: (N, C, H, W) → (N, 2·C, H, W)."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.model(x)], dim=1)


class OutermostBlock(SkipBlock):
    """The outermost block, without a skip connection."""

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def _outermost_block(
    input_nc: int, output_nc: int, ngf: int, inner_block: nn.Module, norm: str, upsample: str
) -> OutermostBlock:
    down = nn.Conv2d(input_nc, ngf, bias=has_bias(norm), **HALVE)
    if upsample == "resize":
        up: nn.Module = ResizeConv2d(2 * ngf, output_nc, bias=True)
    else:
        up = nn.ConvTranspose2d(2 * ngf, output_nc, **HALVE)
    return OutermostBlock(down, inner_block, nn.ReLU(), up, FullPrecisionTanh())


def _middle_block(
    outer: int,
    inner: int,
    inner_block: nn.Module,
    norm: str,
    use_dropout: bool,
    upsample: str,
) -> SkipBlock:
    dropout = [nn.Dropout(0.5)] if use_dropout else []
    return SkipBlock(
        nn.LeakyReLU(0.2),
        *conv(outer, inner, norm=norm, **HALVE),
        inner_block,
        nn.ReLU(),
        *upsample_conv(2 * inner, outer, upsample=upsample, norm=norm, **HALVE),
        *dropout,
    )


def _innermost_block(channels: int, norm: str, upsample: str) -> SkipBlock:
    """No normalization after the convolution: normalizing a single pixel always gives zero."""
    down = nn.Conv2d(channels, channels, bias=has_bias(norm), **HALVE)
    up = upsample_conv(channels, channels, upsample=upsample, norm=norm, **HALVE)
    return SkipBlock(nn.LeakyReLU(0.2), down, nn.ReLU(), *up)
