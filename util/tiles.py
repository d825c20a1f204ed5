"""Pictures too large for the memory: through a network tile by tile, with the result of the whole.

Tiles alone would show seams, since a normalisation takes mean and variance from all that it sees.
So every normalisation waits until all tiles have been there, and uses what is true of the whole
picture. What comes before it is computed again for the next one, but not from the beginning: where
the network is at its coarsest, the result of all tiles is kept, in the main memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product

import torch
from torch import Tensor, nn
from tqdm import tqdm

LEAST_OVERLAP = 32  # pixels; with less, a tile would answer for pixels of which it misses something
NORMS = (nn.InstanceNorm2d, nn.BatchNorm2d)


def tile_network(net: nn.Module, tile: int, overlap: int) -> None:
    """Let a generator take its pictures in tiles from now on: see `Tiles`."""
    net.model.forward = Tiles(net.model, tile, overlap, net.stride)


@dataclass(frozen=True)
class Span:
    """A tile along one side: it sees ``start`` … ``stop``, it answers for ``first`` … ``last``."""

    start: int
    stop: int
    first: int
    last: int

    def seen(self, scale: Fraction) -> slice:
        """What it sees, in a map of the whole picture at ``scale``."""
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
    """Tiles of ``tile`` pixels over ``length``, which share at least ``overlap`` with the next one.

    All of these are multiples of ``stride``; so are the places where one ends to answer and the
    next one begins, in the middle of what they share.
    """
    starts = list(range(0, max(1, length - overlap), tile - overlap))
    starts[-1] = max(0, min(starts[-1], length - tile))
    edges = [0]
    edges += [(a + tile + b) // (2 * stride) * stride for a, b in pairwise(starts)]
    edges.append(length)
    return [
        Span(start, min(start + tile, length), *answers)
        for start, answers in zip(starts, pairwise(edges), strict=True)
    ]


class Tiles:
    """Stands for ``net``, a chain of layers (N, C, H, W) → (N, K, H, W), on the whole picture.

    ``tile`` and ``overlap`` are pixels; these, H and W are multiples of ``stride``, by which
    ``net`` makes pictures smaller on its way. From what is kept to the next normalisation, layers
    see at most 10 pixels round about: from an ``overlap`` of `LEAST_OVERLAP` on the result is
    that of ``net`` but for rounding. It takes about three times as long.
    """

    def __init__(self, net: nn.Sequential, tile: int, overlap: int, stride: int):
        self.size = (tile, overlap, stride)
        self.layers, self.plain, self.keeps = list(net), net.forward, _coarsest(net)

    def __call__(self, x: Tensor) -> Tensor:
        self.rows, self.columns = (spans(side, *self.size) for side in x.shape[-2:])
        if len(self.rows) == len(self.columns) == 1:
            return self.plain(x)
        norms = [[_Norm(norm, self) for norm in _norms_in(layer)] for layer in self.layers]
        passes = sum(map(len, norms)) + sum(self.keeps) + 1
        count = passes * len(self.rows) * len(self.columns)
        self.bar = tqdm(total=count, unit=" tiles", disable=None, leave=False, position=1)
        with self.bar, _in_place(norms):
            return self._run(x, norms)

    def _run(self, x: Tensor, norms: list[list["_Norm"]]) -> Tensor:
        kept, layers = x.cpu(), []
        for layer, inside, keep in zip(self.layers, norms, self.keeps, strict=True):
            layers.append(layer)
            for _ in inside:
                self._settle_one(kept, layers, x.device)
            if keep:
                kept, layers = self._whole(kept, layers, x.device), []
        return self._whole(kept, layers, x.device).to(x.device)

    def _settle_one(self, kept: Tensor, layers: list[nn.Module], device: torch.device) -> None:
        """All tiles, as far as the first normalisation that does not know the whole picture."""
        for tile in self._tiles(kept, device):
            try:
                _through(layers, tile)
            except _NotYet as reached:
                norm = reached.norm
        norm.settle()

    def _whole(self, kept: Tensor, layers: list[nn.Module], device: torch.device) -> Tensor:
        """What ``layers`` make of the map ``kept``: a map of the whole picture again."""
        out = None
        for tile in self._tiles(kept, device):
            y = _through(layers, tile)
            if out is None:
                scale = Fraction(y.shape[-1], self.column.stop - self.column.start)
                size = [int(each[-1].stop * scale) for each in (self.rows, self.columns)]
                out = torch.empty(*y.shape[:2], *size, dtype=y.dtype)
            out[..., self.row.place(scale), self.column.place(scale)] = self.answer(y)
        return out

    def _tiles(self, kept: Tensor, device: torch.device) -> Iterator[Tensor]:
        """What the tiles see of a map of the whole picture, one after the other."""
        scale = Fraction(kept.shape[-1], self.columns[-1].stop)
        for row, column in product(self.rows, self.columns):
            self.row, self.column = row, column
            yield kept[..., row.seen(scale), column.seen(scale)].to(device)
            self.bar.update()

    def answer(self, y: Tensor) -> Tensor:
        """Of what came out for the current tile (N, C, h, w), that for which it answers."""
        return y[..., self.row.part(y.shape[-2]), self.column.part(y.shape[-1])]


class _Norm:
    """Takes the place of the ``forward`` of a normalisation."""

    def __init__(self, layer: nn.Module, tiles: Tiles):
        self.layer, self.tiles = layer, tiles
        # With batch norm the pictures of a batch have their statistics in common.
        self.dims = (0, 2, 3) if isinstance(layer, nn.BatchNorm2d) else (2, 3)
        self.sums: tuple = (0, 0, 0)  # count, Σ x, Σ x², in float64
        self.mean: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:  # (N, C, h, w) of a tile → the same
        if self.mean is None:
            self._add(self.tiles.answer(x))
            raise _NotYet(self)
        y = (_exact(x) - self.mean) * self.scale
        if self.layer.affine:
            y = y * self.layer.weight.view(-1, 1, 1) + self.layer.bias.view(-1, 1, 1)
        return y.to(x.dtype)

    def _add(self, x: Tensor) -> None:
        variance, mean = torch.var_mean(_exact(x), self.dims, correction=0, keepdim=True)
        count, mean = x.numel() // mean.numel(), mean.double()
        new = (count, count * mean, count * (variance.double() + mean.square()))
        self.sums = tuple(old + value for old, value in zip(self.sums, new, strict=True))

    def settle(self) -> None:
        """All tiles have been here."""
        count, first, second = self.sums
        mean = first / count
        variance = second / count - mean.square()
        self.mean, self.scale = mean.float(), torch.rsqrt(variance + self.layer.eps).float()


class _NotYet(Exception):  # noqa: N818, nothing went wrong
    """``norm`` has seen a tile, and does not know the whole picture yet."""

    def __init__(self, norm: _Norm):
        super().__init__()
        self.norm = norm


@contextmanager
def _in_place(norms: list[list[_Norm]]) -> Iterator[None]:
    """They stand for the layers they were made for."""
    every = [norm for inside in norms for norm in inside]
    for norm in every:
        norm.layer.forward = norm
    try:
        yield
    finally:
        for norm in every:
            del norm.layer.forward


def _norms_in(module: nn.Module) -> list[nn.Module]:
    """The normalisations that take their statistics from the picture."""
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


def _through(layers: list[nn.Module], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _exact(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
