"""TensorBoard and Weights & Biases get the same records; neither is imported without its flag."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from importlib.machinery import ModuleSpec
from itertools import count
from types import ModuleType, SimpleNamespace

import pytest
import torch
from helpers.commands import TINY_TRAIN, call_in, ok
from helpers.runs import files_no_longer_than, losses

from reporting.history import Record
from reporting.visualizer import Visualizer
from util.progress import Length

WORDS = [*TINY_TRAIN, "--print_freq", "1", "--display_freq", "2", "--name", "run"]


def test_tensorboard_reads_what_was_logged(dataset, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    ok(call_in(tmp_path, "train.py", "--dataroot", dataset, *WORDS, "--tensorboard"))
    folder = tmp_path / "checkpoints" / "run"
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    for name in losses(folder)[0][3]:
        points = [(point.step, point.value) for point in events.Scalars(f"loss/{name}")]
        logged = [(at, values[name]) for _, _, at, values in losses(folder)]
        assert [at for at, _ in points] == [at for at, _ in logged]
        assert [v for _, v in points] == pytest.approx([v for _, v in logged], rel=1e-6)
    assert "fake_B" in events.Tags()["images"]


def test_wandb_keeps_a_run_offline(dataset, run, tmp_path):
    words = ["--dataroot", dataset, *WORDS, "--use_wandb"]
    env = {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    done = run("train.py", *words, env=env)
    assert done.returncode == 0, done.stderr
    kept = list((tmp_path / "checkpoints" / "run" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(kept) == 1
    assert b"cycle_A" in kept[0].read_bytes()


@pytest.mark.parametrize(
    ("flag", "package"), [("tensorboard", "tensorboard"), ("use_wandb", "wandb")]
)
def test_what_is_not_installed_is_named(flag, package, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("util.packages.find_spec", lambda name: None)
    done = call_in(tmp_path, "train.py", "--dataroot", dataset, *WORDS, f"--{flag}")
    assert done.returncode == 2
    assert f"--{flag}: {package} is not installed" in done.stderr
    assert not (tmp_path / "checkpoints").exists()
    assert not list(tmp_path.iterdir())


def test_neither_is_imported_otherwise(dataset, run, tmp_path):
    (tmp_path / "wandb.py").write_text("raise SystemExit('imported')")
    (tmp_path / "tensorboard.py").write_text("raise SystemExit('imported')")
    ok(run("train.py", "--dataroot", dataset, *WORDS, env={"PYTHONPATH": str(tmp_path)}))


# --- no display is worth a run ---------------------------------------------------------------


def visualizer(tmp_path, **flags) -> Visualizer:
    """What a run of the name "run" has that shows nothing but what ``flags`` say."""
    nothing = {"continue_train": False, "no_html": True, "tensorboard": False, "use_wandb": False}
    opt = Namespace(**{
        "checkpoints_dir": tmp_path, "name": "run", "display_id": 0, **nothing, **flags
    })  # fmt: skip
    (tmp_path / "run").mkdir(exist_ok=True)
    return Visualizer(opt, {"name": "run"}, length=Length(1, 9), done=0, epoch=1, sizes=None)


def record(i: int) -> Record:
    return Record(1, i, i, 2e-4, 0.1, 0.0, {"G_A": 1 / i, "D_A": 0.5})


@pytest.mark.parametrize("method", ["__init__", "add_scalar", "add_image", "close"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("a\nb")])
def test_a_view_that_fails_is_told_of_once_and_dropped(
    method, error, tmp_path, monkeypatch, capsys
):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(f"torch.utils.tensorboard.SummaryWriter.{method}", fails)
    with visualizer(tmp_path, tensorboard=True) as shown:
        for i in (1, 2):
            shown.show_losses(record(i))
            shown.show_images([{"fake_B": torch.zeros(1, 3, 8, 8)}])
    warnings = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    reason = str(error).splitlines()[0]
    assert warnings == [f"warning: --tensorboard: {reason}; the training goes on without it"]
    assert len(losses(tmp_path / "run")) == 2


def test_a_run_outlives_a_view_that_cannot_be_closed(dataset, tmp_path, monkeypatch):
    def fails(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reporting.loggers.TensorBoardLogger.close", fails)
    done = ok(call_in(tmp_path, "train.py", "--dataroot", dataset, *WORDS, "--tensorboard"))
    assert done.stdout.count("warning: --tensorboard: [Errno 28] No space left on device") == 1


def test_a_disk_that_is_full_for_a_moment_leaves_no_half_lines(tmp_path):
    told: list[str] = []
    with visualizer(tmp_path) as shown:
        shown.log = told.append
        shown.show_losses(record(1))
        for name in ("loss_log.txt", "losses.jsonl"):
            with files_no_longer_than(shown.log_sizes()[name] + 20):
                shown.show_losses(record(2))
        shown.show_losses(record(3))
    for line in (tmp_path / "run" / "losses.jsonl").read_text("utf-8").splitlines():
        json.loads(line)
    log = (tmp_path / "run" / "loss_log.txt").read_text("utf-8").splitlines()
    assert set(log[1:]) <= {str(record(i)) for i in (1, 2, 3)}
    assert log[-1] == str(record(3))
    assert sum(line.startswith("warning") for line in told) == 1


@pytest.fixture
def wandb_ids(monkeypatch) -> list[str]:
    """A W&B that is not there; the ids of its runs, in the order in which they began."""
    numbers, ids = count(1), []

    def init(*, id=None, **_):
        ids.append(id or f"run{next(numbers)}")
        return SimpleNamespace(id=ids[-1], finish=lambda: None)

    fake = ModuleType("wandb")
    fake.init, fake.__spec__ = init, ModuleSpec("wandb", None)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return ids


def test_wandb_goes_on_only_where_the_run_does(wandb_ids, tmp_path):
    for goes_on in (False, True, False, True):
        with visualizer(tmp_path, use_wandb=True, continue_train=goes_on):
            pass
    assert wandb_ids == ["run1", "run1", "run2", "run2"]


def test_wandb_is_not_given_the_run_before_the_one_that_goes_on(wandb_ids, tmp_path):
    for flags in ({"use_wandb": True}, {}, {"use_wandb": True, "continue_train": True}):
        with visualizer(tmp_path, **flags):
            pass
    assert wandb_ids == ["run1", "run2"]
