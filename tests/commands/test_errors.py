"""Bad input: one line that says what is wrong and what to do, exit status 2, nothing written."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import torch
from helpers.commands import TINY_TRAIN, ok
from helpers.refusals import DATA, TEST, TRAIN, failures, files_below, refused
from helpers.wrong_weights import OTHER_TYPES, WEIGHTS
from PIL import Image

from reporting.html.results_page import MAX_PENDING_IMAGES, ResultsPage
from util.errors import UserError

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
    "above one": refused([*TRAIN, *DATA, "--beta1", "1.5"], "--beta1", "1.5", "below 1"),
    "infinite": refused([*TRAIN, *DATA, "--lr", "inf"], "--lr", "inf", "not a finite"),
    "half an image": refused([*TRAIN, *DATA, "--max_dataset_size", "2.5"], "--max_dataset_size"),
    "negative size": refused([*TRAIN, *DATA, "--load_size", "-5"], "--load_size", "at least 1"),
    "negative weight": refused([*TRAIN, *DATA, "--lambda_A", "-1"], "--lambda_A", "at least 0"),
    "negative seed": refused([*TRAIN, *DATA, "--seed", "-1"], "--seed", "at least 0"),
    "endless seed": refused([*TRAIN, *DATA, "--seed", "9" * 23], "--seed", "at most 9223"),
    "no such port": refused([*TRAIN, *DATA, "--display_port", "70000"], "--display_port", "65535"),
    "a switch with a value": refused([*TRAIN, *DATA, "--no_flip=1"], "--no_flip", "'1'"),
    "flat as nothing": refused([*TEST, *DATA, "--aspect_ratio", "0"], "--aspect_ratio", "0.001"),
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
    "penalty between different sizes": refused(
        [*TRAIN, *DATA, "--gan_mode", "wgangp", "--preprocess", "none"],
        "--gan_mode wgangp", "--preprocess none", "crop",
    ),
    "two beginnings": refused(
        [*TRAIN, *DATA, "--continue_train", "--init_from", "x"], "--init_from", "leave one out"
    ),
    "nothing to recompute": refused(
        [*TRAIN, *DATA, "--netG", "unet_128", "--grad_checkpoint"], "--grad_checkpoint", "unet_128"
    ),
    "an empty beginning": refused(
        [*TRAIN, *DATA, "--init_from", "{data}"], "--init_from", "G_A", "check the folder"
    ),
    "beyond the end": refused(
        [*TRAIN, *DATA, "--epoch_count", "5"], "--epoch_count 5", "1", "--n_epochs"
    ),
    "no epoch at all": refused([*TRAIN, *DATA, "--n_epochs", "0"], "--n_epochs"),
    "plateau": refused([*TRAIN, *DATA, "--lr_policy", "plateau"], "plateau", "linear"),
    "several GPUs": refused([*TRAIN, *DATA, "--gpu_ids", "0,1"], "--gpu_ids 0,1", "one GPU"),
    "GPU that is not there": refused([*TRAIN, *DATA, "--gpu_ids", "63"], "--gpu_ids 63", "-1"),
    "no GPU number": refused([*TRAIN, *DATA, "--gpu_ids", "first"], "--gpu_ids", "first"),
    "name above": refused([*TRAIN, *DATA, "--name", "../x"], "--name", "../x"),
    "name from the root": refused([*TRAIN, *DATA, "--name", "/x"], "--name", "/x"),
    "name of nothing": refused([*TRAIN, *DATA, "--name", "."], "--name", "'.'"),
    "phase elsewhere": refused([*TEST, *DATA, "--phase", "../x"], "--phase", "../x", "plain"),
    "no phase": refused([*TRAIN, *DATA, "--phase", ""], "--phase", "plain"),
    "epoch elsewhere": refused([*TEST, *DATA, "--epoch", "../x"], "--epoch", "../x", "plain"),
    "no name": refused([*TRAIN, *DATA, "--name", ""], "--name"),
    "suffix above": refused([*TRAIN, *DATA, "--suffix", "/../../x"], "--name"),
    "suffix of no option": refused([*TRAIN, *DATA, "--suffix", "{{no}}"], "--suffix", "no"),
    "suffix of a list": refused(
        [*TRAIN, *DATA, "--suffix", "{{gpu_ids:>3}}"], "--suffix '{gpu_ids:>3}'", "as in"
    ),
    "suffix of a lone brace": refused([*TRAIN, *DATA, "--suffix", "{{"], "--suffix", "{netG}"),
}  # fmt: skip


@pytest.mark.parametrize("case", FLAGS.values(), ids=FLAGS)
def test_bad_flags_are_refused(case, call, dataset, tmp_path):
    failures(call(*(word.format(data=dataset) for word in case.words)), case.says)
    assert not files_below(tmp_path)


@pytest.mark.slow
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


@pytest.mark.parametrize(("make", "says"), OTHER_TYPES.values(), ids=OTHER_TYPES)
def test_weights_of_other_types_are_taken(make, says, call, trained, dataset, tmp_path):
    folder = tmp_path / "checkpoints" / "run"
    folder.mkdir(parents=True)
    make(folder, trained / "tiny")
    words = ["--dataroot", dataset / "testA", "--name", "run", "--no_dropout"]
    done = ok(call(*TEST, *words))
    assert done.stderr == ""
    notes = [line for line in done.stdout.splitlines() if line.startswith("note: ")]
    assert len(notes) == bool(says)
    assert all(part in note for note in notes for part in (*says, str(folder)))
    (tmp_path / "checkpoints" / "tiny").symlink_to(trained / "tiny")
    ok(call(*TEST, "--dataroot", dataset / "testA", "--name", "tiny"))
    found, expected = (
        np.asarray(Image.open(tmp_path / f"results/{name}/test_latest/images/00_fake.png"))
        for name in ("run", "tiny")
    )
    assert np.abs(found.astype(int) - expected).max() <= 2


@pytest.mark.slow
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
    failures(done, ("no run new", "no such folder", "--name"))
    assert not (tmp_path / "checkpoints").exists()


def test_other_runs_are_named_where_the_name_is_wrong(call, dataset, tmp_path):
    for name in ("cats", "dogs"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    done = call(*TEST, "--dataroot", dataset / "testA", "--name", "cat")
    failures(done, ("checkpoints/cat", "cats", "dogs"))


#: train_opt.json → parts of the message
MEMORIES = {
    "cut short": ("{", ("train_opt.json", "repair or remove")),
    "a list": ("[]", ("train_opt.json", "repair or remove")),
    "a text for a number": ('{"crop_size": "32"}', ("--crop_size", "'32'", "train_opt.json")),
    "a negative size": ('{"input_nc": -1}', ("--input_nc", "-1", "train_opt.json")),
    "another choice": ('{"norm": "layer"}', ("--norm", "'layer'", "train_opt.json")),
    "no switch": ('{"no_dropout": "yes"}', ("--no_dropout", "'yes'", "train_opt.json")),
}


@pytest.mark.parametrize(("text", "says"), MEMORIES.values(), ids=MEMORIES)
def test_remembered_options_that_cannot_be(text, says, call, dataset, tmp_path):
    folder = tmp_path / "checkpoints" / "run"
    folder.mkdir(parents=True)
    (folder / "train_opt.json").write_text(text)
    words = ["test.py", "--gpu_ids", "-1", "--dataroot", dataset / "testA", "--name", "run"]
    failures(call(*words), says)


def test_checkpoints_that_cannot_be_written(call, dataset, tmp_path):
    (tmp_path / "checkpoints").write_text("in the way")
    failures(call(*TRAIN, "--dataroot", dataset), ("checkpoints",))


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_ends_a_test(call, dataset, trained, tmp_path, monkeypatch):
    (tmp_path / "checkpoints").symlink_to(trained)
    monkeypatch.setattr(Image.Image, "save", no_space)
    done = call(*TEST, "--dataroot", dataset / "testA", "--name", "tiny")
    failures(done, ("_real.png", "No space left on device", "--results_dir"))
    assert not [path for path in (tmp_path / "results").rglob("*") if path.is_file()]


def test_a_full_disk_is_told_before_the_last_image(tmp_path, monkeypatch):
    monkeypatch.setattr(Image.Image, "save", no_space)
    settings = {"roots": [], "pairs": {}, "width": 9, "aspect_ratio": 1.0}
    with pytest.raises(UserError, match="No space"), ResultsPage(tmp_path, "t", **settings) as page:
        for i in range(MAX_PENDING_IMAGES + 2):
            page.add({"real": torch.zeros(1, 3, 2, 2)}, {"real": [f"{i}.png"]})
        pytest.fail("all were taken")


def test_a_file_where_the_results_should_be(call, dataset, trained, tmp_path):
    (tmp_path / "checkpoints").symlink_to(trained)
    (tmp_path / "results").write_text("in the way")
    done = call(*TEST, "--dataroot", dataset / "testA", "--name", "tiny")
    failures(done, ("results", "cannot be written", "--results_dir"))
