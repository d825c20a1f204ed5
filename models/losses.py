"""Loss terms: means over raw scores or images, computed in float32 or float64."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from util.precision import full_precision


def lsgan(scores: Tensor, real: bool) -> Tensor:
    """Mean squared error of the scores against 1 (real) or 0 (fake) (Mao et al., 2017, eq. 9)."""
    scores = full_precision(scores)
    return F.mse_loss(scores, torch.full_like(scores, float(real)))


def vanilla(scores: Tensor, real: bool) -> Tensor:
    """Cross entropy of the scores as logits (Goodfellow et al., 2014, eq. 1, non-saturating)."""
    scores = full_precision(scores)
    # With a float32 target PyTorch returns float32 for float64 scores too, as the references do.
    target = torch.full_like(scores, float(real), dtype=torch.float32)
    return F.binary_cross_entropy_with_logits(scores, target)


def wgangp(scores: Tensor, real: bool) -> Tensor:
    """Critic loss, to be combined with `gradient_penalty` (Gulrajani et al., 2017, eq. 3)."""
    mean = full_precision(scores).mean()
    return -mean if real else mean


GAN_LOSSES = {
    "lsgan": lsgan,
    "vanilla": vanilla,
    "wgangp": wgangp,
    "relativistic": vanilla,  # of differences of scores, see `relative_scores`
}


class GANLoss(nn.Module):
    """The adversarial loss named ``gan_mode``, a key of `GAN_LOSSES`. Raises KeyError for others.

    Takes raw scores (no sigmoid) of any shape and whether the target is "real"; returns a scalar.
    """

    def __init__(self, gan_mode: str):
        super().__init__()
        self.loss = GAN_LOSSES[gan_mode]
        self.is_relativistic = gan_mode == "relativistic"

    def forward(self, prediction: Tensor, target_is_real: bool) -> Tensor:
        return self.loss(prediction, target_is_real)


def relative_scores(pred_real: Tensor, pred_fake: Tensor) -> tuple[Tensor, Tensor]:
    """Return how much more real each image of a pair is than the other, as raw scores.

    With the loss `vanilla` this is the relativistic pairing GAN (Jolicoeur-Martineau, 2019, eq. 3;
    Huang et al., 2024, eq. 2), in which a generator cannot leave out modes.
    """
    return pred_real - pred_fake, pred_fake - pred_real


def l1(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error between images in [-1, 1]."""
    return F.l1_loss(full_precision(output), full_precision(target))


def gradient_penalty(
    netD: nn.Module, real: Tensor, fake: Tensor, target_norm: float = 1.0
) -> Tensor:
    """E[(‖∇D(x)‖₂ − target_norm)²] at random points x between real and fake images (N, C, H, W).

    The norm is taken over each image. 1 is the penalty of Gulrajani et al. (2017, eq. 3), 0 the
    zero-centered one of Thanh-Tung et al. (2019, eq. 6).
    """
    alpha = torch.rand(real.shape[0], 1, 1, 1, device=real.device, dtype=real.dtype)
    mixed = (alpha * real + (1 - alpha) * fake).requires_grad_()

    (gradient,) = torch.autograd.grad(netD(mixed).sum(), mixed, create_graph=True)
    norms = full_precision(gradient).flatten(1).norm(dim=1)
    return (norms - target_norm).square().mean()
