"""Differences between a generated image and its true counterpart.

All functions take float64 images (1, C, H, W) in [0, 1] of equal shape.
"""

import functools
import math

import torch
from torch import Tensor, nn

from metrics.weights import fetch_weights
from util.errors import UserError

SSIM_WINDOW = 11  # pixels
LPIPS_MIN_SIDE = 32  # pixels


def l1(real: Tensor, fake: Tensor) -> float:
    """Mean absolute difference of the pixels, in [0, 1]."""
    return float((real - fake).abs().mean())


def psnr(real: Tensor, fake: Tensor) -> float:
    """Peak signal-to-noise ratio in dB, −10 log₁₀ of the mean squared error; inf if equal."""
    mse = float((real - fake).square().mean())
    return -10 * math.log10(mse) if mse else math.inf


def ssim(real: Tensor, fake: Tensor) -> float:
    """Structural similarity with the Gaussian window of the paper (11×11, σ = 1.5).

    The mean over all windows that lie within the image, and over the channels.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    if min(real.shape[-2:]) < SSIM_WINDOW:
        raise UserError(f"metric ssim needs images of at least {SSIM_WINDOW} pixels")
    _, windows = structural_similarity_index_measure(
        fake, real, sigma=1.5, data_range=1.0, return_full_image=True
    )
    border = SSIM_WINDOW // 2  # torchmetrics pads by reflection, and averages over that, too
    return float(windows[..., border:-border, border:-border].mean())


def lpips(real: Tensor, fake: Tensor) -> float:
    """Learned perceptual distance: weighted differences of the activations of AlexNet."""
    if min(real.shape[-2:]) < LPIPS_MIN_SIDE:
        raise UserError(f"metric lpips needs images of at least {LPIPS_MIN_SIDE} pixels")
    images = [image.float().expand(-1, 3, -1, -1) for image in (fake, real)]
    with torch.inference_mode():
        return float(lpips_network()(*images))


@functools.cache
def lpips_network() -> nn.Module:
    """AlexNet with the layers of the paper; its weights are fetched at the first use."""
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
    from torchvision.models import AlexNet_Weights

    fetch_weights("metric lpips", AlexNet_Weights.IMAGENET1K_V1.url)
    return LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
