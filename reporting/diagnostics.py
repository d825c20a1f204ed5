"""Signs that a training goes wrong, seen on the fixed images and in the losses."""

from collections.abc import Callable

import torch
from torch import Tensor

from reporting.history import Record

Sample = dict[str, Tensor]  # images (1, C, H, W) in [-1, 1] by label
Pairs = dict[str, str]  # label of a translation → label of what it is made from

SIMILARITY_THRESHOLD = 0.02  # mean difference, of 2, below which two images look alike
MIN_RECORDS = 10  # records in a row


def find_warnings(samples: list[Sample], pairs: Pairs, records: list[Record]) -> list[str]:
    """A line for each sign, with what usually helps."""
    found = []
    for after, before in pairs.items():
        fakes = [sample[after] for sample in samples if after in sample]
        reals = [sample[before] for sample in samples if after in sample]
        if fakes and all(
            fake.shape[1] == real.shape[1] for fake, real in zip(fakes, reals, strict=True)
        ):
            found += [f"{after}: {text}" for sign in SIGNS if (text := sign(fakes, reals))]
    return found + discriminator_dominates(records)


def identity_mapping(fakes: list[Tensor], reals: list[Tensor]) -> str | None:
    if all(
        _difference(fake, real) < SIMILARITY_THRESHOLD
        for fake, real in zip(fakes, reals, strict=True)
    ):
        return "translations look like the originals; lower --lambda_identity and --lambda_A/_B"
    return None


def mode_collapse(fakes: list[Tensor], reals: list[Tensor]) -> str | None:
    """One answer to everything, although the questions differ."""
    if len(fakes) < 2 or any(
        _difference(real, reals[0]) < SIMILARITY_THRESHOLD for real in reals[1:]
    ):
        return None
    if all(_difference(fake, fakes[0]) < SIMILARITY_THRESHOLD for fake in fakes[1:]):
        return "all translations look alike; start again with another --seed or a lower --lr"
    return None


def inverted(fakes: list[Tensor], reals: list[Tensor]) -> str | None:
    """Light became dark: a bargain between the generators that the cycle loss does not see."""
    correlations = [_correlation(fake, real) for fake, real in zip(fakes, reals, strict=True)]
    if correlations and max(correlations) < -0.3:
        return "colors look inverted; start again with another --seed and --lambda_identity 0.5"
    return None


def discriminator_dominates(records: list[Record]) -> list[str]:
    """They are never wrong any more: their loss stays at nothing, the generators' at the most."""
    late = records[-MIN_RECORDS:]
    if len(late) < MIN_RECORDS:
        return []
    return [
        f"{name} always wins, so the generators learn little from it; lower --lr or --ndf, or "
        "give more images"
        for name in late[-1].losses
        if name.startswith("D_") and all(abs(record.losses[name]) < 0.005 for record in late)
    ]


SIGNS: tuple[Callable[[list[Tensor], list[Tensor]], str | None], ...] = (
    identity_mapping, mode_collapse, inverted
)  # fmt: skip


def _difference(first: Tensor, second: Tensor) -> float:
    if first.shape != second.shape:
        return float("inf")
    return (first.float() - second.float()).abs().mean().item()


def _correlation(first: Tensor, second: Tensor) -> float:
    """Of the brightness, in [-1, 1]; 0 for an image of one brightness."""
    a, b = (image.float().mean(1).flatten() for image in (first, second))
    a, b = a - a.mean(), b - b.mean()
    scale = (a.norm() * b.norm()).item()
    return torch.dot(a, b).item() / scale if scale > 1e-6 else 0.0
