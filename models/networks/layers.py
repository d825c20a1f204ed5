"""The layers that PyTorch does not have in the form needed here."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from util.precision import full_precision


class InstanceNorm2d(nn.InstanceNorm2d):
    """Each channel of each image to mean 0 and variance 1, without parameters or running values.

    Ulyanov et al., 2016, eq. 4. The input gradient of `torch.nn.InstanceNorm2d` itself is wrong
    when the batch is 1 and the incoming gradient is channels-last (seen up to torch 2.15), and it
    turns channels-last images into contiguous ones. For one image the statistics of the batch
    *are* those of the instance, so batch norm, image by image, computes the same thing and
    keeps the layout. A compiler gets the formula itself, a file of ONNX the operation by its name.
    """

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) → the same
        if torch.compiler.is_compiling():
            # Not is_exporting, which torch 2.11 affirms to every compiler.
            exporting = torch.onnx.is_in_onnx_export()
            return F.instance_norm(x, eps=self.eps) if exporting else instance_norm(x, self.eps)
        images = [F.batch_norm(one, None, None, training=True, eps=self.eps) for one in x.split(1)]
        return images[0] if len(images) == 1 else torch.cat(images)


def instance_norm(x: Tensor, eps: float) -> Tensor:
    """(x − mean) / √(variance + eps) over the pixels of each channel, in full precision."""
    exact = full_precision(x)
    variance, mean = torch.var_mean(exact, dim=(2, 3), correction=0, keepdim=True)
    return ((exact - mean) * torch.rsqrt(variance + eps)).to(x.dtype)


class ReflectionPad2d(nn.ReflectionPad2d):
    """`torch.nn.ReflectionPad2d`, which on CUDA, not compiled, keeps channels-last."""

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) → (N, C, H + 2p, W + 2p)
        if x.is_cuda and not torch.compiler.is_compiling():
            return reflect_pad(reflect_pad(x, self.padding[0], dim=3), self.padding[0], dim=2)
        return super().forward(x)


def reflect_pad(x: Tensor, pad: int, dim: int) -> Tensor:
    """x with ``pad`` reflected pixels on both ends of ``dim``; only slices, flips and one copy."""
    size = x.shape[dim]
    before = x.narrow(dim, 1, pad).flip(dim)
    after = x.narrow(dim, size - 1 - pad, pad).flip(dim)
    return torch.cat([before, x, after], dim)


class Conv2d(nn.Conv2d):
    """A convolution before instance norm, which takes constants away: its bias is not added.

    Files carry it, so it stays a parameter; it gets no gradient and no kernel of its own.
    """

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight, None)


class ConvTranspose2d(nn.ConvTranspose2d):
    """As `Conv2d`, transposed."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(
            x, self.weight, None, self.stride, self.padding, self.output_padding
        )


class ScoreConv2d(nn.Conv2d):
    """The last layer of a discriminator: in full precision also where the others are in bf16."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(full_precision(x))


class Tanh(nn.Tanh):
    """tanh in full precision: images have 256 levels, bf16 has half as many near 1."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(full_precision(x))


def conv(channels: int, out: int, kernel_size: int, *, norm: str, **how) -> list[nn.Module]:
    """A convolution and the normalization after it."""
    kind = Conv2d if norm == "instance" else nn.Conv2d
    return [kind(channels, out, kernel_size, bias=has_bias(norm), **how), NORMS[norm](out)]


def conv_transpose(
    channels: int, out: int, kernel_size: int, *, norm: str, **how
) -> list[nn.Module]:
    """A transposed convolution and the normalization after it."""
    kind = ConvTranspose2d if norm == "instance" else nn.ConvTranspose2d
    return [kind(channels, out, kernel_size, bias=has_bias(norm), **how), NORMS[norm](out)]


def has_bias(norm: str) -> bool:
    """Whether a convolution followed by ``norm`` carries a bias in the files people exchange.

    Batch norm brings its own shift; after instance norm the bias is without effect but stored.
    """
    return norm == "instance"


NORMS = {
    "instance": InstanceNorm2d,
    "batch": nn.BatchNorm2d,
    "none": lambda channels: nn.Identity(),
}


def forward_padded(net: nn.Module, x: Tensor, stride: int, min_size: int) -> Tensor:
    """``net(x)`` for images of any size: padded by reflection to a multiple of ``stride`` pixels.

    The result has the size of ``x`` (N, C, H, W). Nothing happens where the size already fits.
    """
    height, width = x.shape[-2:]
    right = max(min_size, -(-width // stride) * stride) - width
    below = max(min_size, -(-height // stride) * stride) - height
    if right == below == 0:
        return net(x)
    return net(extend_by_reflection(x, right, below))[..., :height, :width]


def extend_by_reflection(x: Tensor, right: int, below: int) -> Tensor:
    """Continue x (N, C, H, W) by its mirror image, any number of pixels to the right and below."""
    while right > 0 or below > 0:
        height, width = x.shape[-2:]
        step = min(right, max(1, width - 1)), min(below, max(1, height - 1))
        # One pixel has no mirror image: it is repeated.
        x = F.pad(x, (0, step[0], 0, 0), mode="reflect" if width > 1 else "replicate")
        x = F.pad(x, (0, 0, 0, step[1]), mode="reflect" if height > 1 else "replicate")
        right, below = right - step[0], below - step[1]
    return x


def forward_batched(net: nn.Module, *batches: Tensor) -> tuple[Tensor, ...]:
    """``net`` on each of some batches, in one call where that is the same thing.

    With batch norm in training mode the images of a call see each other, so the calls stay
    apart; so they do where the images differ in size.
    """
    alike = len({batch.shape for batch in batches}) == 1
    if not alike or any(isinstance(layer, nn.BatchNorm2d) for layer in net.modules()):
        return tuple(net(batch) for batch in batches)
    return net(torch.cat(batches)).chunk(len(batches))
