"""Discriminators that judge patches: a map of scores instead of one (Isola et al., 2017, 3.2.2)."""

from itertools import pairwise

from torch import Tensor, nn

from models.networks.layers import ScoreConv2d, conv, has_bias


class NLayerDiscriminator(nn.Module):
    """(N, input_nc, H, W) → scores (N, 1, h, w), unbounded; with 3 layers each sees 70×70 pixels.

    ``n_layers`` 4×4 convolutions of stride 2 and two of stride 1; 256×256 images give 30×30
    scores. No norm on the first and the last convolution.
    """

    def __init__(self, input_nc: int, ndf: int = 64, n_layers: int = 3, norm: str = "batch"):
        super().__init__()
        widths = [ndf * min(2**i, 8) for i in range(n_layers + 1)]
        layers = [nn.Conv2d(input_nc, ndf, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for i, (channels, out) in enumerate(pairwise(widths), start=1):
            layers += _layer(channels, out, stride=2 if i < n_layers else 1, norm=norm)
        self.model = nn.Sequential(*layers, ScoreConv2d(widths[-1], 1, 4, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class PixelDiscriminator(nn.Module):
    """(N, input_nc, H, W) → (N, 1, H, W): every pixel judged by itself, by 1×1 convolutions."""

    def __init__(self, input_nc: int, ndf: int = 64, norm: str = "batch"):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(input_nc, ndf, 1), nn.LeakyReLU(0.2),
            *conv(ndf, 2 * ndf, 1, norm=norm), nn.LeakyReLU(0.2),
            ScoreConv2d(2 * ndf, 1, 1, bias=has_bias(norm)),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def _layer(channels: int, out: int, stride: int, norm: str) -> list[nn.Module]:
    return [*conv(channels, out, 4, norm=norm, stride=stride, padding=1), nn.LeakyReLU(0.2)]
