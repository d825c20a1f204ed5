"""The generator of CycleGAN: downsampling, residual blocks, upsampling (Johnson et al., 2016)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.networks.layers import (
    ChannelsLastReflectionPad2d,
    FullPrecisionTanh,
    conv,
    forward_padded,
    upsample_conv,
)
from util.precision import full_precision

SKIPS = ("none", "add")
RESIDUAL = ("off", "on")


class ResnetGenerator(nn.Module):
    """(N, input_nc, H, W) → (N, output_nc, H, W) in [-1, 1], for any H and W (`forward_padded`).

    The comments give channels × height × width for ngf = 64 and a 256×256 image.
    """

    options = ("upsample", "skip", "residual")  # of `upsample_conv` and `SkipSequential`
    stride = 4  # of the two downsampling layers together
    min_size = 8  # pixels; at a quarter of the size, reflection padding by 1 needs 2 pixels

    def __init__(
        self,
        input_nc: int,
        output_nc: int,
        ngf: int = 64,
        norm: str = "batch",
        use_dropout: bool = False,
        n_blocks: int = 9,
        upsample: str = "transpose",
        skip: str = "none",
        residual: str = "off",
    ):
        super().__init__()
        is_residual = residual == "on"
        blocks = [ResnetBlock(4 * ngf, norm, use_dropout) for _ in range(n_blocks)]
        layers = [
            ChannelsLastReflectionPad2d(3),
            *conv(input_nc, ngf, 7, norm=norm),
            nn.ReLU(),                       #  64 × 256 × 256
            *_down(ngf, 2 * ngf, norm),      # 128 × 128 × 128
            *_down(2 * ngf, 4 * ngf, norm),  # 256 ×  64 ×  64
            *blocks,                         # 256 ×  64 ×  64
            *_up(4 * ngf, 2 * ngf, norm, upsample),  # 128 × 128 × 128
            *_up(2 * ngf, ngf, norm, upsample),      #  64 × 256 × 256
            ChannelsLastReflectionPad2d(3),
            nn.Conv2d(ngf, output_nc, 7),
            nn.Identity() if is_residual else FullPrecisionTanh(),  # 3 × 256 × 256
        ]  # fmt: skip
        # The last layers of 128 × 128 and of 256 × 256, with those of the encoder.
        skips = {n_blocks + 12: 6, n_blocks + 15: 3} if skip == "add" else {}
        self.model = SkipSequential(*layers, skips=skips, is_residual=is_residual)

    def forward(self, x: Tensor) -> Tensor:
        return forward_padded(self.model, x, self.stride, self.min_size)


class SkipSequential(nn.Sequential):
    """Layers in sequence, with skip connections (Mao et al., 2016, arXiv:1603.09056, section 2).

    ``skips`` maps the index of a layer to that of an earlier one, whose output is added to its
    output: details need not pass the layers of low resolution in between. With ``is_residual`` the
    layers compute the change of the image, which is added to it (`add_change`).
    """

    def __init__(
        self,
        *layers: Any,  # as of `torch.nn.Sequential`
        skips: dict[int, int] | None = None,
        is_residual: bool = False,
    ):
        super().__init__(*layers)
        self.skips = skips or {}
        self.is_residual = is_residual

    def forward(self, x: Tensor) -> Tensor:
        image = x
        kept: dict[int, Tensor] = {}
        for i, layer in enumerate(self):
            x = layer(x)
            if i in self.skips:
                x = x + kept.pop(self.skips[i])
            if i in self.skips.values():
                kept[i] = x
        return add_change(image, x) if self.is_residual else x


def add_change(image: Tensor, change: Tensor) -> Tensor:
    """Return image + change within [-1, 1] (residual images, Shen and Liu, 2017, section 3.1).

    A generator that changes nothing is close to a newly initialized one, so details that need no
    change need not be learned.
    """
    return (image + full_precision(change)).clamp(-1, 1)


class ResnetBlock(nn.Module):
    """x + conv(ReLU(conv(x))), with reflection padding and normalization (He et al., 2016)."""

    recompute = False  # gradient checkpointing: keep x only, recompute the rest for backward

    def __init__(self, channels: int, norm: str, use_dropout: bool):
        super().__init__()
        dropout = [nn.Dropout(0.5)] if use_dropout else []
        self.conv_block = nn.Sequential(
            ChannelsLastReflectionPad2d(1),
            *conv(channels, channels, 3, norm=norm),
            nn.ReLU(),
            *dropout,
            ChannelsLastReflectionPad2d(1),
            *conv(channels, channels, 3, norm=norm),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            return x + checkpoint(self.conv_block, x, use_reentrant=False)
        return x + self.conv_block(x)


def _down(channels: int, out: int, norm: str) -> list[nn.Module]:
    return [*conv(channels, out, 3, norm=norm, stride=2, padding=1), nn.ReLU()]


def _up(channels: int, out: int, norm: str, upsample: str) -> list[nn.Module]:
    how: dict[str, Any] = {"stride": 2, "padding": 1, "output_padding": 1}
    return [*upsample_conv(channels, out, 3, upsample=upsample, norm=norm, **how), nn.ReLU()]


def enable_gradient_checkpointing(net: nn.Module) -> int:
    """Use gradient checkpointing in all residual blocks of ``net``; return their number."""
    blocks = [module for module in net.modules() if isinstance(module, ResnetBlock)]
    for block in blocks:
        block.recompute = True
    return len(blocks)
