"""Distances between two sets of images, computed from their features with torch-fidelity.

All functions take float64 features (N, D) of real and (M, D) of fake images.
"""

import torch
from torch import Tensor

from metrics.metric import Settings

KID_SCALE = 1000  # KID is reported as ×1000, as in papers
NEIGHBORS = 3  # of precision and recall
MAX_NUMPY_SEED = 2**32


def kid(real: Tensor, fake: Tensor, settings: Settings) -> dict[str, float]:
    """Compute the kernel inception distance ×1000: mean and standard deviation over subsets.

    The unbiased estimate of the squared maximum mean discrepancy with the kernel
    (x·y / D + 1)³. It may be slightly below zero for equal distributions.
    """
    from torch_fidelity.metric_kid import (
        KEY_METRIC_KID_MEAN,
        KEY_METRIC_KID_STD,
        kid_features_to_metric,
    )

    values = kid_features_to_metric(
        real,
        fake,
        kid_subsets=settings.kid_subsets,
        kid_subset_size=kid_subset_size(len(real), len(fake), settings),
        rng_seed=settings.seed % MAX_NUMPY_SEED,
        verbose=False,
    )
    return {
        "kid": KID_SCALE * values[KEY_METRIC_KID_MEAN],
        "kid_std": KID_SCALE * values[KEY_METRIC_KID_STD],
    }


def kid_subset_size(num_real: int, num_fake: int, settings: Settings) -> int:
    """Return the images per subset: at most half of a set, so that subsets differ."""
    return max(2, min(settings.kid_subset_size, num_real // 2, num_fake // 2))


def fid(real: Tensor, fake: Tensor, settings: Settings) -> dict[str, float]:
    """Compute the Fréchet distance of two Gaussians: |μ − μ'|² + Tr(Σ + Σ' − 2 √(ΣΣ'))."""
    from torch_fidelity.metric_fid import (
        KEY_METRIC_FID,
        fid_features_to_statistics,
        fid_statistics_to_metric,
    )

    real, fake = _in_common_subspace(real, fake)
    values = fid_statistics_to_metric(
        fid_features_to_statistics(real), fid_features_to_statistics(fake), verbose=False
    )
    return {"fid": max(0.0, values[KEY_METRIC_FID])}  # rounding can give −1e-12 for equal sets


def _in_common_subspace(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Express features in an orthonormal basis of their span, if that has fewer dimensions.

    The distance does not change. The square root of a 300×300 matrix takes 0.1 s, that of
    2048×2048 takes 10 s and amplifies the rounding errors of zero eigenvalues.
    """
    features = torch.cat([real, fake])
    if len(features) >= features.shape[1]:
        return real, fake
    basis, _ = torch.linalg.qr(features.T)
    return real @ basis, fake @ basis


def precision(real: Tensor, fake: Tensor, settings: Settings) -> dict[str, float]:
    """Compute the fraction of fake images within the real ones' neighborhoods: quality."""
    return {"precision": _precision_recall(real, fake)["precision"]}


def recall(real: Tensor, fake: Tensor, settings: Settings) -> dict[str, float]:
    """Compute the fraction of real images within the fake ones' neighborhoods: diversity."""
    return {"recall": _precision_recall(real, fake)["recall"]}


def _precision_recall(real: Tensor, fake: Tensor) -> dict[str, float]:
    from torch_fidelity.metric_prc import prc_features_to_metric

    values = prc_features_to_metric(fake, real, prc_neighborhood=NEIGHBORS, verbose=False)
    return {name: float(values[name]) for name in ("precision", "recall")}
