"""TensorBoard and Weights & Biases get the same records; neither is imported without its flag."""

from __future__ import annotations

import pytest
from conftest import TINY_TRAIN, call_in, ok
from test_resume import losses

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


def test_neither_is_imported_otherwise(dataset, run, tmp_path):
    (tmp_path / "wandb.py").write_text("raise SystemExit('imported')")
    (tmp_path / "tensorboard.py").write_text("raise SystemExit('imported')")
    ok(run("train.py", "--dataroot", dataset, *WORDS, env={"PYTHONPATH": str(tmp_path)}))
