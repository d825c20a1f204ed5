"""The terms of the objectives: means, in full precision, over raw scores and images."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from util.precision import full_precision


def lsgan(scores: Tensor, real: bool) -> Tensor:
    """Mean squared distance of the scores to 1 (real) or 0 (fake) (Mao et al., 2017, eq. 9)."""
    scores = full_precision(scores)
    return F.mse_loss(scores, torch.full_like(scores, float(real)))


def vanilla(scores: Tensor, real: bool) -> Tensor:
    """Cross entropy of the scores as logits (Goodfellow et al., 2014, eq. 1, non-saturating)."""
    scores = full_precision(scores)
    # A float32 target makes PyTorch report float32 even for float64 scores, as references do.
    target = torch.full_like(scores, float(real), dtype=torch.float32)
    return F.binary_cross_entropy_with_logits(scores, target)


def wgangp(scores: Tensor, real: bool) -> Tensor:
    """The critic's estimate, to be used with `gradient_penalty` (Gulrajani et al., 2017, eq. 3)."""
    mean = full_precision(scores).mean()
    return -mean if real else mean


GAN_LOSSES = {"lsgan": lsgan, "vanilla": vanilla, "wgangp": wgangp}


def l1(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of two images in [-1, 1]."""
    return F.l1_loss(full_precision(output), full_precision(target))


def gradient_penalty(netD: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """E[(‖∇D(x)‖₂ − 1)²] at random points x between real and fake (Gulrajani 2017, eq. 3)."""
    share = torch.rand(real.shape[0], 1, 1, 1, device=real.device, dtype=real.dtype)
    between = (share * real + (1 - share) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(netD(between).sum(), between, create_graph=True)
    return (full_precision(slope).flatten(1).norm(dim=1) - 1).square().mean()
