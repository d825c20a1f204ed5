"""The examples of CONTRIBUTING.md, applied to a copy of the repository and used in training."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.commands import ROOT, TINY_TRAIN, ok
from PIL import Image

pytestmark = pytest.mark.slow

MAX_LINES = 25  # of code that an example adds
PACKAGES = (
    "checkpoint",
    "data",
    "distributed",
    "engine",
    "metrics",
    "models",
    "options",
    "reporting",
    "training",
    "util",
)
FILES = ("train.py", "test.py", "evaluate.py", "pyproject.toml")


def read_examples() -> dict[str, list[tuple[str, str]]]:
    """Return the code blocks of every extension point, as (language, text), by its heading."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("## Extension points")[1]
    sections = re.split(r"^### (.*)$", text, flags=re.MULTILINE)
    return {
        title: re.findall(r"^```(\w+)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
        for title, section in zip(sections[1::2], sections[2::2], strict=True)
    }


EXAMPLES = read_examples()


def apply_block(root: Path, language: str, text: str) -> Path:
    """Write a new file or change one, and return its path."""
    header, body = text.split("\n", 1)
    if language == "python":
        path = root / header.removeprefix("# ")
        assert not path.exists()
        path.write_text(body, "utf-8")
    else:
        path = root / header.removeprefix("--- ")
        content = path.read_text("utf-8")
        for hunk in re.split(r"^@@.*\n", body, flags=re.MULTILINE)[1:]:
            content = apply_hunk(content, hunk)
        path.write_text(content, "utf-8")
    return path


def apply_hunk(content: str, hunk: str) -> str:
    """Replace the lines that begin with a space or ``-`` by those with a space or ``+``."""
    lines = [line or " " for line in hunk.splitlines()]
    old = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
    new = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
    assert content.count(old) == 1, f"CONTRIBUTING.md is out of date: {old!r}"
    return content.replace(old, new)


def added_code(language: str, text: str) -> list[str]:
    """Return the lines that a block adds, without docstrings, comments, imports and blank lines."""
    if language == "diff":
        lines = [line[1:] for line in text.splitlines() if line.startswith("+")]
    else:
        lines = text.splitlines()
    ignored = re.compile(r'\s*(#|"""|import |from |$)')
    return [line for line in lines if not ignored.match(line)]


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Path:
    """A copy of the source tree to which all examples are applied."""
    root = tmp_path_factory.mktemp("extended")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, root / name)

    changed = {apply_block(root, *block) for blocks in EXAMPLES.values() for block in blocks}
    for command in (["check", "--quiet"], ["format", "--check", "--quiet"]):
        done = run(root, "-m", "ruff", *command, *map(str, sorted(changed)))
        assert done.returncode == 0, done.stdout + done.stderr
    return root


def run(root: Path, *words) -> subprocess.CompletedProcess:
    """Run Python in the copy; its packages come before those of this repository."""
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=root, capture_output=True, text=True, timeout=240
    )


def train(root: Path, dataset: Path, name: str, *words) -> tuple[str, Path]:
    """Train for an epoch; return what was printed and the folder of the run."""
    flags = [*TINY_TRAIN, "--print_freq", "1", "--dataroot", dataset, "--name", name]
    done = ok(run(root, "train.py", *flags, *words))
    return done.stdout, root / "checkpoints" / name


def test_there_is_an_example_for_every_extension_point():
    things = {title.split()[-1] for title in EXAMPLES}
    assert things == {
        *("CycleGAN", "metric", "model", "generator", "discriminator", "mode", "policy", "logger")
    }
    assert all(title.startswith("Add a ") for title in EXAMPLES)


@pytest.mark.parametrize("title", EXAMPLES)
def test_examples_are_short(title):
    lines = [line for block in EXAMPLES[title] for line in added_code(*block)]
    assert 0 < len(lines) <= MAX_LINES


@pytest.fixture(scope="module")
def cycle_gan(extended, dataset) -> tuple[str, Path]:
    """A training run of CycleGAN that uses all examples that apply to it."""
    words = ["--netG", "shallow", "--netD", "half_resolution", "--n_layers_D", "1"]
    words += ["--lambda_tv", "0.5", "--n_epochs", "2", "--lr_policy", "quadratic", "--csv"]
    return train(extended, dataset, "extended", "--lr", "0.01", *words)


def test_a_loss_is_logged(cycle_gan):
    _, folder = cycle_gan
    text = (folder / "loss_log.txt").read_text("utf-8")
    values = re.findall(r"\btv_[AB]: (\d+\.\d+)", text)
    assert values
    assert all(float(value) > 0 for value in values)


def test_a_generator_is_trained(cycle_gan):
    _, folder = cycle_gan
    weights = torch.load(folder / "latest_net_G_A.pth", weights_only=True)
    blocks = {key.split(".")[1] for key in weights if "conv_block" in key}
    assert len(blocks) == 2


def test_a_discriminator_is_trained(cycle_gan, extended):
    _, folder = cycle_gan
    weights = folder / "latest_net_D_A.pth"
    code = (
        "import torch; from models.networks import DISCRIMINATORS; "
        "net = DISCRIMINATORS['half_resolution'](3, 2, 1, 'instance'); "
        f"net.load_state_dict(torch.load({str(weights)!r}, weights_only=True)); "
        "print(type(net).__name__, *net(torch.zeros(1, 3, 32, 32)).shape)"
    )
    done = ok(run(extended, "-c", code))
    assert done.stdout.split() == ["HalfResolutionDiscriminator", "1", "1", "6", "6"]


def test_a_learning_rate_policy_is_followed(cycle_gan):
    printed, _ = cycle_gan
    assert re.findall(r"learning rate = (\S+)", printed) == ["0.0025000", "0.0000000"]


def test_a_logger_is_fed(cycle_gan):
    printed, folder = cycle_gan
    rows = (folder / "losses.csv").read_text("utf-8").splitlines()
    assert len(rows) == printed.count("(epoch: ") == 8
    assert rows[0].startswith("1,")


def test_a_metric_is_measured(extended, tmp_path):
    for side, gray in (("real", 0), ("fake", 51)):
        (tmp_path / side).mkdir()
        Image.new("RGB", (8, 8), (gray, gray, gray)).save(tmp_path / side / "0.png")
    words = ["--real", tmp_path / "real", "--fake", tmp_path / "fake", "--metrics", "rmse"]
    done = ok(run(extended, "evaluate.py", *words, "--results_dir", tmp_path))
    assert re.search(r"images +rmse ↓\ntranslated +1 +0\.2000$", done.stdout, re.MULTILINE)
    found = json.loads((tmp_path / "metrics.json").read_text("utf-8"))["translations"]["fake"]
    assert found["translated"] == {"rmse": pytest.approx(0.2)}
    assert "rmse" in (tmp_path / "results.csv").read_text("utf-8").splitlines()[0].split(",")


def test_a_model_is_trained(extended, dataset):
    printed, folder = train(extended, dataset, "denoise", "--model", "denoise", "--noise", "0.1")
    assert re.search(r"noise: 0.1 +\t\[default: 0.2\]", printed)
    assert re.search(r"\) G: \d+\.\d+$", printed, re.MULTILINE)
    assert {path.name for path in folder.glob("latest_net_*")} == {"latest_net_G.pth"}


def test_a_dataset_mode_is_read(extended, dataset):
    words = ["--model", "pix2pix", "--dataset_mode", "paired_folders"]
    printed, _ = train(extended, dataset, "pairs", *words)
    assert "dataset_mode: paired_folders" in printed
    assert "The number of training images = 4" in printed


def test_every_addition_is_in_the_help(extended):
    done = ok(run(extended, "train.py", "--help"))
    text = " ".join(done.stdout.split())
    for flag in ("lambda_tv", "noise", "csv"):
        assert f"--{flag} " in text
    for choice in ("denoise", "shallow", "half_resolution", "paired_folders", "quadratic"):
        assert re.search(rf"[(|] ?{choice} [|)]|{choice}\)", text), choice
    done = ok(run(extended, "evaluate.py", "--help"))
    assert ",l1,rmse,psnr," in "".join(done.stdout.split())
