"""What the tests share: small images, the two commands, and a quiet, repeatable machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import hypothesis
import pytest
import torch
from helpers.commands import TINY, TINY_TRAIN, Command, call_in, make_image_set, ok, run_in

torch.set_num_threads(1)  # the tensors are small: threads would only wait for each other
hypothesis.settings.register_profile("quiet", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("quiet")


def pytest_addoption(parser) -> None:
    parser.addoption(
        "--kills", type=int, default=12, help="how often tests/test_kills.py kills a run"
    )


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    """Two domains of small images, to be read only."""
    return make_image_set(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(autouse=True)
def ordinary_arithmetic():
    """A command in this process lets tiny numbers become zero; the next test does not."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture
def run(tmp_path) -> Command:
    """``run("train.py", "--dataroot", …)``: a real process."""
    return lambda script, *words, env=None: run_in(tmp_path, script, *words, env=env)


@pytest.fixture
def call(tmp_path) -> Command:
    """``call("train.py", "--dataroot", …)``: the same script in this process."""
    return lambda script, *words: call_in(tmp_path, script, *words)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, dataset) -> Path:
    """A folder with the checkpoints of a tiny run ``tiny`` of one epoch, to be read only."""
    root = tmp_path_factory.mktemp("trained")
    done = call_in(root, "train.py", "--dataroot", dataset, "--name", "tiny", *TINY_TRAIN)
    assert done.returncode == 0, done.stderr
    return root / "checkpoints"


@pytest.fixture
def here(tmp_path) -> Path:
    """An empty folder."""
    (tmp_path / "get_world").mkdir()
    return tmp_path / "here"


@pytest.fixture
def tiny(trained, tmp_path) -> list[str]:
    """The words that start test.py with a copy of the tiny run."""
    shutil.copytree(trained / "tiny", tmp_path / "checkpoints" / "tiny")
    return ["test.py", *TINY, "--name", "tiny"]


@pytest.fixture(scope="session")
def full(tmp_path_factory, dataset):
    """A real run of two epochs with all there is to see, and its folder."""
    root = tmp_path_factory.mktemp("full")
    words = [*TINY, "--n_epochs", "1", "--n_epochs_decay", "1", "--display_id", "0"]
    often = ["--save_epoch_freq", "1", "--print_freq", "2", "--save_latest_freq", "3"]
    words = ["--dataroot", dataset, "--name", "full", *words, *often, "--save_by_iter"]
    return ok(run_in(root, "train.py", *words)), root / "checkpoints" / "full"
