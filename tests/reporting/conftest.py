"""A run for loggers and pages to show, without a training."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from options import TrainOptions
from reporting.history import History
from reporting.logger import RunContext
from util.progress import Length


def options(folder: Path, *words: object) -> Namespace:
    """The training options of a run in ``folder``."""
    words = ("--dataroot", "x", "--name", folder.name, "--gpu_ids", "-1", *words)
    return TrainOptions().parse(["--checkpoints_dir", str(folder.parent), *map(str, words)])


@pytest.fixture
def make_run(tmp_path) -> Callable[..., RunContext]:
    """``make_run("--display_id", 0, …)``: a run of 9 epochs of 10 images, with flags as typed."""

    def make(*words: object, folder: Path = tmp_path / "run") -> RunContext:
        folder.mkdir(exist_ok=True)
        opt = options(folder, *words)
        return RunContext(
            opt, {"name": opt.name}, folder, History(folder / "losses.jsonl"), Length(9, 10)
        )

    return make
