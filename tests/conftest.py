"""What the tests share: small pictures, the two commands, and a quiet, repeatable machine."""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import hypothesis
import pytest
import torch
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden"
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

torch.set_num_threads(1)  # the tensors are small: threads would only wait for each other
hypothesis.settings.register_profile("quiet", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("quiet")


def pytest_addoption(parser) -> None:
    parser.addoption(
        "--kills", type=int, default=12, help="how often tests/test_kills.py kills a run"
    )


SIDES = ("trainA", "trainB", "testA", "testB")

#: The smallest networks and pictures with which a whole run still is one.
TINY = [
    "--netG", "resnet_6blocks", "--ngf", "2", "--ndf", "2", "--load_size", "36",
    "--crop_size", "32", "--gpu_ids", "-1", "--num_threads", "0", "--precision", "fp32",
]  # fmt: skip
#: A training run of one epoch that shows nothing.
TINY_TRAIN = [
    *TINY, "--n_epochs", "1", "--n_epochs_decay", "0", "--display_id", "0", "--no_html",
]  # fmt: skip


def golden(name: str):
    """Reference values, printed by an independent implementation of the same method."""
    return torch.load(GOLDEN / name, weights_only=True)


def drawn(seed: str, size: tuple[int, int] = (40, 40), mode: str = "RGB") -> Image.Image:
    """A picture of a few ellipses, the same for the same seed."""
    rng = Random(seed)
    picture = Image.new("RGB", size, tuple(rng.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(picture)
    for _ in range(5):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        colour = tuple(rng.randrange(256) for _ in range(3))
        pen.ellipse((x - 8, y - 5, x + 8, y + 5), fill=colour)
    return picture.convert(mode)


def pictures(folder: Path, n: int, size: tuple[int, int] = (40, 40), ending: str = ".png") -> Path:
    """``folder`` with n different pictures 00.png, 01.png, …"""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        drawn(f"{folder.name} {i}", size).save(folder / f"{i:02d}{ending}")
    return folder


def picture_set(root: Path, counts: tuple[int, int, int, int] = (3, 4, 2, 3)) -> Path:
    """``root`` with trainA, trainB, testA and testB."""
    for side, n in zip(SIDES, counts, strict=True):
        pictures(root / side, n)
    return root


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Path:
    """Two domains of small pictures, to be read only."""
    return picture_set(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(autouse=True)
def ordinary_arithmetic():
    """A command in this process lets tiny numbers become zero; the next test does not."""
    yield
    torch.set_flush_denormal(False)


Command = Callable[..., subprocess.CompletedProcess]


def folders(tmp_path: Path, script: str) -> list[str]:
    """The flags that keep everything a command writes in ``tmp_path``."""
    words = ["--checkpoints_dir", str(tmp_path / "checkpoints")]
    return words + (["--results_dir", str(tmp_path / "results")] if script == "test.py" else [])


def run_in(tmp_path: Path, script: str, *words, env: dict | None = None):
    """``script`` as a user runs it, in a process of its own, files going to ``tmp_path``."""
    command = [sys.executable, script, *map(str, words), *folders(tmp_path, script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )


def call_in(tmp_path: Path, script: str, *words) -> subprocess.CompletedProcess:
    """The same within this process, which saves the seconds that importing torch takes."""
    command = [script, *map(str, words), *folders(tmp_path, script)]
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                runpy.run_path(str(ROOT / script), run_name="__main__")
            except SystemExit as stop:
                code = stop.code or 0
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


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
    (tmp_path / "here").mkdir()
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


def ok(done):
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done


def assert_complete(page: Path) -> None:
    """Everything that the page shows is on the disk; nothing comes from other hosts."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert found
    assert all((page.parent / address).is_file() for address in found), found
    assert "url(" not in text and "@import" not in text
