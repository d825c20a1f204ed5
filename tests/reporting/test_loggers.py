"""Loggers: TensorBoard and W&B, the registry, and failures that do not end a run."""

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

from reporting import LOGGERS, enabled_loggers, logger_flags
from reporting.history import Record
from reporting.logger import Logger
from reporting.visualizer import Visualizer
from util.flags import switch
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
    assert {"learning rate", "seconds per image"} <= set(events.Tags()["scalars"])
    assert "fake_B" in events.Tags()["images"]


@pytest.mark.slow
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
def test_a_missing_package_is_named(flag, package, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("util.packages.find_spec", lambda name: None)
    done = call_in(tmp_path, "train.py", "--dataroot", dataset, *WORDS, f"--{flag}")
    assert done.returncode == 2
    assert f"--{flag}: {package} is not installed" in done.stderr
    assert not (tmp_path / "checkpoints").exists()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_packages_are_imported_only_with_their_flag(dataset, run, tmp_path):
    for name in ("wandb", "tensorboard", "visdom", "dominate"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    ok(run("train.py", "--dataroot", dataset, *WORDS, env={"PYTHONPATH": str(tmp_path)}))


# --- the registry -----------------------------------------------------------------------------


def test_every_logger_brings_the_flag_that_switches_it():
    for name, logger in LOGGERS.items():
        assert name in logger.flags
        assert logger.images_freq in ("display_freq", "update_html_freq")
    assert len(logger_flags()) == sum(len(logger.flags) for logger in LOGGERS.values())


def test_flags_switch_loggers_on_and_off(make_run):
    def enabled(*words) -> set[str]:
        return set(enabled_loggers(make_run(*words).opt))

    assert enabled() == {"no_html", "display_id"}
    assert enabled("--no_html", "--display_id", 0) == set()
    assert enabled("--display_id", -1, "--tensorboard") == {"no_html", "tensorboard"}


class CsvLogger(Logger):
    """The smallest logger: losses as lines of a file."""

    flags = {"csv": switch("write losses.csv")}

    def __init__(self, run):
        self.file = (run.folder / "losses.csv").open("a", encoding="utf-8")

    def scalars(self, record):
        print(record.total_iters, *record.losses.values(), sep=",", file=self.file)

    def close(self):
        self.file.close()


def test_a_new_logger_is_one_class_and_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(LOGGERS, "csv", CsvLogger)
    assert logger_flags()["csv"].help == "write losses.csv"
    with visualizer(tmp_path, csv=True) as shown:
        shown.show_losses(record(1))
        shown.show_images([{"fake_B": torch.zeros(1, 3, 8, 8)}])
    assert (tmp_path / "run" / "losses.csv").read_text("utf-8") == "1,1.0,0.5\n"


# --- failures do not end a run ----------------------------------------------------------------


def visualizer(tmp_path, **flags) -> Visualizer:
    """The visualizer of a run named "run" with no loggers but those in ``flags``."""
    values: dict[str, object] = {
        **dict.fromkeys(LOGGERS, False),
        "no_html": True,
        "display_winsize": 64,
        "checkpoints_dir": tmp_path,
        "name": "run",
        "continue_train": False,
    }
    opt = Namespace(**{**values, **flags})
    (tmp_path / "run").mkdir(exist_ok=True)
    return Visualizer(opt, {"name": "run"}, length=Length(1, 9), done=0, epoch=1, sizes=None)


def record(i: int) -> Record:
    return Record(1, i, i, 2e-4, 0.1, 0.0, {"G_A": 1 / i, "D_A": 0.5})


@pytest.mark.parametrize("method", ["__init__", "add_scalar", "add_image", "close"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("a\nb")])
def test_a_failing_logger_is_reported_once_and_dropped(
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
    assert warnings == [f"warning: --tensorboard: {reason}; training continues without it"]
    assert len(losses(tmp_path / "run")) == 2


def test_a_run_survives_a_logger_that_cannot_be_closed(dataset, tmp_path, monkeypatch):
    def fails(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reporting.tensorboard_logger.TensorBoardLogger.close", fails)
    done = ok(call_in(tmp_path, "train.py", "--dataroot", dataset, *WORDS, "--tensorboard"))
    assert done.stdout.count("warning: --tensorboard: [Errno 28] No space left on device") == 1


def test_a_page_survives_a_disk_that_is_full_for_a_moment(tmp_path, capsys):
    samples = [{"fake_B": torch.zeros(1, 3, 8, 8)}]
    with visualizer(tmp_path, no_html=False) as shown:
        with files_no_longer_than(20):
            shown.update_page(1, samples, {})
            shown.update_page(1, samples, {})
        assert not (tmp_path / "run" / "web" / "index.html").exists()
        shown.update_page(1, samples, {})
    assert (tmp_path / "run" / "web" / "index.html").is_file()
    assert capsys.readouterr().out.count("warning") == 1


def test_a_disk_that_is_full_for_a_moment_leaves_no_incomplete_lines(tmp_path, capsys):
    with visualizer(tmp_path) as shown:
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
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("warning") for line in lines) == 1


def test_a_problem_is_reported_by_the_second_update_that_finds_it(tmp_path, capsys):
    samples = [{"real_A": torch.zeros(1, 3, 8, 8), "fake_B": torch.zeros(1, 3, 8, 8)}]
    with visualizer(tmp_path) as shown:
        for expected in (0, 1, 1):
            shown.update_page(1, samples, {"fake_B": "real_A"})
            assert len(shown.run.warnings) == expected
    assert capsys.readouterr().out.count("warning: fake_B: translations look like") == 1


# --- W&B ---------------------------------------------------------------------------------------


@pytest.fixture
def wandb_ids(monkeypatch) -> list[str]:
    """A stand-in for W&B; the IDs of its runs, in the order in which they were started."""
    numbers = count(1)
    ids = []

    def init(*, id=None, **_):
        ids.append(id or f"run{next(numbers)}")
        return SimpleNamespace(id=ids[-1], finish=lambda: None)

    fake = ModuleType("wandb")
    fake.init = init
    fake.__spec__ = ModuleSpec("wandb", None)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return ids


def test_wandb_resumes_only_when_the_run_does(wandb_ids, tmp_path):
    for resumed in (False, True, False, True):
        with visualizer(tmp_path, use_wandb=True, continue_train=resumed):
            pass
    assert wandb_ids == ["run1", "run1", "run2", "run2"]


def test_wandb_does_not_resume_an_older_run_of_the_same_name(wandb_ids, tmp_path):
    for flags in ({"use_wandb": True}, {}, {"use_wandb": True, "continue_train": True}):
        with visualizer(tmp_path, **flags):
            pass
    assert wandb_ids == ["run1", "run2"]
