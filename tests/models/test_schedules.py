"""Learning rates over the epochs of a run, and the count of what was done."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.schedules import LR_POLICIES, EpochPlan, learning_rate_factor
from util.progress import Progress

MEASURED = ("plateau",)  # constant without evaluations
POLICIES = [name for name in LR_POLICIES if name not in MEASURED]
# 0.1 ** 300 is still a number above 0; no run has 300 drops.
PLANS = st.builds(EpochPlan, st.integers(1, 300), st.integers(0, 300), st.integers(2, 300))


def rates(policy: str, plan: EpochPlan) -> list[float]:
    """The rate of every epoch that runs."""
    return [LR_POLICIES[policy](epoch, plan) for epoch in range(1, plan.last + 1)]


@pytest.mark.parametrize("policy", POLICIES)
@given(plan=PLANS)
def test_every_policy_starts_at_1_never_rises_and_never_stands_still(policy, plan):
    course = rates(policy, plan)
    assert course[0] == 1
    assert all(later <= earlier for earlier, later in pairwise(course))
    assert course[-1] > 0


@given(st.integers(0, 300), st.integers(0, 300))
def test_linear_is_the_formula_of_the_contract(n_epochs, n_epochs_decay):
    """After epoch e the rate is lr · (1 − max(0, e + 1 − n_epochs) / (n_epochs_decay + 1))."""
    plan = EpochPlan(n_epochs, n_epochs_decay)
    for e in range(plan.last + 1):
        expected = 1 - max(0, e + 1 - n_epochs) / (n_epochs_decay + 1)
        assert LR_POLICIES["linear"](e + 1, plan) == pytest.approx(expected, abs=1e-12)


def test_linear_gives_the_numbers_of_the_contract():
    shown = [
        f"{0.0002 * LR_POLICIES['linear'](epoch, EpochPlan(20, 20)):.7f}" for epoch in range(1, 42)
    ]
    assert shown[:20] == ["0.0002000"] * 20
    assert shown[20] == "0.0001905"
    assert shown[39:] == ["0.0000095", "0.0000000"]


@given(PLANS)
def test_linear_and_cosine_end_at_0_after_the_last_epoch(plan):
    for policy in ("linear", "cosine"):
        assert LR_POLICIES[policy](plan.last + 1, plan) == pytest.approx(0, abs=1e-12)


def test_cosine_is_half_a_cosine_over_the_whole_run():
    course = rates("cosine", EpochPlan(5, 5))
    expected = [0.5 + 0.5 * math.cos(math.pi * done / 10) for done in range(10)]
    assert course == pytest.approx(expected, rel=1e-12)


def test_step_is_a_tenth_every_so_many_epochs():
    assert rates("step", EpochPlan(4, 3, 3)) == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01])


@given(st.integers(1, 50), st.lists(st.integers(1, 20), max_size=60))
def test_nothing_due_is_ever_missed(every, batches):
    """Whatever the batch size: once for the step that reaches or passes a multiple."""
    progress = Progress()
    for images in batches:
        before = progress.total_iters
        progress.add(images)
        reached = any(n % every == 0 for n in range(before + 1, before + images + 1))
        assert progress.every(every) == reached
    assert progress.total_iters == progress.iters == sum(batches)


def test_an_epoch_starts_its_own_count():
    progress = Progress(epoch=3, total_iters=10)
    progress.add(4)
    progress.end_epoch()
    progress.add(2)
    assert (progress.epoch, progress.iters, progress.total_iters) == (4, 2, 16)


@pytest.mark.parametrize("policy", POLICIES)
@given(plan=PLANS, warmup=st.integers(0, 20))
def test_warm_up_is_linear_and_then_over(policy, plan, warmup):
    warm = replace(plan, lr_warmup=warmup)
    for epoch in range(1, plan.last + 1):
        factor = learning_rate_factor(policy, epoch, warm)
        part = epoch / (warmup + 1) if epoch <= warmup else 1
        assert factor == pytest.approx(part * LR_POLICIES[policy](epoch, plan), rel=1e-12)
        assert factor > 0
