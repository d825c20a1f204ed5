"""Discriminators that score patches: a map of scores per image (Isola et al., 2017, 3.2.2)."""

from itertools import pairwise

from torch import Tensor, nn

from models.networks.layers import ScoreConv2d, conv, has_bias


class NLayerDiscriminator(nn.Module):
    """PatchGAN: (N, input_nc, H, W) → raw scores (N, 1, h, w).

    ``n_layers`` 4×4 convolutions of stride 2, then two of stride 1. With 3 layers each score sees
    70×70 pixels, and 256×256 images give 30×30 scores. The first and the last convolution have no
    normalization.
    """

    def __init__(self, input_nc: int, ndf: int = 64, n_layers: int = 3, norm: str = "batch"):
        super().__init__()
        widths = [ndf * min(2**i, 8) for i in range(n_layers + 1)]
        layers = [nn.Conv2d(input_nc, ndf, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for i, (channels, out) in enumerate(pairwise(widths), start=1):
            stride = 2 if i < n_layers else 1
            layers += conv(channels, out, 4, norm=norm, stride=stride, padding=1)
            layers.append(nn.LeakyReLU(0.2))
        self.model = nn.Sequential(*layers, ScoreConv2d(widths[-1], 1, 4, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class PixelDiscriminator(nn.Module):
    """1×1 PatchGAN: (N, input_nc, H, W) → raw scores (N, 1, H, W), one for each pixel."""

    def __init__(self, input_nc: int, ndf: int = 64, norm: str = "batch"):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(input_nc, ndf, 1),
            nn.LeakyReLU(0.2),
            *conv(ndf, 2 * ndf, 1, norm=norm),
            nn.LeakyReLU(0.2),
            ScoreConv2d(2 * ndf, 1, 1, bias=has_bias(norm)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)
