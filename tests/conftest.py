"""Fixtures of all tests: small image sets, the commands, and deterministic settings."""

from __future__ import annotations

import shutil
from pathlib import Path

import hypothesis
import pytest
import torch
from helpers.commands import TINY, TINY_TRAIN, Command, call_in, make_image_set, ok, run_in

torch.set_num_threads(1)  # the tensors are too small for more threads
hypothesis.settings.register_profile("quiet", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("quiet")


def pytest_addoption(parser) -> None:
    parser.addoption(
        "--kills", type=int, default=12, help="number of kills in tests/checkpoint/test_kills.py"
    )


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    """A read-only data set of two domains of small images."""
    return make_image_set(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(autouse=True)
def reset_flush_denormal():
    """Undo `torch.set_flush_denormal`, which commands in this process switch on."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture
def run(tmp_path) -> Command:
    """``run("train.py", "--dataroot", …)``: run a script in a new process."""
    return lambda script, *words, env=None: run_in(tmp_path, script, *words, env=env)


@pytest.fixture
def call(tmp_path) -> Command:
    """``call("train.py", "--dataroot", …)``: run a script in this process."""
    return lambda script, *words: call_in(tmp_path, script, *words)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, dataset) -> Path:
    """A read-only ``--checkpoints_dir`` with a run ``tiny`` of one epoch."""
    root = tmp_path_factory.mktemp("trained")
    done = call_in(root, "train.py", "--dataroot", dataset, "--name", "tiny", *TINY_TRAIN)
    assert done.returncode == 0, done.stderr
    return root / "checkpoints"


@pytest.fixture
def here(tmp_path) -> Path:
    """An empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def tiny(trained, tmp_path) -> list[str]:
    """The start of a test.py command for a copy of the run ``tiny``."""
    shutil.copytree(trained / "tiny", tmp_path / "checkpoints" / "tiny")
    return ["test.py", *TINY, "--name", "tiny"]


@pytest.fixture(scope="session")
def full(tmp_path_factory, dataset):
    """A training in a process of its own, of two epochs with all outputs, and its folder."""
    root = tmp_path_factory.mktemp("full")
    words = [*TINY, "--n_epochs", "1", "--n_epochs_decay", "1", "--display_id", "0"]
    often = ["--save_epoch_freq", "1", "--print_freq", "2", "--save_latest_freq", "3"]
    words = ["--dataroot", dataset, "--name", "full", *words, *often, "--save_by_iter"]
    return ok(run_in(root, "train.py", *words)), root / "checkpoints" / "full"
