"""Several processes train one model as a single one would, and survive the loss of one."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import jobs
from helpers.commands import TINY, assert_complete, call_in, make_image_set, ok
from helpers.jobs import EXACT, PLAIN, RUN, TRAIN, parts, records, weights
from helpers.runs import start
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import data.samplers
from checkpoint.state import digest, load_state
from data.samplers import EpochSampler
from distributed.context import World, get_world, split_evenly

pytestmark = pytest.mark.slow

# --- how images are distributed ------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(1, 9))
def test_images_are_split_evenly(images, size):
    shares = split_evenly(images, size)
    assert sum(shares) == images
    assert shares == sorted(shares, reverse=True)
    assert max(shares) - min(shares) <= 1


def order_of(rank: int, size: int, n: int, batch_size: int, start: int) -> list[int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data.samplers, "get_world", lambda: World(rank, size))
        sampler = EpochSampler(n, batch_size, 3, seed=5, shuffle=True)
    sampler.epoch, sampler.start = 2, start
    indices = [index for task in sampler for _, index in task]
    assert sampler.own() == indices
    return indices


@given(st.data(), st.integers(1, 40), st.integers(1, 5), st.integers(1, 4))
def test_several_processes_read_the_images_in_the_order_of_one(data, n, size, batch_size):
    start = data.draw(st.integers(0, n))
    alone = order_of(0, 1, n, size * batch_size, start)
    orders = [order_of(rank, size, n, batch_size, start) for rank in range(size)]
    steps = -(-len(alone) // (size * batch_size))
    together = []
    for step in range(steps):
        left = min(size * batch_size, len(alone) - step * size * batch_size)
        for order, own in zip(orders, split_evenly(left, size), strict=True):
            batch = order[step * batch_size : (step + 1) * batch_size]
            assert len(batch) == max(own, 1)  # a process without images repeats one
            together += batch[:own]
    assert together == alone


def test_gradients_are_summed_once_per_step(tmp_path):
    done = ok(jobs.run(tmp_path, "tests/helpers/sum_gradients.py"))
    (found, messages), (expected, messages_by_hand) = json.loads(done.stdout)
    assert torch.equal(torch.tensor(found), torch.tensor(expected))
    assert (messages, messages_by_hand) == (3, 6)  # one per step, not one per weight


# --- several processes equal one ------------------------------------------------------------------


@pytest.fixture
def float64():
    """Compute in float64, where the order of a sum changes only its last digits."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "norm"), [(2, "instance"), (3, "instance"), (2, "batch"), (3, "batch")]
)
def test_several_processes_equal_one_with_a_larger_batch(size, norm, shapes, tmp_path, float64):
    """Of the seven images three processes take 3, 3 and 1, in two epochs."""
    words = ["--dataroot", shapes, *RUN, *PLAIN, "--norm", norm]
    several = ok(jobs.run(tmp_path, TRAIN, *words, "--name", "several", size=size, env=EXACT))
    start(tmp_path, "one", *words, "--batch_size", size)
    line = next(line for line in several.stdout.splitlines() if line.startswith("computing on"))
    assert f"{size} processes, batch size 1 each, {size} in all" in line
    assert ("batch norm synchronized" in line) == (norm == "batch")
    first, second = weights(tmp_path, "one"), weights(tmp_path, "several")
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.allclose(value.double(), second[key].double(), rtol=0, atol=1e-6), key

    for mine, theirs in zip(records(tmp_path, "one"), records(tmp_path, "several"), strict=True):
        for name in ("epoch", "iters", "total_iters", "learning_rate"):
            assert mine[name] == theirs[name]
        assert mine["losses"] == pytest.approx(theirs["losses"], rel=1e-9)


def test_only_the_main_process_prints(uninterrupted):
    root, done, _ = uninterrupted
    lines = done.stdout.splitlines()
    for text in ("Options", "The number of training images = 7", "End of epoch 2 / 2",
                 "[Network G_A]", "saving the model at the end of epoch 1"):  # fmt: skip
        assert sum(text in line for line in lines) == 1, text
    assert [record["iters"] for record in records(root, "run")] == [2, 4, 6, 7] * 2
    assert_complete(root / "checkpoints" / "run" / "web" / "index.html")
    assert not jobs.errors(done)


def test_each_image_is_used_once_per_epoch(uninterrupted):
    root = uninterrupted[0]
    used = [(root / "log" / f"{rank}.txt").read_text("utf-8").splitlines() for rank in (0, 1)]
    assert Counter(used[0] + used[1]).most_common(1)[0][1] == 1
    assert (len(used[0]), len(used[1])) == (8, 6)


def test_each_process_has_its_own_pools_and_random_numbers(uninterrupted):
    state = load_state(uninterrupted[0] / "checkpoints" / "run")
    (other,) = state["others"]
    for name, pool in state["model"]["pools"].items():
        assert pool["count"] == other["pools"][name]["count"] == 2
        assert digest(pool) != digest(other["pools"][name])
    assert digest(state["random"]) != digest(other["random"])


# --- resuming -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(uninterrupted, tmp_path_factory):
    """The same run, its rank 1 killed before the sixth step; its output and duration."""
    root = tmp_path_factory.mktemp("killed")
    began = time.monotonic()
    often = ["--save_latest_freq", "1"]
    # torchrun polls slowly: rank 0 notices the loss first, and must still report it.
    done = jobs.run(
        root, TRAIN, *uninterrupted[2], *often,
        torchrun=["--monitor_interval=0.3"], env={"JOB_KILL": "1 6"},
    )  # fmt: skip
    return root, done, time.monotonic() - began


@pytest.mark.slow
def test_a_killed_process_ends_the_job_with_a_message(killed):
    root, done, seconds = killed
    assert done.returncode != 0
    assert seconds < 60
    assert load_state(root / "checkpoints" / "run")["progress"]["total_iters"] == 9
    (message,) = jobs.errors(done)
    assert "another process of this job has ended" in message
    assert "--continue_train" in message
    assert "Traceback" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("interval", ["0.1", "0.3"])
def test_a_process_killed_during_setup_ends_the_job_with_a_message(
    interval, uninterrupted, tmp_path
):
    how = {"torchrun": [f"--monitor_interval={interval}"], "env": {"JOB_KILL": "1 0"}}
    done = jobs.run(tmp_path, TRAIN, *uninterrupted[2], size=3, **how)
    assert done.returncode != 0
    (message,) = jobs.errors(done)
    assert "another process of this job has ended" in message


@pytest.mark.slow
def test_the_same_number_of_processes_resumes_bit_for_bit(killed, uninterrupted, tmp_path):
    root = tmp_path / "again"
    root.symlink_to(killed[0])
    done = ok(jobs.run(root, "train.py", "--name", "run", "--continue_train", *RUN[-2:]))
    assert done.stdout.startswith("resuming run at epoch 2, iteration 2")
    assert parts(root) == parts(uninterrupted[0])


@pytest.mark.slow
def test_a_job_restarted_by_torchrun_resumes_by_itself(uninterrupted, tmp_path):
    done = ok(jobs.run(
        tmp_path, TRAIN, *uninterrupted[2], "--save_latest_freq", "2",
        torchrun=["--max_restarts=1"], env={"JOB_KILL": "1 3"},
    ))  # fmt: skip
    assert "resuming run at epoch 1, iteration 4" in done.stdout
    assert parts(tmp_path) == parts(uninterrupted[0])


@pytest.mark.slow
def test_another_number_of_processes_resumes(uninterrupted, shapes, tmp_path):
    """Two processes are killed after four of seven images; one uses the remaining three."""
    logs = {"JOB_LOG": str(tmp_path)}
    words = [*uninterrupted[2], "--save_latest_freq", "1", "--no_html"]
    jobs.run(tmp_path, TRAIN, *words, env={"JOB_KILL": "1 3", **logs})
    first = [line for file in tmp_path.glob("*.txt") for line in file.read_text().splitlines()]
    assert len(first) == 4
    before = load_state(tmp_path / "checkpoints" / "run")
    more = ["--name", "run", "--continue_train", "--n_epochs_decay", "0"]
    done = ok(jobs.run(tmp_path, TRAIN, *more, size=1, env=logs))
    assert "the run had 2 processes, now there are 1" in done.stdout
    lines = [line for file in tmp_path.glob("*.txt") for line in file.read_text().splitlines()]
    assert len(lines) == len(set(lines)) == 7
    state = load_state(tmp_path / "checkpoints" / "run")
    assert state["progress"]["total_iters"] == 7
    kept, now = before["model"]["pools"]["fake_B"], state["model"]["pools"]["fake_B"]
    assert (kept["count"], now["count"]) == (2, 2)
    done = ok(jobs.run(tmp_path, TRAIN, *more[:2], "--continue_train", "--n_epochs_decay", "1"))
    assert "the run had 1 processes, now there are 2" in done.stdout
    assert len(load_state(tmp_path / "checkpoints" / "run")["others"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_job_saves_and_ends_it(which, shapes, tmp_path):
    words = ["--dataroot", shapes, "--name", "run", *RUN, "--n_epochs", "500"]
    job = jobs.start(tmp_path, "train.py", *words)
    wait_for(tmp_path / "checkpoints" / "run" / "losses.jsonl", job)
    job.send_signal(which)
    out, err = job.communicate(timeout=60)
    assert job.returncode != 0
    assert f"stopped by {which.name} at epoch" in out, err
    assert "resume with: torchrun --nproc_per_node=2 train.py --name run --continue_train" in out
    assert "error: " not in err
    at = load_state(tmp_path / "checkpoints" / "run")["progress"]
    assert at["total_iters"] == records(tmp_path, "run")[-1]["total_iters"] > 0


def wait_for(file: Path, job) -> None:
    end = time.monotonic() + 60
    while not (file.is_file() and file.stat().st_size) and time.monotonic() < end:
        assert job.poll() is None, job.communicate()
        time.sleep(0.1)


# --- invalid input ------------------------------------------------------------------------------


def test_several_gpus_need_torchrun(call, shapes):
    done = call("train.py", "--dataroot", shapes, "--name", "a b", "--gpu_ids", "0,1", "--no_flip")
    assert done.returncode == 2
    assert (
        "--gpu_ids 0,1: each process uses one GPU; type torchrun --nproc_per_node=2 train.py "
        f"--dataroot {shapes} --name 'a b' --gpu_ids 0,1 --no_flip"
    ) in done.stderr


def test_bad_input_is_reported_once(shapes, tmp_path):
    done = jobs.run(tmp_path, "train.py", "--dataroot", shapes, *RUN, "--lr", "fast")
    assert done.returncode != 0
    assert jobs.errors(done) == ["error: --lr: 'fast' is not a number"]
    done = jobs.run(tmp_path, "train.py", "--dataroot", tmp_path / "none", *RUN)
    (message,) = jobs.errors(done)
    assert "none/trainA is missing" in message
    assert not (tmp_path / "checkpoints").exists()


# --- test.py --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["test", "cycle_gan"])
def test_processes_share_the_images_of_a_test(model, trained, shapes, tmp_path):
    """With sides of different length, and two files that differ in their extension only."""
    root = tmp_path / "images"
    make_image_set(root, (1, 1, 5, 3))
    Image.open(root / "testA" / "01.png").rotate(90).save(root / "testA" / "01.jpg")
    dataroot = root / "testA" if model == "test" else root
    found = []
    for size in (1, 2):
        where = tmp_path / str(size)
        where.mkdir()
        (where / "checkpoints").symlink_to(trained)
        words = ["--dataroot", dataroot, "--name", "tiny", *TINY, "--model", model]
        words += ["--batch_size", "1", "--contact_sheet"]
        done = (
            call_in(where, "test.py", *words) if size == 1
            else jobs.run(where, "test.py", *words, size=size)
        )  # fmt: skip
        assert "6 of 6 images written to" in ok(done).stdout
        page = where / "results" / "tiny" / "test_latest" / "index.html"
        assert_complete(page)
        images = {path.name: np.asarray(Image.open(path)) for path in page.parent.rglob("*.png")}
        found.append((page.read_text("utf-8"), images))
    assert found[0][0] == found[1][0]
    assert found[0][1].keys() == found[1][1].keys()
    for name, pixels in found[0][1].items():
        assert np.array_equal(pixels, found[1][1][name]), name


def test_environment_variables_alone_start_no_job(monkeypatch):
    """Without torchrun there is a single process, whatever a scheduler has set."""
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert get_world() == World()
