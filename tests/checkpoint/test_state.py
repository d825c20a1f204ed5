"""The state file: never half written, its damage detected, its fallback used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from helpers.commands import ROOT, TINY, call_in, ok
from helpers.runs import RUN, files_no_longer_than, losses, resume, start_faulty
from hypothesis import given
from hypothesis import strategies as st

from checkpoint import state as run_state
from checkpoint.state import LATEST, PREVIOUS, digest, load_state, read_state_file, save_state
from models.image_pool import ImagePool
from reporting.history import History, Record

NUMBERS = st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.booleans() | st.none()
LEAVES = NUMBERS | st.text(max_size=9) | st.binary(max_size=0).map(lambda _: torch.arange(3.0))
TREES = st.recursive(
    LEAVES,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside),
    max_leaves=12,
)


@pytest.fixture
def folder(tmp_path, dataset):
    """The folder of a finished run that saved a state every 2 images."""
    words = ["--dataroot", dataset, *RUN, "--name", "run", "--save_latest_freq", "2"]
    ok(call_in(tmp_path, "train.py", *words))
    return tmp_path / "checkpoints" / "run"


@given(TREES)
def test_any_state_is_restored_exactly(tmp_path_factory, tree):
    folder = tmp_path_factory.mktemp("state")
    save_state(folder, {"tree": tree})
    assert digest(load_state(folder)) == digest({"tree": tree})


def test_the_digest_detects_every_difference():
    trees = [
        {"a": torch.zeros(2)}, {"a": torch.zeros(2, 1)}, {"a": torch.zeros(2).double()},
        {"b": torch.zeros(2)}, {"a": [0.0, 0.0]}, {"a": 0}, {"a": "0"}, {"a": False}, {"a": [[0]]},
        {"a": [0, []]}, {"a": torch.tensor([0.0, 1e-45])},
    ]  # fmt: skip
    assert len({digest(tree) for tree in trees}) == len(trees)


def damage(path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "cut short":
        content = content[: len(content) // 2]
    elif how == "empty":
        content = bytearray()
    elif how == "other file":
        content = bytearray(b"not a state")
    else:  # one bit, in the middle of some tensor
        content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["cut short", "empty", "other file", "flipped bit"])
def test_a_damaged_state_is_reported_and_the_previous_one_used(how, folder, tmp_path):
    damage(folder / LATEST, how)
    done = ok(resume(tmp_path, "--n_epochs_decay", "2"))
    assert f"{LATEST} is damaged" in done.stdout or "is not the state" in done.stdout
    assert f"resuming from {PREVIOUS}" in done.stdout
    assert len(losses(folder)) == len({record[2] for record in losses(folder)})


def test_if_both_states_are_damaged_the_networks_are_offered(folder, tmp_path):
    for name in (LATEST, PREVIOUS):
        damage(folder / name, "cut short")
    done = resume(tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"--init_from {folder}" in done.stderr
    words = ["--name", "next", *TINY, "--n_epochs", "1", "--n_epochs_decay", "0"]
    data = json.loads((folder / "train_opt.json").read_text("utf-8"))["dataroot"]
    words += ["--dataroot", data, "--display_id", "0", "--init_from", folder]
    assert "starting from" in ok(call_in(tmp_path, "train.py", *words)).stdout


def test_a_state_of_a_newer_version_is_not_changed(folder, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(run_state, "FORMAT", 7)
        save_state(folder, {"options": {}, "progress": {}})
    before = (folder / LATEST).read_bytes()
    done = resume(tmp_path)
    assert done.returncode == 2
    assert "newer version" in done.stderr
    assert (folder / LATEST).read_bytes() == before


@pytest.mark.parametrize("moment", range(1, 9))
def test_the_old_state_survives_any_failure_of_a_save(moment, tmp_path, monkeypatch):
    save_state(tmp_path, {"value": 1})
    calls = iter(range(1, 99))

    def failing(real):
        def wrapped(*args, **kwargs):
            if next(calls) == moment:
                raise OSError(28, "No space left on device")
            return real(*args, **kwargs)

        return wrapped

    monkeypatch.setattr(torch, "save", failing(torch.save))
    monkeypatch.setattr(torch, "load", failing(torch.load))
    monkeypatch.setattr(os, "fsync", failing(os.fsync))
    monkeypatch.setattr(type(tmp_path), "replace", failing(type(tmp_path).replace))
    try:
        save_state(tmp_path, {"value": 2})
    except Exception:
        expected = {1, 2}
    else:
        assert moment > 6
        expected = {2}
    monkeypatch.undo()
    assert load_state(tmp_path)["value"] in expected
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.slow
def test_a_full_disk_is_reported_and_the_training_continues(tmp_path, dataset):
    words = ["--dataroot", str(dataset), *RUN, "--save_latest_freq", "2"]
    run = start_faulty(tmp_path, "run", {"full": 26}, *words)
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 2
    assert "Traceback" not in output
    assert "warning: the run could not be saved: No space left on device" in output
    assert "End of epoch 2 / 2" in output
    assert output.splitlines()[-1].startswith("error: the run could not be saved")
    folder = tmp_path / "checkpoints" / "run"
    assert read_state_file(folder / LATEST)["progress"]["total_iters"] in (0, 2, 4)
    assert not list(folder.rglob(".*.tmp"))
    ok(resume(tmp_path))


@pytest.mark.slow
def test_two_trainings_of_one_name_are_refused(tmp_path, dataset):
    words = ["--dataroot", str(dataset), *RUN, "--n_epochs", "500", "--save_latest_freq", "1000"]
    first = start_faulty(tmp_path, "run", {}, *words)
    folder = tmp_path / "checkpoints" / "run"
    wait_until(lambda: (folder / "losses.jsonl").is_file(), first)
    second = call_in(tmp_path, "train.py", "--name", "run", *words)
    assert second.returncode == 2
    assert f"process {first.pid} is training it" in second.stderr
    first.kill()
    first.communicate()
    ok(resume(tmp_path, "--n_epochs", "0", "--n_epochs_decay", "1"))  # the lock died with it


def wait_until(condition, run: subprocess.Popen, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert run.poll() is None, run.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("name", "code", "threads"),
    [("SIGINT", 130, 0), ("SIGINT", 130, 2), ("SIGTERM", 143, 2), ("SIGUSR1", 143, 2)],
)
def test_a_signal_saves_and_prints_the_resume_command(name, code, threads, tmp_path, dataset):
    """Dataloader workers get the signal too, as from a terminal or a scheduler."""
    words = ["--dataroot", str(dataset), *RUN, "--num_threads", str(threads), "--n_epochs", "500"]
    run = subprocess.Popen(
        [sys.executable, "train.py", "--name", "run", *words,
         "--checkpoints_dir", str(tmp_path / "checkpoints")],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    folder = tmp_path / "checkpoints" / "run"
    wait_until(lambda: (folder / "losses.jsonl").is_file(), run)
    os.killpg(run.pid, getattr(signal, name))
    output, _ = run.communicate(timeout=60)
    assert run.returncode == code, output
    assert "Traceback" not in output
    assert f"stopped by {name}" in output
    assert "--name run --continue_train" in output
    state = load_state(folder)
    assert state["progress"]["total_iters"] == losses(folder)[-1][2]
    assert not list(folder.rglob(".*.tmp"))


@pytest.mark.slow
def test_a_second_signal_ends_the_process_at_once(tmp_path, dataset):
    words = ["--dataroot", str(dataset), *RUN, "--n_epochs", "500"]
    run = start_faulty(tmp_path, "run", {"delay": 0.15}, *words)  # a save takes several seconds
    folder = tmp_path / "checkpoints" / "run"
    wait_until(lambda: (folder / "losses.jsonl").is_file(), run)
    run.send_signal(signal.SIGINT)
    time.sleep(0.5)
    asked = time.monotonic()
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130
    assert time.monotonic() - asked < 2
    assert "stopped immediately" in output


@given(st.integers(1, 4), st.lists(st.integers(1, 3), max_size=12), st.integers(0, 11))
def test_an_image_pool_resumes_at_any_point(size, batches, cut):
    uninterrupted, resumed = ImagePool(size, "seed"), ImagePool(size, "seed")
    number = 0
    for i, n in enumerate(batches):
        if i == cut:
            state = resumed.state_dict()
            resumed = ImagePool(size, "another seed")
            resumed.load_state_dict(state)
        images = torch.arange(number, number + n, dtype=torch.float32).view(n, 1, 1, 1)
        number += n
        answers = []
        for pool in (uninterrupted, resumed):
            pool.plan(n)
            answers.append(pool.query(images))
        assert torch.equal(*answers)


# --- the log of losses -------------------------------------------------------------------


def test_a_record_is_written_completely_or_not_at_all(tmp_path):
    path = tmp_path / "losses.jsonl"
    history = History(path)
    records = [Record(1, i, i, 2e-4, 0.1, 0.0, {"G_A": 1 / i}) for i in (1, 2, 3)]
    history.add(records[0])
    size = path.stat().st_size
    with files_no_longer_than(size + 20), pytest.raises(OSError):
        history.add(records[1])
    assert path.stat().st_size == size
    history.add(records[2])
    assert History(path, path.stat().st_size).records == [records[0], records[2]]


@pytest.mark.parametrize("invalid", [b'{"epoch": 1, "it', b"", b"[]", b"{}", b"\xff\x00", b"7"])
def test_an_invalid_line_is_skipped(invalid, tmp_path):
    path = tmp_path / "losses.jsonl"
    history = History(path)
    history.add(Record(1, 1, 1, 2e-4, 0.1, 0.0, {"G_A": 0.5}))
    line = path.read_bytes()
    path.write_bytes(line + invalid + b"\n" + line)
    assert History(path, path.stat().st_size).records == history.records * 2
