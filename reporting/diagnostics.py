"""Signs that a training run fails, detected in the fixed images and in the losses."""

from collections.abc import Callable

import torch
from torch import Tensor

from reporting.history import Record
from reporting.logger import Visuals

Pairs = dict[str, str]  # label of a translation → label of its input

SIMILARITY_THRESHOLD = 0.02  # mean absolute difference of images in [-1, 1] that look alike
INVERSION_THRESHOLD = -0.3  # correlation of brightness below which colors look inverted
MIN_RECORDS = 10  # consecutive records with a vanishing discriminator loss
VANISHING_LOSS = 0.005


def find_warnings(samples: list[Visuals], pairs: Pairs, records: list[Record]) -> list[str]:
    """Return one line per detected problem, with the usual remedy.

    Translations whose number of channels differs from that of their inputs are not examined.
    """
    found = []
    for fake_label, real_label in pairs.items():
        complete = [sample for sample in samples if fake_label in sample]
        fakes = [sample[fake_label] for sample in complete]
        reals = [sample[real_label] for sample in complete]

        comparable = all(f.shape[1] == r.shape[1] for f, r in zip(fakes, reals, strict=True))
        if fakes and comparable:
            problems = (check(fakes, reals) for check in CHECKS)
            found += [f"{fake_label}: {problem}" for problem in problems if problem]
    return found + discriminator_dominates(records)


def identity_mapping(fakes: list[Tensor], reals: list[Tensor]) -> str | None:
    """Detect generators that return their input."""
    pairs = zip(fakes, reals, strict=True)
    if all(_difference(fake, real) < SIMILARITY_THRESHOLD for fake, real in pairs):
        return "translations look like their inputs; lower --lambda_identity and --lambda_A/_B"
    return None


def mode_collapse(fakes: list[Tensor], reals: list[Tensor]) -> str | None:
    """Detect generators that return one image for different inputs."""
    if len(fakes) < 2:
        return None
    if any(_difference(real, reals[0]) < SIMILARITY_THRESHOLD for real in reals[1:]):
        return None
    if all(_difference(fake, fakes[0]) < SIMILARITY_THRESHOLD for fake in fakes[1:]):
        return "all translations look alike; restart with another --seed or a lower --lr"
    return None


def inverted(fakes: list[Tensor], reals: list[Tensor]) -> str | None:
    """Detect generators that exchange light and dark, which the cycle loss does not penalize."""
    correlations = [_correlation(fake, real) for fake, real in zip(fakes, reals, strict=True)]
    if max(correlations) < INVERSION_THRESHOLD:
        return "colors look inverted; restart with another --seed and --lambda_identity 0.5"
    return None


def discriminator_dominates(records: list[Record]) -> list[str]:
    """Detect discriminators whose loss stays near zero, so that generators get no gradient."""
    recent = records[-MIN_RECORDS:]
    if len(recent) < MIN_RECORDS:
        return []
    return [
        f"{name} stays near zero: the discriminator always wins and the generator learns little "
        "from it; lower --lr or --ndf, or use more images"
        for name in recent[-1].losses
        if name.startswith("D_")
        and all(abs(record.losses[name]) < VANISHING_LOSS for record in recent)
    ]


CHECKS: tuple[Callable[[list[Tensor], list[Tensor]], str | None], ...] = (
    identity_mapping,
    mode_collapse,
    inverted,
)


def _difference(first: Tensor, second: Tensor) -> float:
    """Mean absolute difference; infinite for different shapes."""
    if first.shape != second.shape:
        return float("inf")
    return (first.float() - second.float()).abs().mean().item()


def _correlation(first: Tensor, second: Tensor) -> float:
    """Correlation of the brightness, in [-1, 1]; 0 if an image has uniform brightness."""
    a, b = (image.float().mean(1).flatten() for image in (first, second))
    a = a - a.mean()
    b = b - b.mean()
    scale = (a.norm() * b.norm()).item()
    return torch.dot(a, b).item() / scale if scale > 1e-6 else 0.0
