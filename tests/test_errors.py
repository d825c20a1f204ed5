"""Bad input: one line that says what is wrong and what to do, exit status 2, nothing written."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT, TINY, TINY_TRAIN, drawn, pictures
from wrong_folders import FOLDERS, WEIGHTS

TRAIN = ["train.py", *TINY_TRAIN]
TEST = ["test.py", *TINY]
DATA = ["--dataroot", "{data}"]
HERE = ["--dataroot", "{here}"]


@dataclass(frozen=True)
class Case:
    """A command that must be refused, and parts of what it must say. ``{data}`` is a good data
    set, ``{here}`` a folder that ``make`` has filled."""

    words: list[str]
    says: tuple[str, ...]
    make: str = "nothing"


def refused(words: list[str], *says: str, make: str = "nothing") -> Case:
    return Case(words, says, make)


FLAGS = {
    "no dataroot": refused(TRAIN, "--dataroot", "missing"),
    "unknown option": refused([*TRAIN, *DATA, "--batchsize", "2"], "--batchsize", "--batch_size"),
    "unknown option with =": refused([*TRAIN, *DATA, "--nam=x"], "--nam ", "--name"),
    "shortened option": refused([*TRAIN, *DATA, "--seri"], "--seri"),
    "option of test.py": refused([*TRAIN, *DATA, "--num_test", "3"], "--num_test"),
    "option of another model": refused([*TRAIN, *DATA, "--model_suffix", "_A"], "--model_suffix"),
    "word that belongs nowhere": refused([*TRAIN, *DATA, "oops"], "oops"),
    "bad choice": refused(
        [*TRAIN, *DATA, "--netG", "resnet_9block"],
        "--netG", "resnet_9block", "resnet_9blocks", "unet_256",
    ),
    "bad model": refused([*TRAIN, *DATA, "--model", "cyclegan"], "--model", "cycle_gan"),
    "no number": refused([*TRAIN, *DATA, "--lr", "fast"], "--lr", "fast", "not a number"),
    "not finite": refused([*TRAIN, *DATA, "--lr", "nan"], "--lr", "nan"),
    "no whole number": refused([*TRAIN, *DATA, "--ngf", "2.5"], "--ngf", "2.5", "whole"),
    "too small": refused([*TRAIN, *DATA, "--batch_size", "0"], "--batch_size", "at least 1"),
    "negative": refused([*TRAIN, *DATA, "--n_epochs", "-1"], "--n_epochs", "-1", "at least 0"),
    "no value": refused([*TRAIN, *DATA, "--name"], "--name", "expected one argument"),
    "not trainable": refused([*TRAIN, *DATA, "--model", "test"], "--model test", "trained"),
    "data of another model": refused(
        [*TRAIN, *DATA, "--dataset_mode", "single"], "--dataset_mode single", "unaligned"
    ),
    "crop larger than load": refused(
        [*TRAIN, *DATA, "--crop_size", "64"], "--crop_size 64", "--load_size 36"
    ),
    "too small for the discriminator": refused(
        [*TRAIN, *DATA, "--crop_size", "16"], "--crop_size 16", "--netD basic", "24"
    ),
    "two channels": refused(
        [*TRAIN, *DATA, "--input_nc", "2", "--output_nc", "2"], "--input_nc 2", "1", "3"
    ),
    "identity of other channels": refused(
        [*TRAIN, *DATA, "--input_nc", "1"], "--input_nc 1", "--output_nc 3", "--lambda_identity 0"
    ),
    "batch of different sizes": refused(
        [*TRAIN, *DATA, "--batch_size", "2", "--preprocess", "scale_width"],
        "--batch_size 2", "--preprocess scale_width",
    ),
    "beyond the end": refused(
        [*TRAIN, *DATA, "--epoch_count", "5"], "--epoch_count 5", "1", "--n_epochs"
    ),
    "no epoch at all": refused([*TRAIN, *DATA, "--n_epochs", "0"], "--n_epochs"),
    "plateau": refused([*TRAIN, *DATA, "--lr_policy", "plateau"], "plateau", "linear"),
    "several GPUs": refused([*TRAIN, *DATA, "--gpu_ids", "0,1"], "--gpu_ids 0,1", "torchrun"),
    "GPU that is not there": refused([*TRAIN, *DATA, "--gpu_ids", "63"], "--gpu_ids 63", "-1"),
    "no GPU number": refused([*TRAIN, *DATA, "--gpu_ids", "first"], "--gpu_ids", "first"),
    "name above": refused([*TRAIN, *DATA, "--name", "../x"], "--name", "../x"),
    "name from the root": refused([*TRAIN, *DATA, "--name", "/x"], "--name", "/x"),
    "no name": refused([*TRAIN, *DATA, "--name", ""], "--name"),
    "suffix above": refused([*TRAIN, *DATA, "--suffix", "/../../x"], "--name"),
    "suffix of no option": refused([*TRAIN, *DATA, "--suffix", "{{no}}"], "--suffix", "no"),
}  # fmt: skip

PICTURES = {
    "missing dataroot": refused([*TRAIN, "--dataroot", "{here}/none"], "none", "trainA", "trainB"),
    "missing side": refused([*TRAIN, *HERE], "trainB", "missing", "found trainA", make="one side"),
    "empty side": refused([*TRAIN, *HERE], "trainB", "empty", make="empty side"),
    "only hidden": refused([*TRAIN, *HERE], "trainB", "no pictures", make="only hidden"),
    "only texts": refused([*TRAIN, *HERE], "trainB", "readme.txt", ".png", make="only texts"),
    "dataroot is a file": refused(
        [*TRAIN, "--dataroot", "{here}/a.png"], "a.png", "file", make="one picture"
    ),
    "missing phase": refused([*TRAIN, *DATA, "--phase", "val"], "valA", "found", "trainA"),
    "empty file": refused([*TRAIN, *HERE], "bad.jpg", "cannot be read", make="empty file"),
    "text": refused([*TRAIN, *HERE], "bad.jpg", "cannot be read", make="text"),
    "smaller than the crop": refused(
        [*TRAIN, *HERE, "--preprocess", "crop"], "--crop_size 32", "bad.png", "30", make="small"
    ),
    "folder without pictures": refused([*TEST, *HERE, "--name", "tiny"], "no pictures"),
    "missing folder": refused([*TEST, "--dataroot", "{here}/none"], "none", "missing"),
    "one that is no picture": refused(
        [*TEST, "--dataroot", "{here}/a.png"], "a.png", "cannot be read", make="text alone"
    ),
    "truncated": refused(
        [*TEST, *HERE, "--name", "tiny"], "bad.png", "cannot be read", make="truncated"
    ),
}  # fmt: skip


def failures(done: subprocess.CompletedProcess, says) -> None:
    """Asserts that a command was refused in our form."""
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert len(lines[0]) < 500
    missing = [part for part in says if part not in lines[0]]
    assert not missing, lines[0]


def files_below(folder: Path) -> set[str]:
    return {path.as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("case", [*FLAGS.values(), *PICTURES.values()],
                         ids=[*FLAGS, *PICTURES])  # fmt: skip
def test_bad_input_is_refused(case, call, dataset, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    FOLDERS[case.make](here)
    before = files_below(tmp_path)
    failures(call(*(word.format(data=dataset, here=here) for word in case.words)), case.says)
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("name", ["missing dataroot", "text"])
def test_bad_pictures_are_refused_by_the_real_command(name, run, tmp_path):
    case, here = PICTURES[name], tmp_path / "here"
    here.mkdir()
    FOLDERS[case.make](here)
    before = files_below(ROOT / "checkpoints")
    failures(run(*(word.format(here=here) for word in case.words)), case.says)
    assert files_below(ROOT / "checkpoints") == before
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("name", ["unknown option", "bad choice"])
def test_bad_flags_are_refused_by_the_real_command(name, run, dataset):
    case = FLAGS[name]
    failures(run(*(word.format(data=dataset) for word in case.words)), case.says)


@pytest.mark.parametrize("name", WEIGHTS)
def test_bad_weights_are_refused(name, call, trained, dataset, tmp_path):
    flags, make, says = WEIGHTS[name]
    folder = tmp_path / "checkpoints" / "run"
    folder.mkdir(parents=True)
    make(folder, trained / "tiny")
    before = files_below(tmp_path)
    words = ["--dataroot", dataset / "testA", "--name", "run", "--no_dropout", *flags]
    failures(call(*TEST, *words), says)
    assert files_below(tmp_path) == before


def test_a_pickle_that_runs_code_is_refused_by_the_real_command(run, dataset, tmp_path):
    folder = tmp_path / "checkpoints" / "run"
    folder.mkdir(parents=True)
    flags, make, says = WEIGHTS["a pickle that runs code"]
    make(folder, None)
    failures(run(*TEST, "--dataroot", dataset / "testA", "--name", "run", *flags), says)
    assert not (folder / "pwned").exists()


@pytest.mark.parametrize("epoch", [["--epoch", "7"], ["--load_iter", "5"]], ids=str)
def test_weights_that_are_not_there_are_told_from_those_that_are(epoch, call, dataset, tmp_path):
    words = ["--dataroot", dataset, "--name", "run", *TINY_TRAIN]
    assert call("train.py", *words, "--save_epoch_freq", "1").returncode == 0
    done = call(*TEST, "--dataroot", dataset / "testA", "--name", "run", *epoch)
    failures(done, ("7_net" if "7" in epoch else "iter_5_net", "1, latest", "G_A", "G_B"))


def test_continuing_what_was_never_begun(call, dataset, tmp_path):
    done = call(*TRAIN, "--dataroot", dataset, "--name", "new", "--continue_train")
    failures(done, ("new", "holds no weights", "--name"))
    assert not (tmp_path / "checkpoints").exists()


def test_other_runs_are_named_where_the_name_is_wrong(call, dataset, tmp_path):
    for name in ("cats", "dogs"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    done = call(*TEST, "--dataroot", dataset / "testA", "--name", "cat")
    failures(done, ("checkpoints/cat", "cats", "dogs"))


def test_remembered_options_that_cannot_be_read(call, dataset, tmp_path):
    folder = tmp_path / "checkpoints" / "run"
    folder.mkdir(parents=True)
    (folder / "train_opt.json").write_text("{")
    done = call(*TEST, "--dataroot", dataset / "testA", "--name", "run")
    failures(done, ("train_opt.json",))


@pytest.mark.parametrize("threads", ["0", "1"])
def test_a_picture_that_breaks_the_training_is_named(threads, call, tmp_path):
    root = tmp_path / "data"
    for side in ("trainA", "trainB"):
        pictures(root / side, 2, ending=".jpg")
    broken = root / "trainB" / "01.jpg"
    broken.write_bytes(broken.read_bytes()[:-200])
    words = [*TRAIN, "--dataroot", root, "--serial_batches", "--num_threads", threads]
    failures(call(*words), ("trainB/01.jpg", "cannot be read"))


@pytest.mark.parametrize(
    ("flags", "size"),
    [(["--preprocess", "none"], (16, 40)), (["--preprocess", "scale_width"], (40, 40))],
    ids=["none", "scale_width"],
)
def test_pictures_too_small_for_the_discriminator(flags, size, call, tmp_path):
    """Modes that cut no square: what counts is the size that the pictures get."""
    for side in ("trainA", "trainB"):
        (tmp_path / "data" / side).mkdir(parents=True)
        drawn(side, size).save(tmp_path / "data" / side / "a.png")
    words = [*TRAIN, "--dataroot", tmp_path / "data", *flags, "--load_size", "16"]
    failures(call(*words), ("--netD basic", "24"))


def test_checkpoints_that_cannot_be_written(call, dataset, tmp_path):
    (tmp_path / "checkpoints").write_text("in the way")
    failures(call(*TRAIN, "--dataroot", dataset), ("checkpoints",))
