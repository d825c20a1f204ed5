"""Images too large for the memory: through a network tile by tile, with the result of the whole.

Tiles alone would show seams, since a normalization takes mean and variance from all that it sees.
So every normalization waits until all tiles have been there, and uses what is true of the whole
image. Where the network is at its coarsest, which is where it works most, the results of all
tiles are kept, in the main memory; elsewhere they are computed again for each normalization.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product

import torch
from torch import Tensor, nn
from tqdm import tqdm

from util.precision import full_precision

MIN_OVERLAP = 32  # pixels; with less, a tile would answer for pixels of which it misses something
NORMS = (nn.InstanceNorm2d, nn.BatchNorm2d)
Chain = list[tuple[nn.Module, bool]]  # layers, and whether to keep what comes out of each


def tile_network(net: nn.Module, tile: int, overlap: int) -> None:
    """Let a generator take its images in tiles from now on: see `Tiles`."""
    net.model.forward = Tiles(net.model, tile, overlap, net.stride)


@dataclass(frozen=True)
class Span:
    """A tile along one side: it sees ``start`` … ``stop``, it answers for ``first`` … ``last``."""

    start: int
    stop: int
    first: int
    last: int

    def seen(self, scale: Fraction) -> slice:
        """What it sees, in a map of the whole image at ``scale``."""
        return slice(int(self.start * scale), int(self.stop * scale))

    def place(self, scale: Fraction) -> slice:
        """What it answers for, in such a map."""
        return slice(int(self.first * scale), int(self.last * scale))

    def part(self, pixels: int) -> slice:
        """The same, in a map of ``pixels`` pixels of what it sees."""
        scale = Fraction(pixels, self.stop - self.start)
        return slice(
            int((self.first - self.start) * scale), int((self.last - self.start) * scale)
        )  # fmt: skip


def spans(length: int, tile: int, overlap: int, stride: int) -> list[Span]:
    """As few tiles over ``length`` as possible, all of one size, at most ``tile`` pixels.

    Neighbours share at least ``overlap``. All of these are multiples of ``stride``; so are the
    places where one ends to answer and the next begins, in the middle of what they share.
    """
    count = max(1, -(-(length - overlap) // (tile - overlap)))
    tile = (
        -(-(length + (count - 1) * overlap) // (count * stride)) * stride
    )  # no larger than needed
    starts = [min(i * (tile - overlap), length - tile) for i in range(count)]
    edges = [0]
    edges += [(a + tile + b) // (2 * stride) * stride for a, b in pairwise(starts)]
    edges.append(length)
    return [
        Span(start, start + tile, *answers)
        for start, answers in zip(starts, pairwise(edges), strict=True)
    ]


class Tiles:
    """Stands for ``net``, a chain of layers (N, C, H, W) → (N, K, H, W), on the whole image.

    ``tile`` and ``overlap`` are pixels; these, H and W are multiples of ``stride``, by which
    ``net`` makes images smaller on its way. From what is kept to the next normalization, layers
    see at most 10 pixels round about: from an ``overlap`` of `MIN_OVERLAP` on the result is
    that of ``net`` but for rounding.
    """

    def __init__(self, net: nn.Sequential, tile: int, overlap: int, stride: int):
        self.size = (tile, overlap, stride)
        self.net, self.plain = net, net.forward
        self.chain = list(zip(net, _coarsest(net), strict=True))

    def __call__(self, x: Tensor) -> Tensor:
        self.rows, self.columns = (spans(side, *self.size) for side in x.shape[-2:])
        if len(self.rows) == len(self.columns) == 1:
            return self.plain(x)
        self.device = x.device
        self.norms = {layer: _Norm(layer, self) for layer in _norms_in(self.net)}
        passes = len(self.norms) + _times_kept(self.chain) + 1
        count = passes * len(self.rows) * len(self.columns)
        self.bar = tqdm(total=count, unit=" tiles", disable=None, leave=False, position=1)
        with self.bar, _in_place(self.norms):
            return self._run(x.cpu(), self.chain).to(x.device)

    def _run(self, kept: Tensor, chain: Chain) -> Tensor:
        """What ``chain`` makes of the map ``kept``: a map of the whole image again."""
        layers: list[nn.Module] = []
        for layer, keep in chain:
            if (inside := _inside(layer)) is not None:
                kept = self._run(kept, inside).add_(kept)
                continue
            layers.append(layer)
            if layer in self.norms:
                self._settle(self.norms[layer], kept, layers)
            if keep:
                kept, layers = self._whole(kept, layers), []
        return self._whole(kept, layers) if layers else kept

    def _settle(self, norm: "_Norm", kept: Tensor, layers: list[nn.Module]) -> None:
        """All tiles, as far as this normalization."""
        for tile in self._tiles(kept):
            with contextlib.suppress(_NotYetError):
                _through(layers, tile)
        norm.settle()

    def _whole(self, kept: Tensor, layers: list[nn.Module]) -> Tensor:
        out = None
        for tile in self._tiles(kept):
            y = _through(layers, tile)
            if out is None:
                scale = Fraction(y.shape[-1], self.column.stop - self.column.start)
                size = [int(each[-1].stop * scale) for each in (self.rows, self.columns)]
                shape, layout = (*y.shape[:2], *size), torch.channels_last
                out = torch.empty(shape, dtype=y.dtype, memory_format=layout)
            out[..., self.row.place(scale), self.column.place(scale)] = self.answer(y)
        return out

    def _tiles(self, kept: Tensor) -> Iterator[Tensor]:
        """What the tiles see of a map of the whole image, one after the other."""
        scale = Fraction(kept.shape[-1], self.columns[-1].stop)
        for row, column in product(self.rows, self.columns):
            self.row, self.column = row, column
            yield kept[..., row.seen(scale), column.seen(scale)].to(self.device)
            self.bar.update()

    def answer(self, y: Tensor) -> Tensor:
        """Of what came out for the current tile (N, C, h, w), that for which it answers."""
        return y[..., self.row.part(y.shape[-2]), self.column.part(y.shape[-1])]


class _Norm:
    """Takes the place of the ``forward`` of a normalization."""

    def __init__(self, layer: nn.Module, tiles: Tiles):
        self.layer, self.tiles = layer, tiles
        # With batch norm the images of a batch have their statistics in common.
        self.dims = (0, 2, 3) if isinstance(layer, nn.BatchNorm2d) else (2, 3)
        self.sums: tuple = (0, 0, 0)  # count, Σ x, Σ x², in float64
        self.mean: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:  # (N, C, h, w) of a tile → the same
        if self.mean is None:
            self._add(self.tiles.answer(x))
            raise _NotYetError
        y = (full_precision(x) - self.mean) * self.scale
        if self.layer.affine:
            y = y * self.layer.weight.view(-1, 1, 1) + self.layer.bias.view(-1, 1, 1)
        return y.to(x.dtype)

    def _add(self, x: Tensor) -> None:
        variance, mean = torch.var_mean(full_precision(x), self.dims, correction=0, keepdim=True)
        count, mean = x.numel() // mean.numel(), mean.double()
        new = (count, count * mean, count * (variance.double() + mean.square()))
        self.sums = tuple(old + value for old, value in zip(self.sums, new, strict=True))

    def settle(self) -> None:
        """All tiles have been here."""
        count, first, second = self.sums
        mean = first / count
        variance = second / count - mean.square()
        self.mean, self.scale = mean.float(), torch.rsqrt(variance + self.layer.eps).float()


class _NotYetError(Exception):
    """A normalization has seen a tile, and does not know the whole image yet."""


@contextlib.contextmanager
def _in_place(norms: dict[nn.Module, _Norm]) -> Iterator[None]:
    """They stand for the layers they were made for."""
    for layer, norm in norms.items():
        layer.forward = norm
    try:
        yield
    finally:
        for layer in norms:
            del layer.forward


def _norms_in(module: nn.Module) -> list[nn.Module]:
    """The normalizations that take their statistics from the image."""
    norms = (layer for layer in module.modules() if isinstance(layer, NORMS))
    return [norm for norm in norms if norm.training or not norm.track_running_stats]


def _coarsest(net: nn.Sequential) -> list[bool]:
    """For each layer, whether what comes out of it is as coarse as it ever gets in ``net``."""
    strides, stride = [], Fraction(1)
    for layer in net:
        if isinstance(layer, nn.ConvTranspose2d):
            stride /= layer.stride[0]
        elif isinstance(layer, nn.Conv2d):
            stride *= layer.stride[0]
        strides.append(stride)
    return [each == max(strides) for each in strides]


def _inside(layer: nn.Module) -> Chain | None:
    """The chain whose result a residual block adds to what it is given; None for other layers.

    All of it is kept but for what pads, which changes the size.
    """
    block = dict(layer.named_children()).get("conv_block")
    if block is None:
        return None
    return [(each, not isinstance(each, nn.ReflectionPad2d)) for each in block]


def _times_kept(chain: Chain) -> int:
    return sum(
        keep if (inside := _inside(layer)) is None else _times_kept(inside) for layer, keep in chain
    )


def _through(layers: list[nn.Module], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x
