"""Warnings for generators and discriminators that fail in a known way, and none for others."""

from __future__ import annotations

import pytest
import torch

from reporting.diagnostics import MIN_RECORDS, find_warnings
from reporting.history import Record

PAIRS = {"fake_B": "real_A"}
REALS = [
    torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(i)) * 2 - 1 for i in range(4)
]


def samples(generator) -> list[dict]:
    return [{"real_A": real, "fake_B": generator(real)} for real in REALS]


def healthy(x):
    return (x.flip(-1) + x) / 2 + 0.1


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        (lambda x: x + 0.001, "look like their inputs"),
        (lambda x: torch.full_like(x, 0.3), "look alike"),
        (lambda x: -x, "inverted"),
    ],
)
def test_each_problem_is_reported_with_a_remedy(generator, message):
    found = find_warnings(samples(generator), PAIRS, [])
    assert len(found) == 1
    assert found[0].startswith("fake_B: ")
    assert message in found[0]
    assert "--" in found[0]


def test_a_healthy_generator_gives_no_warning():
    assert find_warnings(samples(healthy), PAIRS, []) == []


def test_mode_collapse_needs_more_than_one_image():
    assert find_warnings(samples(lambda x: torch.zeros_like(x))[:1], PAIRS, []) == []


def test_images_with_different_channels_are_not_compared():
    assert find_warnings(samples(lambda x: x.mean(1, keepdim=True)), PAIRS, []) == []


def records(*values: float) -> list[Record]:
    return [Record(1, i, i, 1e-4, 0.1, 0.0, {"D_A": v, "G_A": 0.0}) for i, v in enumerate(values)]


def test_a_discriminator_that_always_wins_is_reported():
    assert find_warnings([], {}, records(*[0.001] * (MIN_RECORDS - 1))) == []
    assert find_warnings([], {}, records(*[0.001] * (MIN_RECORDS - 1), 0.1)) == []
    (found,) = find_warnings([], {}, records(0.2, *[0.001] * MIN_RECORDS))
    assert found.startswith("D_A stays near zero: the discriminator always wins")
