"""Options: flags and defaults, ``--help``, the printed block, and inherited options."""

from __future__ import annotations

import math
import re

import pytest
from helpers.commands import TINY, TINY_TRAIN, call_in
from helpers.refusals import failures

from models import MODELS
from options import ExportOptions, TestOptions, TrainOptions
from options.base_options import format_options
from options.parser import command_line_words, format_value

SCRIPTS = {"train.py": TrainOptions, "test.py": TestOptions}
INF = math.inf

COMMON = {
    "name": "experiment_name",
    "gpu_ids": [0],
    "checkpoints_dir": "./checkpoints",
    "model": "cycle_gan",
    "input_nc": 3,
    "output_nc": 3,
    "ngf": 64,
    "ndf": 64,
    "netD": "basic",
    "netG": "resnet_9blocks",
    "n_layers_D": 3,
    "norm": "instance",
    "init_type": "normal",
    "init_gain": 0.02,
    "no_dropout": False,
    "dataset_mode": "unaligned",
    "direction": "AtoB",
    "serial_batches": False,
    "num_threads": 4,
    "batch_size": 1,
    "load_size": 286,
    "crop_size": 256,
    "max_dataset_size": INF,
    "preprocess": "resize_and_crop",
    "no_flip": False,
    "display_winsize": 256,
    "epoch": "latest",
    "load_iter": 0,
    "verbose": False,
    "suffix": "",
    "seed": 0,
    "precision": "auto",
    "compile": "auto",
    "bit_depth": 8,
}
TRAIN = {
    "display_freq": 400,
    "display_ncols": 4,
    "display_id": 1,
    "display_server": "http://localhost",
    "display_env": "main",
    "display_port": 8097,
    "update_html_freq": 1000,
    "print_freq": 100,
    "no_html": False,
    "save_latest_freq": 5000,
    "save_epoch_freq": 5,
    "save_by_iter": False,
    "continue_train": False,
    "epoch_count": 1,
    "phase": "train",
    "n_epochs": 100,
    "n_epochs_decay": 100,
    "beta1": 0.5,
    "lr": 0.0002,
    "gan_mode": "lsgan",
    "pool_size": 50,
    "lr_policy": "linear",
    "lr_decay_iters": 50,
}
TEST = {
    "results_dir": "./results/",
    "aspect_ratio": 1.0,
    "phase": "test",
    "eval": False,
    "keep_size": False,
    "num_test": INF,
}
BY_MODEL = {
    "cycle_gan": {"lambda_A": 10, "lambda_B": 10, "lambda_identity": 0.5, "no_dropout": True},
    "pix2pix": {
        "lambda_L1": 100,
        "norm": "batch",
        "netG": "unet_256",
        "dataset_mode": "aligned",
        "pool_size": 0,
        "gan_mode": "vanilla",
    },
    "template": {"dataset_mode": "aligned", "lambda_regression": 1.0},
    "test": {"model_suffix": "", "dataset_mode": "single"},
}
BY_MODEL["colorization"] = {
    **BY_MODEL["pix2pix"],
    "dataset_mode": "colorization",
    "input_nc": 1,
    "output_nc": 2,
}
CHOICES = {
    "netD": "basic n_layers pixel",
    "netG": "resnet_9blocks resnet_6blocks unet_256 unet_128",
    "norm": "instance batch none",
    "init_type": "normal xavier kaiming orthogonal",
    "direction": "AtoB BtoA",
    "gan_mode": "lsgan vanilla wgangp",
    "preprocess": "resize_and_crop crop scale_width scale_width_and_crop none",
    "precision": "auto fp32 bf16",
    "compile": "auto on off",
}
#: Common flags that have no effect on test.py.
TRAINING_ONLY = {
    "serial_batches",
    "no_flip",
    "netD",
    "ndf",
    "n_layers_D",
    "init_type",
    "init_gain",
}


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
def test_every_documented_choice_is_accepted(flag):
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
def test_words_are_converted_to_values(words, name, value):
    assert parse("train.py", *words)[name] == value


def test_the_command_line_is_read_by_default(monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", "--dataroot", "x", "--ngf", "12"])
    assert TrainOptions().parse().ngf == 12


@pytest.mark.parametrize(
    ("suffix", "name"),
    [("{model}_{netG}_size{load_size}", "x_cycle_gan_resnet_9blocks_size286"), ("b", "x_b")],
)
def test_suffix_is_filled_in_and_appended(suffix, name):
    assert parse("train.py", "--name", "x", "--suffix", suffix)["name"] == name


def flags_in_help(call, script: str) -> set[str]:
    done = call(script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    return set(re.findall(r"^  --(\w+)", done.stdout, re.MULTILINE))


def model_flags(*, is_trainable: bool) -> set[str]:
    return {
        name for model in MODELS.values() if model.trainable == is_trainable for name in model.flags
    }


def test_help_of_train_shows_every_flag_that_it_takes(call):
    expected = {"dataroot", *COMMON, *TRAIN, *model_flags(is_trainable=True)}
    shown = flags_in_help(call, "train.py")
    assert expected <= shown
    assert not shown & model_flags(is_trainable=False)


def test_help_of_test_shows_every_flag_that_has_an_effect(call):
    expected = {"dataroot", *COMMON, *TEST, *model_flags(is_trainable=False)}
    shown = flags_in_help(call, "test.py")
    assert expected - shown == TRAINING_ONLY
    assert not shown & {*TRAIN, *model_flags(is_trainable=True)} - {"phase"}


def test_test_accepts_flags_of_the_training():
    words = ["--model", "cycle_gan", "--lambda_A", "3", "--netD", "pixel", "--no_flip"]
    found = parse("test.py", *words)
    assert (found["lambda_A"], found["netD"], found["no_flip"]) == (3, "pixel", True)


def test_help_of_export_shows_only_flags_that_select_the_generator(capsys):
    with pytest.raises(SystemExit) as stop:
        ExportOptions().parse(["--help"])
    assert stop.value.code == 0
    shown = set(re.findall(r"^  --(\w+)", capsys.readouterr().out, re.MULTILINE))
    assert {"name", "epoch", "direction", "netG", "model_suffix", "output"} <= shown
    assert not shown & {"dataroot", "num_test", "batch_size", "lambda_A", "netD", "results_dir"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_opens_with_a_short_usage_and_ends_with_examples(script, call):
    lines = call(script, "--help").stdout.rstrip().splitlines()
    assert lines[0] == f"usage: {script} --dataroot DIR --name NAME [options]"
    assert lines[1] == ""
    examples = lines[lines.index("examples:") + 1 :]
    assert len(examples) >= 2
    assert all(line.startswith(f"  python {script} ") for line in examples)
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("script", SCRIPTS)
def test_examples_in_the_help_are_valid(script, tmp_path):
    options = SCRIPTS[script]
    for line in options.examples.splitlines()[1:]:
        words = line.split()[2:]
        if "--continue_train" not in words:
            options().parse([*words, "--checkpoints_dir", str(tmp_path)])


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_groups_flags(script, call):
    text = call(script, "--help").stdout
    titles = [line[:-1] for line in text.splitlines() if re.fullmatch(r"[a-z ]+:", line)]
    common = ["run", "data", "image preprocessing", "networks", "device and speed"]
    own = {
        "train.py": ["training", "learning rate", "losses", "saving and resuming"],
        "test.py": ["weights", "results"],
    }[script]
    assert {*common, *own} <= set(titles)
    assert len(titles) == len(set(titles))


def test_help_names_choices_and_models_that_can_be_trained(call):
    text = " ".join(call("train.py", "--help").stdout.split())
    for flag in ("netG", "norm"):
        assert f"({' | '.join(CHOICES[flag].split())})" in text
    assert f"({' | '.join(trainable())})" in text


# --- messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["./folder"], "unexpected word './folder': for the dataset type --dataroot ./folder; "),
        (["my data"], "for the dataset type --dataroot 'my data'; put a value"),
        (["--dataroot", "my", "data"], "'data': put a value that contains spaces in quotes"),
        (["--name", "-dash"], "--name: expected one argument; if its value starts with '-', type"),
        (["--name", "-dash"], "type --name=VALUE"),
        (["--dataroot", "x", "--model", "test"], "--model test cannot be trained; use it with"),
        (["--dataroot", "x", "--name", "a\udcff"], "--name 'a\\udcff': is not valid Unicode"),
    ],
    ids=str,
)
def test_invalid_words_are_explained(words, says, capsys):
    with pytest.raises(SystemExit) as stop:
        TrainOptions().parse(words)
    assert stop.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "training without --no_html: dominate is not installed; pip install dominate"),
        (["--no_html", "--tensorboard"], "--tensorboard: tensorboard is not installed; pip"),
        (["--no_html", "--use_wandb"], "--use_wandb: wandb is not installed; pip install wandb"),
    ],
    ids=str,
)
def test_missing_packages_are_named(words, says, monkeypatch, capsys):
    monkeypatch.setattr("util.packages.find_spec", lambda package: None)
    with pytest.raises(SystemExit):
        TrainOptions().parse(["--dataroot", "x", *words])
    assert says in capsys.readouterr().err
    assert parse("train.py", "--no_html")["no_html"]


@pytest.mark.parametrize("name", ["a//b", "a/./b", "./a/b/"])
def test_a_name_has_one_spelling(name):
    assert parse("train.py", "--name", name)["name"] == "a/b"


def test_a_name_may_start_with_a_dash():
    assert parse("train.py", "--name=-dash")["name"] == "-dash"


def test_typed_words_give_the_same_options():
    explicit = {"name": "-dash", "gpu_ids": [], "no_flip": True, "lr": 0.5, "dataroot": "a b"}
    words = command_line_words(explicit)
    assert TrainOptions().parse(words).explicit == explicit


def test_several_gpus_without_torchrun_print_the_command_to_type(capsys):
    with pytest.raises(SystemExit):
        TrainOptions().parse(["--dataroot", "a b", "--name=-dash", "--gpu_ids", "0,1"])
    command = "torchrun --nproc_per_node=2 train.py --dataroot 'a b' --name=-dash --gpu_ids 0,1"
    assert command in capsys.readouterr().err


@pytest.mark.parametrize(("value", "text"), [([0, 1], "0,1"), ([], "-1"), (INF, "inf")])
def test_values_are_printed_as_typed(value, text):
    assert format_value(value) == text


def test_the_block_of_options_has_its_usual_shape():
    opt = TrainOptions().parse(["--dataroot", "./datasets/selfie2anime", "--lr", "0.5"])
    first, *lines, last = format_options(opt).splitlines()
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


# --- inherited options ----------------------------------------------------------------------------

UNUSUAL = ["--netG", "resnet_6blocks", "--ngf", "3", "--norm", "batch", "--crop_size", "24"]


@pytest.fixture(scope="module")
def unusual(tmp_path_factory, dataset):
    """A run whose networks differ from the defaults."""
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


def test_a_differing_option_is_reported_in_one_line(unusual, dataset):
    words = ["--dataroot", dataset / "testA", "--name", "own", *TINY, "--ngf", "3", "--norm"]
    same = call_in(unusual, "test.py", *words, "batch", "--crop_size", "24")
    assert same.returncode == 0, same.stderr
    assert "note" not in same.stdout

    other = call_in(unusual, "test.py", *words, "batch", "--crop_size", "32")
    notes = [line for line in other.stdout.splitlines() if line.startswith("note")]
    assert notes == ["note: --crop_size 32 from the command line; own was trained with 24"]
    assert other.returncode == 0


def test_an_option_that_does_not_fit_the_weights_is_an_error(unusual, dataset):
    words = ["--dataroot", dataset / "testA", "--name", "own", "--gpu_ids", "-1", "--ngf", "4"]
    done = call_in(unusual, "test.py", *words)
    failures(done, ("latest_net_G_A.pth", "--ngf"))


@pytest.mark.parametrize(
    ("restarts", "own_job", "is_resumed"),
    [("1", "7", True), ("0", "7", False), ("1", "8", False), ("1", "", False)],
)
def test_a_job_requeued_by_slurm_resumes_its_run(
    restarts, own_job, is_resumed, monkeypatch, tmp_path
):
    """The same command line resumes the run of its own job, but not that of another job."""
    monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
    monkeypatch.setattr("options.train_options.job_id", lambda: own_job)
    monkeypatch.setattr("options.train_options.saved_job_id", lambda folder: "7" if own_job else "")
    explicit = {"init_from": "x", "epoch": "3", "n_epochs": 3}
    expected = {"n_epochs": 3, "continue_train": True} if is_resumed else explicit
    assert TrainOptions().adapt_to_restart(tmp_path, explicit) == expected
