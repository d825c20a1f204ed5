"""3×3 convolutions on the CPU with a quarter of the multiplications.

Lavin & Gray, 2016, "Fast Algorithms for Convolutional Neural Networks", F(4×4, 3×3): a tile d of
6×6 inputs and a kernel g become 6×6 "frequencies", are multiplied, and become 4×4 results,

    Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A,                                                      (eq. 8)

where ⊙, summed over the channels, is 36 ordinary matrix products. These are the same sums in
another order: in float32 results differ from direct ones by about 1e-5 of the largest value.
"""

from types import MethodType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FLOATS_A_BLOCK = 1_200_000  # as many input values at once as the caches hold
LEAST_CHANNELS = 64  # with fewer, the mappings cost more than the products save
LEAST_WORK = 1e9  # multiplications and additions of the direct way; below, the same

# fmt: off
_B = torch.tensor([
    [4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1],
], dtype=torch.float64)
_G = torch.tensor([
    [6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24],
], dtype=torch.float64) / 24
_A = torch.tensor([
    [1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1],
], dtype=torch.float64)
# fmt: on
# The two-dimensional mappings, as matrices on flattened tiles.
B = torch.kron(_B, _B).float()  # 36 × 36
G = torch.kron(_G, _G).float()  # 36 ×  9
A = torch.kron(_A, _A).float()  # 16 × 36


def use_winograd(net: nn.Module) -> nn.Module:
    """Let all 3×3 convolutions of ``net`` that gain by it compute this way; return ``net``."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d) and _gains(layer):
            layer._conv_forward = MethodType(_conv_forward, layer)
    return net


def _gains(layer: nn.Conv2d) -> bool:
    shape = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups)
    plain = shape == ((3, 3), (1, 1), (0, 0), (1, 1), 1)
    return plain and min(layer.in_channels, layer.out_channels) >= LEAST_CHANNELS


def _conv_forward(layer: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    work = 18 * x.numel() * len(weight)
    plain = torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling()
    if plain or x.dtype != torch.float32 or work < LEAST_WORK:
        return F.conv2d(x, weight, bias)
    y = Winograd.apply(x, weight)
    return y if bias is None else y + bias.view(1, -1, 1, 1)


class Winograd(torch.autograd.Function):
    """`torch.nn.functional.conv2d` of x (N, C, H, W) and a weight (K, C, 3, 3), no padding.

    Backward applies the transposed mappings in the opposite order. Tiles go through in blocks of
    whole rows, small enough that nothing between the first and the last mapping leaves the cache.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        tiles, height, width = _padded(x)
        products = _frequencies(weight)  # (36, K, C)
        out = x.new_empty(len(x), tiles.shape[1] - 2, tiles.shape[2] - 2, len(weight))
        for block in _blocks(tiles):
            spread = B @ _gather(tiles, block)  # (36, T·C)
            mixed = torch.bmm(spread.view(36, -1, x.shape[1]), products.mT)  # (36, T, K)
            _scatter(A @ mixed.view(36, -1), out, block)  # (16, T·K)
        return out[:, :height, :width].permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        channels, (tiles, height, width) = x.shape[1], _padded(x)
        grads, products = _padded_grad(grad, tiles), _frequencies(weight)
        grad_tiles = torch.zeros_like(tiles) if ctx.needs_input_grad[0] else None
        grad_products = products.new_zeros(products.shape)  # (36, K, C)
        for block in _blocks(tiles):
            mixed = (A.T @ _gather_grad(grads, block)).view(36, -1, len(weight))  # (36, T, K)
            if ctx.needs_input_grad[1]:
                spread = (B @ _gather(tiles, block)).view(36, -1, channels)  # (36, T, C)
                grad_products.baddbmm_(mixed.mT, spread)
            if grad_tiles is not None:
                back = B.T @ torch.bmm(mixed, products).view(36, -1)  # (36, T·C)
                _scatter_add(back, grad_tiles, block)
        if grad_tiles is not None:
            grad_tiles = grad_tiles[:, : height + 2, : width + 2].permute(0, 3, 1, 2)
        grad_weight = (G.T @ grad_products.view(36, -1)).view(3, 3, *weight.shape[:2])
        return grad_tiles, grad_weight.permute(2, 3, 0, 1)


Block = tuple[int, slice, int]  # image, rows of tiles, tiles in a row


def _padded(x: Tensor) -> tuple[Tensor, int, int]:
    """x as (N, H, W, C), completed with zeros to whole tiles, and the size of the results."""
    height, width = x.shape[2] - 2, x.shape[3] - 2
    right, below = -width % 4, -height % 4
    tiles = x.permute(0, 2, 3, 1)
    if right or below:
        tiles = F.pad(tiles, (0, 0, 0, right, 0, below))
    return tiles.contiguous(), height, width


def _padded_grad(grad: Tensor, tiles: Tensor) -> Tensor:
    """The gradient of the results as (N, H, W, K), zero where there were none."""
    below, right = tiles.shape[1] - 2 - grad.shape[2], tiles.shape[2] - 2 - grad.shape[3]
    grad = grad.permute(0, 2, 3, 1)
    return (F.pad(grad, (0, 0, 0, right, 0, below)) if right or below else grad).contiguous()


def _frequencies(weight: Tensor) -> Tensor:
    """G g Gᵀ of every kernel: (K, C, 3, 3) → (36, K, C)."""
    kernels = weight.permute(0, 2, 3, 1).reshape(len(weight), 9, -1)  # (K, 9, C)
    return torch.matmul(G, kernels).transpose(0, 1)


def _blocks(tiles: Tensor) -> list[Block]:
    _, height, width, channels = tiles.shape
    rows, across = (height - 2) // 4, (width - 2) // 4
    step = max(1, FLOATS_A_BLOCK // (36 * across * channels))
    return [
        (n, slice(first, min(rows, first + step)), across)
        for n in range(len(tiles))
        for first in range(0, rows, step)
    ]


def _views(tiles: Tensor, block: Block) -> list[Tensor]:
    """Pixel (i, j) of every 6×6 tile of the block, for all 36 of them: views (rows, across, C)."""
    n, rows, across = block
    strip = tiles[n, 4 * rows.start : 4 * rows.stop + 2]
    down, right = 4 * (rows.stop - rows.start) - 3, 4 * across - 3
    return [strip[i : i + down : 4, j : j + right : 4] for i in range(6) for j in range(6)]


def _gather(tiles: Tensor, block: Block) -> Tensor:
    return torch.stack(_views(tiles, block)).view(36, -1)


def _scatter_add(values: Tensor, tiles: Tensor, block: Block) -> None:
    for view, value in zip(_views(tiles, block), values, strict=True):
        view += value.view(view.shape)


def _strip(out: Tensor, block: Block) -> Tensor:
    """The results of the block by place in the tile: a view (4, 4, rows, across, K)."""
    n, rows, across = block
    strip = out[n, 4 * rows.start : 4 * rows.stop]
    return strip.view(rows.stop - rows.start, 4, across, 4, -1).permute(1, 3, 0, 2, 4)


def _scatter(values: Tensor, out: Tensor, block: Block) -> None:
    strip = _strip(out, block)
    strip.copy_(values.view(strip.shape))


def _gather_grad(grads: Tensor, block: Block) -> Tensor:
    return _strip(grads, block).reshape(16, -1)
