"""A job of two processes that trains without an interruption, and its data."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import jobs
from helpers.commands import make_image_set, ok
from helpers.jobs import RUN, TRAIN


@pytest.fixture(scope="session")
def shapes(tmp_path_factory) -> Path:
    """Seven images of A, five of B: two and three processes share them out unevenly."""
    return make_image_set(tmp_path_factory.mktemp("data") / "shapes", (7, 5, 5, 3))


@pytest.fixture(scope="session")
def straight(shapes, tmp_path_factory):
    """A run of two processes with all that is random, and what it printed."""
    root = tmp_path_factory.mktemp("straight")
    log = root / "log"
    log.mkdir()
    words = ["--dataroot", shapes, "--name", "run", *RUN, "--pool_size", "2"]
    done = jobs.run(root, TRAIN, *words, env={"JOB_LOG": str(log)})
    return root, ok(done), words
