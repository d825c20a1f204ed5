"""3×3 convolutions on the CPU with a quarter of the multiplications.

Lavin & Gray, 2016, "Fast Algorithms for Convolutional Neural Networks", F(4×4, 3×3): an input tile
d of 6×6 pixels and a kernel g are transformed to 6×6 values, multiplied, and transformed to 4×4
outputs,

    Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A,                                                      (eq. 8)

where ⊙, summed over the input channels, is 36 matrix products. Only the order of summation differs
from direct convolution: in float32, results differ by about 1e-5 of the largest value.

The module is independent of the rest; networks use it only after `use_winograd`.
"""

from types import MethodType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_BLOCK_FLOATS = 1_200_000  # transformed inputs per block, so that they fit into the cache
# Below either of these, the transforms cost more than the products save.
MIN_CHANNELS = 64
MIN_WORK = 1e9  # additions and multiplications of the direct convolution

# fmt: off
_BT = torch.tensor([
    [4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1],
], dtype=torch.float64)
_G = torch.tensor([
    [6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24],
], dtype=torch.float64) / 24
_AT = torch.tensor([
    [1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1],
], dtype=torch.float64)
# fmt: on
# The two-dimensional transforms, as matrices that act on flattened tiles.
INPUT_TRANSFORM = torch.kron(_BT, _BT).float()  # (36, 36)
KERNEL_TRANSFORM = torch.kron(_G, _G).float()  # (36, 9)
OUTPUT_TRANSFORM = torch.kron(_AT, _AT).float()  # (16, 36)


def use_winograd(net: nn.Module) -> nn.Module:
    """Switch the 3×3 convolutions of ``net`` that become faster by it; return ``net``."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d) and _is_eligible(layer):
            layer._conv_forward = MethodType(_conv_forward, layer)  # type: ignore[method-assign]
    return net


def _is_eligible(layer: nn.Conv2d) -> bool:
    geometry = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups)
    is_plain = geometry == ((3, 3), (1, 1), (0, 0), (1, 1), 1)
    return is_plain and min(layer.in_channels, layer.out_channels) >= MIN_CHANNELS


def _conv_forward(layer: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    work = 18 * x.numel() * len(weight)
    use_direct = torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling()
    if use_direct or x.dtype != torch.float32 or work < MIN_WORK:
        return F.conv2d(x, weight, bias)
    y = Winograd.apply(x, weight)
    return y if bias is None else y + bias.view(1, -1, 1, 1)


class Winograd(torch.autograd.Function):
    """`torch.nn.functional.conv2d` of x (N, C, H, W) and a weight (K, C, 3, 3), no padding.

    Backward applies the transposed transforms in reverse order. Tiles are processed in blocks of T
    tiles, whole rows of them, small enough that intermediate values stay in the cache.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        tiles, height, width = _pad_input(x)
        kernels = _transform_kernels(weight)  # (36, K, C)
        out = x.new_empty(len(x), tiles.shape[1] - 2, tiles.shape[2] - 2, len(weight))

        for block in _blocks(tiles):
            inputs = INPUT_TRANSFORM @ _gather_tiles(tiles, block)  # (36, T·C)
            products = torch.bmm(inputs.view(36, -1, x.shape[1]), kernels.mT)  # (36, T, K)
            _store_output(OUTPUT_TRANSFORM @ products.view(36, -1), out, block)  # (16, T·K)

        return out[:, :height, :width].permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor]:
        x, weight = ctx.saved_tensors
        tiles, height, width = _pad_input(x)
        grad_out = _pad_grad(grad, tiles)
        kernels = _transform_kernels(weight)  # (36, K, C)
        grad_kernels = kernels.new_zeros(kernels.shape)  # contiguous, which `kernels` is not
        grad_tiles = torch.zeros_like(tiles) if ctx.needs_input_grad[0] else None

        for block in _blocks(tiles):
            grad_products = OUTPUT_TRANSFORM.T @ _gather_output(grad_out, block)
            grad_products = grad_products.view(36, -1, len(weight))  # (36, T, K)
            if ctx.needs_input_grad[1]:
                inputs = INPUT_TRANSFORM @ _gather_tiles(tiles, block)
                grad_kernels.baddbmm_(grad_products.mT, inputs.view(36, -1, x.shape[1]))
            if grad_tiles is not None:
                grad_inputs = torch.bmm(grad_products, kernels)  # (36, T, C)
                _add_to_tiles(INPUT_TRANSFORM.T @ grad_inputs.view(36, -1), grad_tiles, block)

        if grad_tiles is not None:
            grad_tiles = grad_tiles[:, : height + 2, : width + 2].permute(0, 3, 1, 2)
        grad_weight = (KERNEL_TRANSFORM.T @ grad_kernels.view(36, -1)).view(3, 3, *weight.shape[:2])
        return grad_tiles, grad_weight.permute(2, 3, 0, 1)


Block = tuple[int, slice, int]  # image, rows of tiles, tiles in a row


def _pad_input(x: Tensor) -> tuple[Tensor, int, int]:
    """Return x as (N, H, W, C), zero-padded to whole tiles, and the output height and width."""
    height = x.shape[2] - 2
    width = x.shape[3] - 2
    return _pad_nhwc(x, -height % 4, -width % 4), height, width


def _pad_grad(grad: Tensor, tiles: Tensor) -> Tensor:
    """Return the output gradient as (N, H, W, K), zero-padded to the outputs of all tiles."""
    below = tiles.shape[1] - 2 - grad.shape[2]
    right = tiles.shape[2] - 2 - grad.shape[3]
    return _pad_nhwc(grad, below, right)


def _pad_nhwc(x: Tensor, below: int, right: int) -> Tensor:
    x = x.permute(0, 2, 3, 1)
    return (F.pad(x, (0, 0, 0, right, 0, below)) if right or below else x).contiguous()


def _transform_kernels(weight: Tensor) -> Tensor:
    """Return G g Gᵀ of every kernel: (K, C, 3, 3) → (36, K, C)."""
    kernels = weight.permute(0, 2, 3, 1).reshape(len(weight), 9, -1)  # (K, 9, C)
    return torch.matmul(KERNEL_TRANSFORM, kernels).transpose(0, 1)


def _blocks(tiles: Tensor) -> list[Block]:
    _, height, width, channels = tiles.shape
    rows = (height - 2) // 4
    columns = (width - 2) // 4
    step = max(1, MAX_BLOCK_FLOATS // (36 * columns * channels))
    return [
        (n, slice(first, min(rows, first + step)), columns)
        for n in range(len(tiles))
        for first in range(0, rows, step)
    ]


def _tile_views(tiles: Tensor, block: Block) -> list[Tensor]:
    """Return 36 views (rows, columns, C): pixel (i, j) of every 6×6 tile of the block."""
    n, rows, columns = block
    strip = tiles[n, 4 * rows.start : 4 * rows.stop + 2]
    height = 4 * (rows.stop - rows.start) - 3
    width = 4 * columns - 3
    return [strip[i : i + height : 4, j : j + width : 4] for i in range(6) for j in range(6)]


def _gather_tiles(tiles: Tensor, block: Block) -> Tensor:
    return torch.stack(_tile_views(tiles, block)).view(36, -1)


def _add_to_tiles(values: Tensor, tiles: Tensor, block: Block) -> None:
    for view, value in zip(_tile_views(tiles, block), values, strict=True):
        view += value.view(view.shape)


def _output_view(out: Tensor, block: Block) -> Tensor:
    """Return a view (4, 4, rows, columns, K): pixel (i, j) of every 4×4 output of the block."""
    n, rows, columns = block
    strip = out[n, 4 * rows.start : 4 * rows.stop]
    return strip.view(rows.stop - rows.start, 4, columns, 4, -1).permute(1, 3, 0, 2, 4)


def _store_output(values: Tensor, out: Tensor, block: Block) -> None:
    view = _output_view(out, block)
    view.copy_(values.view(view.shape))


def _gather_output(out: Tensor, block: Block) -> Tensor:
    return _output_view(out, block).reshape(16, -1)
