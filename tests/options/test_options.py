"""Options: the contract's flags and defaults, what is printed, what a run remembers."""

from __future__ import annotations

import math
import re

import pytest
from helpers.commands import TINY, TINY_TRAIN, call_in

from models import MODELS
from options import TestOptions, TrainOptions
from options.base_options import describe

SCRIPTS = {"train.py": TrainOptions, "test.py": TestOptions}
INF = math.inf

COMMON = {
    "name": "experiment_name", "gpu_ids": [0], "checkpoints_dir": "./checkpoints",
    "model": "cycle_gan", "input_nc": 3, "output_nc": 3, "ngf": 64, "ndf": 64, "netD": "basic",
    "netG": "resnet_9blocks", "n_layers_D": 3, "norm": "instance", "init_type": "normal",
    "init_gain": 0.02, "no_dropout": False, "dataset_mode": "unaligned", "direction": "AtoB",
    "serial_batches": False, "num_threads": 4, "batch_size": 1, "load_size": 286,
    "crop_size": 256, "max_dataset_size": INF, "preprocess": "resize_and_crop", "no_flip": False,
    "display_winsize": 256, "epoch": "latest", "load_iter": 0, "verbose": False, "suffix": "",
    "seed": 0, "precision": "auto", "compile": "auto", "bit_depth": 8,
}  # fmt: skip
TRAIN = {
    "display_freq": 400, "display_ncols": 4, "display_id": 1,
    "display_server": "http://localhost", "display_env": "main", "display_port": 8097,
    "update_html_freq": 1000, "print_freq": 100, "no_html": False, "save_latest_freq": 5000,
    "save_epoch_freq": 5, "save_by_iter": False, "continue_train": False, "epoch_count": 1,
    "phase": "train", "n_epochs": 100, "n_epochs_decay": 100, "beta1": 0.5, "lr": 0.0002,
    "gan_mode": "lsgan", "pool_size": 50, "lr_policy": "linear", "lr_decay_iters": 50,
}  # fmt: skip
TEST = {"results_dir": "./results/", "aspect_ratio": 1.0, "phase": "test", "eval": False,
        "keep_size": False, "num_test": INF}  # fmt: skip
BY_MODEL = {
    "cycle_gan": {"lambda_A": 10, "lambda_B": 10, "lambda_identity": 0.5, "no_dropout": True},
    "pix2pix": {
        "lambda_L1": 100, "norm": "batch", "netG": "unet_256", "dataset_mode": "aligned",
        "pool_size": 0, "gan_mode": "vanilla",
    },
    "template": {"dataset_mode": "aligned", "lambda_regression": 1.0},
    "test": {"model_suffix": "", "dataset_mode": "single"},
}  # fmt: skip
BY_MODEL["colorization"] = {
    **BY_MODEL["pix2pix"], "dataset_mode": "colorization", "input_nc": 1, "output_nc": 2
}  # fmt: skip
CHOICES = {
    "netD": "basic n_layers pixel", "netG": "resnet_9blocks resnet_6blocks unet_256 unet_128",
    "norm": "instance batch none", "init_type": "normal xavier kaiming orthogonal",
    "direction": "AtoB BtoA", "gan_mode": "lsgan vanilla wgangp",
    "preprocess": "resize_and_crop crop scale_width scale_width_and_crop none",
    "precision": "auto fp32 bf16", "compile": "auto on off",
}  # fmt: skip


def trainable() -> list[str]:
    return [name for name, model in MODELS.items() if model.trainable]


def parse(script: str, *words: str) -> dict:
    return vars(SCRIPTS[script]().parse(["--dataroot", "somewhere", *words]))


def assert_defaults(found: dict, expected: dict) -> None:
    different = {k: (found.get(k), v) for k, v in expected.items() if found.get(k) != v}
    assert different == {}
    assert all(
        type(found[k]) is type(v) or isinstance(v, (int, float)) for k, v in expected.items()
    )


@pytest.mark.parametrize("model", trainable())
def test_defaults_for_training(model):
    found = parse("train.py", "--model", model)
    assert_defaults(found, COMMON | TRAIN | {"model": model} | BY_MODEL.get(model, {}))
    assert found["isTrain"] is True


@pytest.mark.parametrize("model", MODELS)
def test_defaults_for_testing(model):
    changed = {"model": model, "serial_batches": True, "no_flip": True}
    own = {k: v for k, v in BY_MODEL.get(model, {}).items() if k not in TRAIN}
    crop = COMMON["crop_size"]
    expected = COMMON | TEST | changed | {"load_size": crop} | own
    assert_defaults(parse("test.py", "--model", model), expected)


def test_each_script_has_its_own_default_model():
    assert parse("train.py")["model"] == "cycle_gan"
    assert parse("test.py")["model"] == "test"
    assert parse("test.py")["isTrain"] is False


@pytest.mark.parametrize("script", SCRIPTS)
def test_load_size_of_a_test_follows_the_crop_size(script):
    found = parse(script, "--crop_size", "128")
    assert found["load_size"] == (128 if script == "test.py" else 286)
    assert parse(script, "--crop_size", "128", "--load_size", "144")["load_size"] == 144


@pytest.mark.parametrize("flag", CHOICES)
def test_every_choice_of_the_contract_is_taken(flag):
    for value in CHOICES[flag].split():
        assert parse("train.py", f"--{flag}", value)[flag] == value


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--gpu_ids", "-1"], "gpu_ids", []),
        (["--lr=1e-4"], "lr", 1e-4),
        (["--max_dataset_size", "7"], "max_dataset_size", 7),
        (["--max_dataset_size", "inf"], "max_dataset_size", INF),
        (["--no_flip"], "no_flip", True),
        (["--display_id", "0"], "display_id", 0),
        (["--n_epochs", "3"], "n_epochs", 3),
    ],
    ids=str,
)
def test_words_become_values(words, name, value):
    assert parse("train.py", *words)[name] == value


def test_the_command_line_is_read_where_no_words_are_given(monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", "--dataroot", "x", "--ngf", "12"])
    assert TrainOptions().parse().ngf == 12


@pytest.mark.parametrize(
    ("suffix", "name"),
    [("{model}_{netG}_size{load_size}", "x_cycle_gan_resnet_9blocks_size286"), ("b", "x_b")],
)
def test_suffix_is_filled_in_and_appended(suffix, name):
    assert parse("train.py", "--name", "x", "--suffix", suffix)["name"] == name


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_shows_every_flag(script, call):
    done = call(script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    own = TRAIN if script == "train.py" else TEST
    for model in MODELS.values():
        own = own | model.flags
    shown = set(re.findall(r"^  --(\w+)", done.stdout, re.MULTILINE))
    assert {"dataroot", *COMMON, *own} <= shown
    for choices in (CHOICES["netG"], CHOICES["norm"]):
        assert all(choice in done.stdout for choice in choices.split())


def test_the_block_of_options_has_its_usual_shape():
    opt = TrainOptions().parse(["--dataroot", "./datasets/selfie2anime", "--lr", "0.5"])
    first, *lines, last = describe(opt).splitlines()
    assert first == "----------------- Options ---------------"
    assert last == "----------------- End -------------------"
    shape = re.compile(r" *(\w+):(?: (.*?))? *(?:\t\[default: (.*)\])?")
    found = [shape.fullmatch(line).groups() for line in lines]
    assert [name for name, _, _ in found] == sorted(name for name, _, _ in found)
    assert {"dataroot", *COMMON, *TRAIN, *BY_MODEL["cycle_gan"]} <= {name for name, _, _ in found}
    assert ("dataroot", "./datasets/selfie2anime", "None") in found
    assert ("lr", "0.5", "0.0002") in found
    assert ("batch_size", "1", None) in found
    assert all(line.index(":") == 25 for line in lines)
    assert {name for name, _, default in found if default is not None} == {"dataroot", "lr"}


# --- what a run remembers ---------------------------------------------------------------------

UNUSUAL = ["--netG", "resnet_6blocks", "--ngf", "3", "--norm", "batch", "--crop_size", "24"]


@pytest.fixture(scope="module")
def unusual(tmp_path_factory, dataset):
    """A run whose networks are others than the defaults."""
    root = tmp_path_factory.mktemp("unusual")
    words = [*TINY_TRAIN, *UNUSUAL]
    done = call_in(root, "train.py", "--dataroot", dataset, "--name", "own", *words)
    assert done.returncode == 0, done.stderr
    return root


def test_testing_needs_no_flag_of_the_training(unusual, dataset):
    words = ["--dataroot", dataset / "testA", "--name", "own", "--gpu_ids", "-1"]
    done = call_in(unusual, "test.py", *words)
    assert done.returncode == 0, done.stderr
    for line in ("netG: resnet_6blocks", "ngf: 3", "norm: batch", "crop_size: 24", "load_size: 24"):
        assert re.search(rf"^ *{line}\b", done.stdout, re.MULTILINE)
    assert "note" not in done.stdout


def test_a_contradiction_is_told_in_one_line(unusual, dataset):
    words = ["--dataroot", dataset / "testA", "--name", "own", *TINY, "--ngf", "3", "--norm"]
    same = call_in(unusual, "test.py", *words, "batch", "--crop_size", "24")
    assert same.returncode == 0, same.stderr
    assert "note" not in same.stdout
    other = call_in(unusual, "test.py", *words, "batch", "--crop_size", "32")
    notes = [line for line in other.stdout.splitlines() if line.startswith("note")]
    assert len(notes) == 1
    assert all(word in notes[0] for word in ("--crop_size", "32", "own", "24"))
    assert other.returncode == 0


def test_a_contradiction_that_cannot_work_is_an_error(unusual, dataset):
    words = ["--dataroot", dataset / "testA", "--name", "own", "--gpu_ids", "-1", "--ngf", "4"]
    done = call_in(unusual, "test.py", *words)
    assert done.returncode == 2
    assert "latest_net_G_A.pth" in done.stderr
    assert "--ngf" in done.stderr


@pytest.mark.parametrize(
    ("restarts", "own", "goes_on"),
    [("1", "7", True), ("0", "7", False), ("1", "8", False), ("1", "", False)],
)
def test_a_job_that_slurm_queued_again_goes_on(restarts, own, goes_on, monkeypatch, tmp_path):
    """The same words, whatever beginning they named; but not with the run of another job."""
    monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
    monkeypatch.setattr("options.train_options.job", lambda: own)
    monkeypatch.setattr("options.train_options.saved_job_id", lambda folder: "7" if own else "")
    typed = {"init_from": "x", "epoch": "3", "n_epochs": 3}
    expected = {"n_epochs": 3, "continue_train": True} if goes_on else typed
    assert TrainOptions().restarted(tmp_path, typed) == expected
