"""An uninterrupted training of two processes, and its data set."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import jobs
from helpers.commands import make_image_set, ok
from helpers.jobs import RUN, TRAIN


@pytest.fixture(scope="session")
def shapes(tmp_path_factory) -> Path:
    """Seven images of A and five of B, which two or three processes cannot share evenly."""
    return make_image_set(tmp_path_factory.mktemp("data") / "shapes", (7, 5, 5, 3))


@pytest.fixture(scope="session")
def uninterrupted(shapes, tmp_path_factory):
    """The folder, output and flags of a run of two processes with all random parts enabled."""
    root = tmp_path_factory.mktemp("uninterrupted")
    log = root / "log"
    log.mkdir()
    words = ["--dataroot", shapes, "--name", "run", *RUN, "--pool_size", "2"]
    done = jobs.run(root, TRAIN, *words, env={"JOB_LOG": str(log)})
    return root, ok(done), words
