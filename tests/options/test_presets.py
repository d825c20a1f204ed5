"""``--preset``: what it sets, what wins over it, and what later commands make of it."""

from __future__ import annotations

import pytest
from helpers.commands import TINY_TRAIN, call_in, make_image_set, ok

from models import MODELS
from options import TestOptions, TrainOptions
from options.parser import command_line_words, is_valid
from options.presets import PRESETS

NAMES = [name for name in PRESETS if name != "classic"]


def parse(*words: str):
    return TrainOptions().parse(["--dataroot", ".", "--gpu_ids", "-1", *words])


def test_classic_is_the_default_and_changes_nothing():
    assert PRESETS["classic"].options == {}
    assert parse().preset == "classic"


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_sets_its_options(name):
    flags = {**TrainOptions().flags(), **MODELS["cycle_gan"].flags}
    opt, classic = parse("--preset", name), parse()
    for option, value in PRESETS[name].options.items():
        assert is_valid(flags[option], value)
        assert vars(opt)[option] == value != vars(classic)[option]

    changed = {key for key, value in vars(opt).items() if vars(classic)[key] != value}
    assert changed == {"preset", "explicit", *PRESETS[name].options}


@pytest.mark.parametrize("name", NAMES)
def test_typed_options_win(name):
    classic = vars(parse())
    for option in PRESETS[name].options:
        typed = command_line_words({option: classic[option]})
        assert vars(parse("--preset", name, *typed))[option] == classic[option]
        assert vars(parse(*typed, "--preset", name))[option] == classic[option]


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_the_options(name, capsys):
    with pytest.raises(SystemExit):
        TrainOptions().parse(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"{name}: {PRESETS[name].help}" in text


@pytest.mark.parametrize("model", [name for name in MODELS if MODELS[name].trainable])
def test_other_models_refuse_the_options_of_cycle_gan(model, capsys):
    words = ["--preset", NAMES[0], "--model", model]
    if model == "cycle_gan":
        assert parse(*words).model == model
        return
    with pytest.raises(SystemExit) as stopped:
        parse(*words)
    assert stopped.value.code == 2
    assert f"--preset {NAMES[0]}: has options of --model cycle_gan" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_a_run_keeps_its_preset(name, tmp_path):
    """Resumed with it, tested with its networks and their average; another one is refused."""
    dataset = make_image_set(tmp_path / "shapes", (3, 3, 2, 2))
    run = ["--name", "run", "--dataroot", str(dataset)]
    ok(call_in(tmp_path, "train.py", *run, *TINY_TRAIN, "--preset", name))
    resumed = [*run, "--continue_train", "--n_epochs_decay", "1"]
    ok(call_in(tmp_path, "train.py", *resumed))

    failed = call_in(tmp_path, "train.py", *resumed, "--preset", "classic")
    assert failed.returncode == 2
    assert "--preset classic" in failed.stderr
    assert f"was trained with {name}" in failed.stderr

    folder = ["--checkpoints_dir", str(tmp_path / "checkpoints")]
    tested = TestOptions().parse([*run, *folder, "--gpu_ids", "-1"])
    assert tested.ema == bool(PRESETS[name].options.get("ema"))
    plain = TestOptions().parse([*run, *folder, "--gpu_ids", "-1", "--preset", "classic"])
    assert not plain.ema
    for command in ("test.py", "evaluate.py"):
        words = ["--metrics", "l1"] if command == "evaluate.py" else []
        ok(call_in(tmp_path, command, *run, "--gpu_ids", "-1", *words))
