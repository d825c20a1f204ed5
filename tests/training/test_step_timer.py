"""Step times without displays and saves, and advice on what slows a run down."""

from __future__ import annotations

import time

import pytest

from training.step_timer import StepTimer


def test_waiting_for_data_is_reported_once():
    watch = StepTimer(lambda: None)

    def slow():
        for _ in range(4):
            time.sleep(0.02)
            yield {}

    advice = []
    for _ in range(3):
        for _ in watch.time_data(slow()):
            watch.add(1)
        rates = watch.read()
        advice.append(watch.pop_advice())
    assert rates.data == pytest.approx(rates.time, rel=0.2)
    assert rates.data >= 0.02
    assert [bool(text) for text in advice] == [False, True, False]
    assert "--num_threads" in advice[1]


def test_waiting_for_the_display_is_reported_once():
    watch = StepTimer(lambda: None)
    advice = []
    for _ in range(3):
        with watch.pause():
            time.sleep(0.02)
        time.sleep(0.01)
        watch.add(1)
        assert watch.read().time < 0.02  # the pause does not count as step time
        advice.append(watch.pop_advice())
    assert [bool(text) for text in advice] == [False, True, False]
    assert "--display_freq" in advice[1]


def test_evaluations_count_neither_as_steps_nor_as_display():
    timer = StepTimer(lambda: None)
    for _ in range(3):
        with timer.pause(is_display=False):
            time.sleep(0.05)
        time.sleep(0.01)
        timer.add(1)
        assert timer.read().time < 0.05
        assert timer.pop_advice() is None
