"""An interrupted and resumed run equals an uninterrupted one, bit for bit."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import torch
from helpers.commands import TINY, call_in, make_image_set, ok
from helpers.runs import QUIET, RUN, end_of, losses, resume, start

from checkpoint.state import LATEST, PREVIOUS, load_state, remembered_options
from models import MODELS


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_image_set(tmp_path_factory.mktemp("data") / "shapes", (5, 3, 2, 2))


VARIANTS = {
    "plain": [],
    "workers": ["--num_threads", "2"],
    "odd last batch": ["--batch_size", "2"],
    "batch norm": ["--norm", "batch", "--batch_size", "3"],
    "random numbers in the step": ["--gan_mode", "wgangp"],
    "small pool": ["--pool_size", "2"],
}


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_interrupted_runs_end_the_same_bit_for_bit(variant, data, tmp_path):
    words = ["--dataroot", data, *RUN, *VARIANTS[variant], "--save_latest_freq", "1"]
    start(tmp_path, "uninterrupted", *words)
    start(tmp_path, "resumed", *words, steps=1)
    for _ in range(2):
        start(tmp_path, "resumed", "--continue_train", steps=1)
    start(tmp_path, "resumed", "--continue_train")
    folders = [tmp_path / "checkpoints" / name for name in ("uninterrupted", "resumed")]
    assert end_of(folders[0]) == end_of(folders[1])


@pytest.mark.slow
def test_steps_after_the_last_save_are_repeated(data, tmp_path):
    words = ["--dataroot", data, *RUN, "--save_latest_freq", "3"]
    start(tmp_path, "uninterrupted", *words)
    start(tmp_path, "resumed", *words, steps=5)
    folder = tmp_path / "checkpoints" / "resumed"
    assert [record[2] for record in losses(folder)] == [1, 2, 3, 4, 5]
    assert load_state(folder)["progress"]["total_iters"] == 3
    start(tmp_path, "resumed", "--continue_train")
    assert [record[2] for record in losses(folder)] == list(range(1, 11))
    assert end_of(folder) == end_of(tmp_path / "checkpoints" / "uninterrupted")


@pytest.mark.slow
def test_dropout_continues_with_the_same_random_numbers(data, tmp_path):
    """With dropout in CycleGAN's generators, which have none by default."""
    ends = []
    for interrupted in (False, True):
        root = tmp_path / str(interrupted)
        words = ["--dataroot", data, *RUN, "--save_latest_freq", "1"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(MODELS["cycle_gan"].defaults,
                          "no_dropout", False)  # fmt: skip
            start(root, "run", *words, steps=4 if interrupted else None)
            if interrupted:
                start(root, "run", "--continue_train")
        ends.append(end_of(root / "checkpoints" / "run"))
    assert ends[0] == ends[1]


@pytest.fixture
def stopped(data, tmp_path, capsys):
    """The folder of a run that was aborted after 3 of 10 steps."""
    start(tmp_path, "run", "--dataroot", data, *RUN, "--save_latest_freq", "3", steps=4)
    capsys.readouterr()
    return tmp_path / "checkpoints" / "run"


def test_one_flag_resumes_and_the_first_line_says_where(stopped, tmp_path):
    done = ok(resume(tmp_path))
    first = done.stdout.splitlines()[0]
    assert first == "resuming run at epoch 1, iteration 3, learning rate 0.0002000"
    assert "netG: resnet_6blocks" in done.stdout
    assert "End of epoch 2 / 2" in done.stdout


def test_typed_options_take_precedence_and_are_printed(stopped, tmp_path):
    done = ok(resume(tmp_path, "--lr", "0.0001", "--n_epochs_decay", "2"))
    assert "note: --lr 0.0001 from the command line; run was trained with 0.0002" in done.stdout
    assert done.stdout.splitlines()[0].endswith("learning rate 0.0001000")
    assert "End of epoch 3 / 3" in done.stdout


def test_options_that_cannot_change_are_refused(stopped, tmp_path):
    before = (stopped / LATEST).read_bytes()
    done = resume(tmp_path, "--ngf", "4")
    assert done.returncode == 2
    assert re.match(r"error: --ngf 4: .*trained with 2.*--init_from", done.stderr)
    assert (stopped / LATEST).read_bytes() == before


def test_a_complete_run_says_how_to_extend_it(stopped, tmp_path):
    ok(resume(tmp_path))
    files = {path: path.stat().st_mtime_ns for path in stopped.rglob("*") if path.is_file()}
    done = resume(tmp_path)
    assert done.returncode == 2
    assert "run run is complete (epoch 2/2); raise --n_epochs" in done.stderr
    untouched = {path: path.stat().st_mtime_ns for path in stopped.rglob("*") if path.is_file()}
    assert {k: v for k, v in untouched.items() if k.name != ".lock"} == {
        k: v for k, v in files.items() if k.name != ".lock"
    }
    done = ok(resume(tmp_path, "--n_epochs_decay", "2"))
    assert done.stdout.startswith("resuming run at epoch 3, iteration 0")


def test_weights_without_a_state_can_be_resumed(stopped, tmp_path, data):
    ok(resume(tmp_path))
    for name in (LATEST, PREVIOUS, "train_opt.json"):
        (stopped / name).unlink()
    weights = torch.load(stopped / "latest_net_G_A.pth", weights_only=True)
    log = (stopped / "loss_log.txt").read_text("utf-8")
    words = [*RUN, "--dataroot", data, "--epoch_count", "2", "--lr", "0"]
    done = ok(resume(tmp_path, *words))
    assert done.stdout.startswith("resuming run at epoch 2, iteration 0")
    assert "only the networks are loaded" in done.stdout
    after = torch.load(stopped / "latest_net_G_A.pth", weights_only=True)
    assert all(torch.equal(value, after[key]) for key, value in weights.items())
    assert (stopped / "loss_log.txt").read_text("utf-8").startswith(log)
    assert len(losses(stopped)) == 15  # the first ten, and those of epoch 2 again


def test_explicit_defaults_change_nothing(stopped, tmp_path):
    done = ok(resume(tmp_path, "--epoch", "latest", "--load_iter", "0"))
    assert done.stdout.startswith("resuming run at epoch 1, iteration 3")
    assert "only the networks are loaded" not in done.stdout


def test_an_explicit_epoch_takes_precedence_over_the_state(stopped, tmp_path):
    ok(resume(tmp_path, "--save_epoch_freq", "1"))
    old = (stopped / LATEST).read_bytes()
    done = ok(resume(tmp_path, "--epoch", "1", "--epoch_count", "2"))
    assert done.stdout.startswith("resuming run at epoch 2, iteration 0")
    assert "only the networks are loaded" in done.stdout
    assert (stopped / "replaced_state.pth").read_bytes() == old


def test_a_new_run_starts_from_the_networks_of_another(stopped, tmp_path, data):
    ok(resume(tmp_path))
    (stopped / "latest_net_D_B.pth").unlink()
    words = ["--name", "new", "--dataroot", data, *RUN, "--init_from", stopped, "--lr", "0"]
    done = ok(call_in(tmp_path, "train.py", *words))
    assert "G_A, G_B, D_A; newly initialized: D_B" in done.stdout
    for net in ("G_A", "G_B", "D_A"):
        mine, theirs = (
            torch.load(folder / f"latest_net_{net}.pth", weights_only=True)
            for folder in (stopped.parent / "new", stopped)
        )
        assert all(torch.equal(value, theirs[key]) for key, value in mine.items())


def test_init_from_without_weights_is_an_error(tmp_path, data):
    words = ["--name", "new", "--dataroot", data, *RUN, "--init_from", tmp_path / "none"]
    done = call_in(tmp_path, "train.py", *words)
    assert done.returncode == 2
    assert "--init_from" in done.stderr
    assert not (tmp_path / "checkpoints").exists()


def test_a_new_run_of_the_same_name_keeps_the_old_state(stopped, tmp_path, data):
    old = (stopped / LATEST).read_bytes()
    done = ok(call_in(tmp_path, "train.py", "--name", "run", "--dataroot", data, *RUN))
    assert "replaced_state.pth" in done.stdout
    assert (stopped / "replaced_state.pth").read_bytes() == old
    assert len(losses(stopped)) == 10


def test_a_new_run_keeps_the_previous_state_of_a_damaged_one(stopped, tmp_path, data):
    good = (stopped / LATEST).read_bytes()
    (stopped / LATEST).replace(stopped / PREVIOUS)
    (stopped / LATEST).write_bytes(good[: len(good) // 2])
    ok(call_in(tmp_path, "train.py", "--name", "run", "--dataroot", data, *RUN))
    assert (stopped / "replaced_state.pth").read_bytes() == good


def test_of_several_replaced_runs_the_longest_is_kept(stopped, tmp_path, data):
    long = (stopped / LATEST).read_bytes()
    new_run = ["train.py", "--name", "run", "--dataroot", data, *RUN]
    start(tmp_path, "run", *new_run[3:], steps=1)  # replaces the run of 3 steps
    assert (stopped / "replaced_state.pth").read_bytes() == long
    start(tmp_path, "run", *new_run[3:], steps=1)  # replaces the run of 1 step
    assert (stopped / "replaced_state.pth").read_bytes() == long


def test_old_numbered_weights_are_pruned(data, tmp_path):
    words = ["--dataroot", data, *TINY, *QUIET, "--n_epochs", "4", "--n_epochs_decay", "0"]
    words += ["--save_epoch_freq", "1", "--save_by_iter", "--save_latest_freq", "4"]
    start(tmp_path, "run", *words, "--keep_last", "2")
    names = {path.name for path in (tmp_path / "checkpoints" / "run").glob("*_net_G_A.pth")}
    numbers = {"3", "4", "iter_16", "iter_20", "latest"}
    assert names == {f"{number}_net_G_A.pth" for number in numbers}


def test_timed_saves_add_no_numbered_weights(data, tmp_path):
    words = ["--dataroot", data, *TINY, *QUIET, "--n_epochs", "1", "--n_epochs_decay", "0"]
    words += ["--save_by_iter", "--save_latest_freq", "4", "--save_minutes", "1e-9"]
    start(tmp_path, "run", *words)
    names = {path.name for path in (tmp_path / "checkpoints" / "run").glob("iter_*_net_G_A.pth")}
    assert names == {"iter_4_net_G_A.pth"}


def test_timed_saves_save_the_state(data, tmp_path):
    words = ["--dataroot", data, *RUN, "--save_minutes", "1e-6"]
    start(tmp_path, "run", *words, steps=4)
    assert load_state(tmp_path / "checkpoints" / "run")["progress"]["total_iters"] == 4


def test_the_page_omits_discarded_epochs(data, tmp_path):
    words = ["--dataroot", data, *TINY, "--display_id", "0", "--n_epochs", "3"]
    words += ["--n_epochs_decay", "0", "--save_epoch_freq", "2"]
    start(tmp_path, "run", *words, steps=14)
    folder = tmp_path / "checkpoints" / "run"
    start(tmp_path, "run", "--continue_train", "--epoch_count", "2")
    text = (folder / "web" / "data.js").read_text("utf-8")
    assert '"epochs": [1, 2, 3]' in text
    assert '"live": false' in text


def test_options_are_read_from_the_newest_readable_state(stopped):
    assert remembered_options(stopped)["netG"] == "resnet_6blocks"
    shutil.copy(stopped / LATEST, stopped / PREVIOUS)
    (stopped / LATEST).write_bytes(b"")
    assert remembered_options(stopped)["netG"] == "resnet_6blocks"
    assert json.loads((stopped / "train_opt.json").read_text("utf-8"))["ngf"] == 2
