"""Layers that PyTorch does not have in the form needed here, and padding to any image size."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from util.precision import full_precision


class ChannelsLastInstanceNorm2d(nn.InstanceNorm2d):
    """Normalize each channel of each image to mean 0 and variance 1 (Ulyanov et al., 2016, eq. 4).

    No parameters, no running statistics. The input gradient of `torch.nn.InstanceNorm2d` is wrong
    for batch size 1 with a channels-last incoming gradient (seen up to torch 2.15), and it returns
    contiguous tensors for channels-last ones. For a single image the statistics of the batch are
    those of the instance, so batch norm, image by image, computes the same and keeps the layout.
    torch.compile traces the formula; ONNX export emits the operator InstanceNormalization.
    """

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) → (N, C, H, W)
        if torch.compiler.is_compiling():
            # Not is_exporting(): with torch 2.11 it is true in every compilation.
            exporting = torch.onnx.is_in_onnx_export()
            return F.instance_norm(x, eps=self.eps) if exporting else instance_norm(x, self.eps)

        normalized = [
            F.batch_norm(image, None, None, training=True, eps=self.eps) for image in x.split(1)
        ]
        return normalized[0] if len(normalized) == 1 else torch.cat(normalized)


def instance_norm(x: Tensor, eps: float) -> Tensor:
    """(x − mean) / √(variance + eps) over the pixels of each channel, in full precision."""
    x_full = full_precision(x)
    variance, mean = torch.var_mean(x_full, dim=(2, 3), correction=0, keepdim=True)
    return ((x_full - mean) * torch.rsqrt(variance + eps)).to(x.dtype)


class ChannelsLastReflectionPad2d(nn.ReflectionPad2d):
    """`torch.nn.ReflectionPad2d` that keeps channels-last in eager mode on CUDA."""

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) → (N, C, H + 2p, W + 2p)
        if x.is_cuda and not torch.compiler.is_compiling():
            pad = self.padding[0]
            return reflect_pad(reflect_pad(x, pad, dim=3), pad, dim=2)
        return super().forward(x)


def reflect_pad(x: Tensor, pad: int, dim: int) -> Tensor:
    """Pad both ends of ``dim`` by reflection: slices, flips and one copy."""
    size = x.shape[dim]
    before = x.narrow(dim, 1, pad).flip(dim)
    after = x.narrow(dim, size - 1 - pad, pad).flip(dim)
    return torch.cat([before, x, after], dim)


class BiasFreeConv2d(nn.Conv2d):
    """A convolution before instance norm, which would subtract a bias: it is never added.

    The bias stays a parameter, because weight files contain it, but it gets no gradient and no
    kernel of its own.
    """

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight, None)


class BiasFreeConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution that ignores its bias; see `BiasFreeConv2d`."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        assert output_size is None, "the size follows from output_padding"
        return F.conv_transpose2d(
            x,
            self.weight,
            None,
            self.stride,
            self.padding,  # type: ignore[arg-type]
            self.output_padding,
        )


class ResizeConv2d(nn.Conv2d):
    """Nearest-neighbor upsampling by 2, reflection padding and a 3×3 convolution.

    (N, C, H, W) → (N, K, 2H, 2W). Each output pixel sees equally many inputs, unlike those of a
    transposed convolution whose kernel size is not a multiple of its stride: no checkerboards
    (Odena et al., 2016, doi:10.23915/distill.00003).

    A kernel on repeated pixels is a 4×4 kernel, the 3×3 one convolved with a 2×2 box, in a
    transposed convolution of stride 2; this takes 16 instead of 36 products per input pixel.
    Reflected at the border, a repeated pixel is itself: replicate padding before upsampling.
    """

    def __init__(self, channels: int, out: int, bias: bool = False):
        super().__init__(channels, out, 3, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        kernel = F.pad(self.weight.flip(2, 3), (1, 1, 1, 1))
        kernel = F.avg_pool2d(kernel, 2, stride=1, divisor_override=1).transpose(0, 1)
        return F.conv_transpose2d(repeat_border(x), kernel, self.bias, stride=2, padding=3)


def repeat_border(x: Tensor) -> Tensor:
    """Pad x (N, C, H, W) by one pixel to each side, which repeats that of the border."""
    if not torch.compiler.is_compiling():
        return F.pad(x, (1, 1, 1, 1), mode="replicate")
    # The compiler of torch 2.14 mistakes the layout of that gradient for channels-last tensors.
    x = torch.cat([x[..., :1, :], x, x[..., -1:, :]], dim=2)
    return torch.cat([x[..., :1], x, x[..., -1:]], dim=3)


class ScoreConv2d(nn.Conv2d):
    """The last layer of a discriminator: computed in full precision also under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(full_precision(x))


class FullPrecisionTanh(nn.Tanh):
    """tanh in full precision: bfloat16 values near ±1 are half an 8-bit level apart.

    Rounding to them could change pixels.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(full_precision(x))


NORMS = {
    "instance": ChannelsLastInstanceNorm2d,
    "batch": nn.BatchNorm2d,
    "none": lambda channels: nn.Identity(),
}


SPECTRAL = "spectral"  # the norm of layers that `add_spectral_norm` normalizes


def get_norm_layer(norm: str):
    """Return the constructor of normalization ``norm``, a key of `NORMS`: channels → layer."""
    return NORMS["none" if norm == SPECTRAL else norm]


def has_bias(norm: str) -> bool:
    """Whether a convolution followed by ``norm`` has a bias in weight files of other programs.

    Batch norm has its own shift; before instance norm the bias has no effect but is stored.
    """
    return norm in ("instance", SPECTRAL)


def conv(channels: int, out: int, kernel_size: int, *, norm: str, **kwargs) -> list[nn.Module]:
    """A convolution and its normalization."""
    layer = BiasFreeConv2d if norm == "instance" else nn.Conv2d
    convolution = layer(channels, out, kernel_size, bias=has_bias(norm), **kwargs)
    return [convolution, get_norm_layer(norm)(out)]


def conv_transpose(
    channels: int, out: int, kernel_size: int, *, norm: str, **kwargs
) -> list[nn.Module]:
    """A transposed convolution and its normalization."""
    layer = BiasFreeConvTranspose2d if norm == "instance" else nn.ConvTranspose2d
    convolution = layer(channels, out, kernel_size, bias=has_bias(norm), **kwargs)
    return [convolution, get_norm_layer(norm)(out)]


def add_spectral_norm(net: nn.Module) -> nn.Module:
    """Divide the weight of each convolution by its largest singular value; return ``net``.

    Miyato et al., 2018, eq. 8, with one power iteration for each forward pass in training mode
    (algorithm 1). State dicts contain the weight before the division and the two vectors.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            parametrizations.spectral_norm(layer)
    return net


UPSAMPLE = ("transpose", "resize")


def upsample_conv(
    channels: int, out: int, kernel_size: int, *, upsample: str, norm: str, **kwargs
) -> list[nn.Module]:
    """A convolution that doubles the size, and its normalization.

    ``upsample`` is "transpose", with the kernel size and ``kwargs`` of a transposed convolution,
    or "resize", which is a `ResizeConv2d`.
    """
    if upsample == "transpose":
        return conv_transpose(channels, out, kernel_size, norm=norm, **kwargs)
    return [ResizeConv2d(channels, out), get_norm_layer(norm)(out)]


def forward_padded(net: nn.Module, x: Tensor, stride: int, min_size: int) -> Tensor:
    """``net(x)`` for images of any size, padded by reflection to a multiple of ``stride`` pixels.

    The result is cropped to the size of ``x`` (N, C, H, W). Sizes that fit are not padded.
    """
    height, width = x.shape[-2:]
    right = max(min_size, -(-width // stride) * stride) - width
    bottom = max(min_size, -(-height // stride) * stride) - height
    if right == bottom == 0:
        return net(x)
    return net(extend_by_reflection(x, right, bottom))[..., :height, :width]


def extend_by_reflection(x: Tensor, right: int, bottom: int) -> Tensor:
    """Pad x (N, C, H, W) by reflection on two sides, by any number of pixels."""
    while right > 0 or bottom > 0:
        height, width = x.shape[-2:]
        step_right = min(right, max(1, width - 1))
        step_bottom = min(bottom, max(1, height - 1))
        # A single pixel cannot be reflected; it is repeated.
        x = F.pad(x, (0, step_right, 0, 0), mode="reflect" if width > 1 else "replicate")
        x = F.pad(x, (0, 0, 0, step_bottom), mode="reflect" if height > 1 else "replicate")
        right -= step_right
        bottom -= step_bottom
    return x


def forward_batched(net: nn.Module, *batches: Tensor) -> tuple[Tensor, ...]:
    """``net`` on each batch, in one call if this does not change the results.

    Batch norm in training mode mixes the images of a call, so these calls stay separate; so do
    those of batches of different shapes.
    """
    same_shape = len({batch.shape for batch in batches}) == 1
    if not same_shape or any(isinstance(layer, nn.BatchNorm2d) for layer in net.modules()):
        return tuple(net(batch) for batch in batches)
    return net(torch.cat(batches)).chunk(len(batches))
