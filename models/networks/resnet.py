"""The generator of CycleGAN: downsampling, residual blocks, upsampling (Johnson et al., 2016)."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.networks.layers import (
    ChannelsLastReflectionPad2d,
    FullPrecisionTanh,
    conv,
    conv_transpose,
    forward_padded,
)


class ResnetGenerator(nn.Module):
    """(N, input_nc, H, W) → (N, output_nc, H, W) in [-1, 1], for any H and W (`forward_padded`).

    The comments give channels × height × width for ngf = 64 and a 256×256 image.
    """

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
    ):
        super().__init__()
        blocks = [ResnetBlock(4 * ngf, norm, use_dropout) for _ in range(n_blocks)]
        self.model = nn.Sequential(
            ChannelsLastReflectionPad2d(3),
            *conv(input_nc, ngf, 7, norm=norm),
            nn.ReLU(),                       #  64 × 256 × 256
            *_down(ngf, 2 * ngf, norm),      # 128 × 128 × 128
            *_down(2 * ngf, 4 * ngf, norm),  # 256 ×  64 ×  64
            *blocks,                         # 256 ×  64 ×  64
            *_up(4 * ngf, 2 * ngf, norm),    # 128 × 128 × 128
            *_up(2 * ngf, ngf, norm),        #  64 × 256 × 256
            ChannelsLastReflectionPad2d(3),
            nn.Conv2d(ngf, output_nc, 7),
            FullPrecisionTanh(),             #   3 × 256 × 256
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return forward_padded(self.model, x, self.stride, self.min_size)


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


def _up(channels: int, out: int, norm: str) -> list[nn.Module]:
    upsample = conv_transpose(channels, out, 3, norm=norm, stride=2, padding=1, output_padding=1)
    return [*upsample, nn.ReLU()]


def enable_gradient_checkpointing(net: nn.Module) -> int:
    """Use gradient checkpointing in all residual blocks of ``net``; return their number."""
    blocks = [module for module in net.modules() if isinstance(module, ResnetBlock)]
    for block in blocks:
        block.recompute = True
    return len(blocks)
