"""Translation of images larger than memory, tile by tile, with the result of the whole image.

Independent tiles would show seams, because a normalization depends on all pixels it is given. Here
each normalization first accumulates its statistics over all tiles, and then applies those of the
whole image. Where the network has its lowest resolution, which is where it computes most, the
outputs of all tiles are stored as one feature map in main memory; elsewhere they are recomputed for
each normalization.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product

import torch
from torch import Tensor, nn
from tqdm import tqdm

from models.networks.layers import ResizeConv2d
from models.networks.resnet import ResnetGenerator
from util.precision import full_precision

MIN_OVERLAP = 32  # pixels; with less, a valid region would depend on pixels outside of its tile
Norm = nn.InstanceNorm2d | nn.BatchNorm2d
Chain = list[tuple[nn.Module, bool]]  # layers, and whether to store the feature map after each


def tile_network(net: nn.Module, tile: int, overlap: int) -> None:
    """Make a ResNet generator process its images in tiles, see `TiledForward`."""
    assert isinstance(net, ResnetGenerator)
    tiled = TiledForward(net.model, tile, overlap, net.stride)
    net.model.forward = tiled  # type: ignore[method-assign]


@dataclass(frozen=True)
class Span:
    """A tile along one side: input pixels ``start`` … ``stop``, of which the output is valid for
    ``valid_start`` … ``valid_stop``."""

    start: int
    stop: int
    valid_start: int
    valid_stop: int

    def input_slice(self, scale: Fraction) -> slice:
        """The input region, in a feature map of the whole image at ``scale``."""
        return slice(int(self.start * scale), int(self.stop * scale))

    def valid_slice(self, scale: Fraction) -> slice:
        """The valid region, in a feature map of the whole image at ``scale``."""
        return slice(int(self.valid_start * scale), int(self.valid_stop * scale))

    def crop_slice(self, length: int) -> slice:
        """The valid region, in a feature map of this tile of ``length`` pixels."""
        scale = Fraction(length, self.stop - self.start)
        first = int((self.valid_start - self.start) * scale)
        last = int((self.valid_stop - self.start) * scale)
        return slice(first, last)


def tile_spans(length: int, tile: int, overlap: int, stride: int) -> list[Span]:
    """Cover ``length`` pixels with as few equal tiles of at most ``tile`` pixels as possible.

    Neighbors share at least ``overlap`` pixels, and their valid regions meet in the middle of the
    shared pixels. All arguments and results are multiples of ``stride``.
    """
    count = max(1, -(-(length - overlap) // (tile - overlap)))
    tile = -(-(length + (count - 1) * overlap) // (count * stride)) * stride  # no more than needed
    starts = [min(i * (tile - overlap), length - tile) for i in range(count)]

    edges = [0]
    edges += [(a + tile + b) // (2 * stride) * stride for a, b in pairwise(starts)]
    edges.append(length)
    return [
        Span(start, start + tile, *valid)
        for start, valid in zip(starts, pairwise(edges), strict=True)
    ]


class TiledForward:
    """Replacement for the ``forward`` of ``net``, layers (N, C, H, W) → (N, K, H, W) in sequence.

    ``tile`` and ``overlap`` are in pixels; they, H and W are multiples of ``stride``, the factor by
    which ``net`` downsamples. Between a stored feature map and the next normalization, layers have
    a receptive field of at most 10 pixels to each side: with an ``overlap`` of at least
    `MIN_OVERLAP`, the result equals that of ``net`` up to rounding.
    """

    def __init__(self, net: nn.Sequential, tile: int, overlap: int, stride: int):
        self.net = net
        self.plain_forward = net.forward
        self.geometry = (tile, overlap, stride)
        self.chain: Chain = list(zip(net, _has_lowest_resolution(net), strict=True))

    def __call__(self, x: Tensor) -> Tensor:
        self.rows, self.columns = (tile_spans(side, *self.geometry) for side in x.shape[-2:])
        if len(self.rows) == len(self.columns) == 1:
            return self.plain_forward(x)

        self.device = x.device
        self.norms: dict[nn.Module, _TiledNorm] = {
            layer: _TiledNorm(layer, self) for layer in _image_norms(self.net)
        }
        num_passes = len(self.norms) + _count_stored(self.chain) + 1
        num_tiles = num_passes * len(self.rows) * len(self.columns)
        self.bar = tqdm(total=num_tiles, unit=" tiles", disable=None, leave=False, position=1)
        with self.bar, _replace_forward(self.norms):
            return self._run(x.cpu(), self.chain).to(x.device)

    def _run(self, stored: Tensor, chain: Chain) -> Tensor:
        """Apply ``chain`` to a feature map of the whole image."""
        pending: list[nn.Module] = []  # layers since the stored feature map
        for layer, store in chain:
            if (block := _residual_chain(layer)) is not None:
                stored = self._run(stored, block).add_(stored)
                continue
            pending.append(layer)
            if layer in self.norms:
                self._compute_statistics(self.norms[layer], stored, pending)
            if store:
                stored = self._apply(pending, stored)
                pending = []
        return self._apply(pending, stored) if pending else stored

    def _compute_statistics(
        self, norm: "_TiledNorm", stored: Tensor, layers: list[nn.Module]
    ) -> None:
        """Run all tiles through ``layers``, which end with ``norm``."""
        for tile in self._tiles(stored):
            with contextlib.suppress(_StatisticsPendingError):
                _forward(layers, tile)
        norm.finalize()

    def _apply(self, layers: list[nn.Module], stored: Tensor) -> Tensor:
        """Run all tiles through ``layers``; assemble their valid regions to one feature map."""
        out = None
        for tile in self._tiles(stored):
            y = _forward(layers, tile)
            if out is None:
                scale = Fraction(y.shape[-1], self.column.stop - self.column.start)
                size = [int(spans[-1].stop * scale) for spans in (self.rows, self.columns)]
                shape = (*y.shape[:2], *size)
                out = torch.empty(shape, dtype=y.dtype, memory_format=torch.channels_last)
            valid = (self.row.valid_slice(scale), self.column.valid_slice(scale))
            out[..., valid[0], valid[1]] = self.crop_to_valid(y)
        assert out is not None  # there is at least one tile
        return out

    def _tiles(self, stored: Tensor) -> Iterator[Tensor]:
        """Yield the input regions of a feature map of the whole image, on the device."""
        scale = Fraction(stored.shape[-1], self.columns[-1].stop)
        for row, column in product(self.rows, self.columns):
            self.row = row
            self.column = column
            yield stored[..., row.input_slice(scale), column.input_slice(scale)].to(self.device)
            self.bar.update()

    def crop_to_valid(self, y: Tensor) -> Tensor:
        """Crop an output (N, C, h, w) of the current tile to its valid region."""
        return y[..., self.row.crop_slice(y.shape[-2]), self.column.crop_slice(y.shape[-1])]


class _TiledNorm:
    """Replacement for the ``forward`` of a normalization: statistics over all tiles."""

    def __init__(self, layer: Norm, tiles: TiledForward):
        self.layer = layer
        self.tiles = tiles
        # Batch norm has common statistics for all images of a batch.
        self.dims = (0, 2, 3) if isinstance(layer, nn.BatchNorm2d) else (2, 3)
        self.sums: tuple = (0, 0, 0)  # count, Σ x, Σ x², in float64
        self.mean: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:  # (N, C, h, w) of a tile → the same shape
        if self.mean is None:
            self._accumulate(self.tiles.crop_to_valid(x))
            raise _StatisticsPendingError
        y = (full_precision(x) - self.mean) * self.scale
        if self.layer.affine:
            y = y * self.layer.weight.view(-1, 1, 1) + self.layer.bias.view(-1, 1, 1)
        return y.to(x.dtype)

    def _accumulate(self, x: Tensor) -> None:
        variance, mean = torch.var_mean(full_precision(x), self.dims, correction=0, keepdim=True)
        count = x.numel() // mean.numel()
        mean = mean.double()
        sums = (count, count * mean, count * (variance.double() + mean.square()))
        self.sums = tuple(old + new for old, new in zip(self.sums, sums, strict=True))

    def finalize(self) -> None:
        """Compute mean and scale, after all tiles have been accumulated."""
        count, sum_x, sum_x2 = self.sums
        mean = sum_x / count
        variance = sum_x2 / count - mean.square()
        self.mean = mean.float()
        self.scale = torch.rsqrt(variance + self.layer.eps).float()


class _StatisticsPendingError(Exception):
    """A normalization has accumulated a tile and cannot compute an output yet."""


@contextlib.contextmanager
def _replace_forward(norms: dict[nn.Module, _TiledNorm]) -> Iterator[None]:
    for layer, norm in norms.items():
        layer.forward = norm
    try:
        yield
    finally:
        for layer in norms:
            del layer.forward


def _image_norms(module: nn.Module) -> list[Norm]:
    """Return the normalizations that compute their statistics from the image."""
    norms = (layer for layer in module.modules() if isinstance(layer, Norm))
    return [norm for norm in norms if norm.training or not norm.track_running_stats]


def _has_lowest_resolution(net: nn.Sequential) -> list[bool]:
    """For each layer, return whether its output has the lowest resolution within ``net``."""
    strides = []
    stride = Fraction(1)
    for layer in net:
        if isinstance(layer, ResizeConv2d):
            stride /= 2
        elif isinstance(layer, nn.ConvTranspose2d):
            stride /= layer.stride[0]
        elif isinstance(layer, nn.Conv2d):
            stride *= layer.stride[0]
        strides.append(stride)
    return [each == max(strides) for each in strides]


def _residual_chain(layer: nn.Module) -> Chain | None:
    """Return the residual branch of a residual block; None for other layers.

    All feature maps are stored except those after padding, which changes the size.
    """
    branch = dict(layer.named_children()).get("conv_block")
    if not isinstance(branch, nn.Sequential):
        return None
    return [(each, not isinstance(each, nn.ReflectionPad2d)) for each in branch]


def _count_stored(chain: Chain) -> int:
    return sum(
        store if (block := _residual_chain(layer)) is None else _count_stored(block)
        for layer, store in chain
    )


def _forward(layers: list[nn.Module], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x
