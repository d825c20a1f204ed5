"""When a run stops."""

from __future__ import annotations

import pytest
from helpers.commands import TINY_TRAIN

import train
from options import TrainOptions


def test_a_signal_after_the_ranks_have_agreed_waits_for_the_next_step(
    dataset, tmp_path, monkeypatch
):
    """One rank must not stop alone: the others are in the next step's all-reduce."""
    words = ["--dataroot", dataset, "--checkpoints_dir", tmp_path, "--name", "run", *TINY_TRAIN]
    opt = TrainOptions().parse([*map(str, words), "--print_freq", "1"])
    steps = []
    real_step = train.Trainer.step

    def counted_step(self, batch):
        real_step(self, batch)
        steps.append(self.stop_signal)

    def show_losses(self):  # between the agreement and the check in the loop
        self.stop.received = "SIGINT"

    monkeypatch.setattr(train.Trainer, "step", counted_step)
    monkeypatch.setattr(train.Trainer, "show_losses", show_losses)
    with pytest.raises(SystemExit) as stop:
        train.train(opt)
    assert stop.value.code == 130
    assert steps == [None, "SIGINT"]
