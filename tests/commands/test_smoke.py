"""The commands of scripts/smoke.sh: every model trains, really, and translates."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
from helpers.commands import ROOT, assert_complete, call_in, ok
from helpers.dataset_scripts import load_script

from data.transforms import PREPROCESS
from models import create_model
from options import TestOptions, TrainOptions
from options.base_options import user_options

#: As other people's scripts type them: not to be changed.
COMMANDS = r"""
python train.py --model cycle_gan --name temp_cyclegan --dataroot ./datasets/mini --n_epochs 1 --n_epochs_decay 0 --save_latest_freq 10 --print_freq 1 --display_id -1
python test.py --model test --name temp_cyclegan --dataroot ./datasets/mini --num_test 1 --model_suffix "_A" --no_dropout
python train.py --model pix2pix --name temp_pix2pix --dataroot ./datasets/mini_pix2pix --n_epochs 1 --n_epochs_decay 5 --save_latest_freq 10 --display_id -1
python test.py --model pix2pix --name temp_pix2pix --dataroot ./datasets/mini_pix2pix --num_test 1
python train.py --model template --name temp2 --dataroot ./datasets/mini_pix2pix --n_epochs 1 --n_epochs_decay 0 --save_latest_freq 10 --display_id -1
python test.py --model template --name temp2 --dataroot ./datasets/mini_pix2pix --num_test 1
python train.py --model colorization --name temp_colorization --dataroot ./datasets/mini_colorization --n_epochs 1 --n_epochs_decay 0 --save_latest_freq 5 --display_id -1
python test.py --model colorization --name temp_colorization --dataroot ./datasets/mini_colorization --num_test 1
""".strip().splitlines()  # noqa: E501
#: Appended to make them quick; the U-Nets of 256 pixels stay.
QUICK = ["--ngf", "2", "--gpu_ids", "-1", "--num_threads", "0", "--precision", "fp32"]
QUICK_TRAIN = [*QUICK, "--ndf", "2", "--load_size", "36", "--crop_size", "32"]
LAYOUTS = {"mini": "unaligned", "mini_pix2pix": "aligned", "mini_colorization": "colorization"}
#: The model that is trained → its networks, and what a test of it shows of one image.
MODELS = {
    "cycle_gan": (("G_A", "G_B", "D_A", "D_B"), ("real", "fake")),
    "pix2pix": (("G", "D"), ("real_A", "fake_B", "real_B")),
    "template": (("G",), ("real_A", "fake_B", "real_B")),
    "colorization": (("G", "D"), ("real_A", "fake_B_rgb", "real_B_rgb")),
}


def split(command: str) -> tuple[str, list[str]]:
    """The script and its words."""
    python, script, *words = shlex.split(command)
    assert python == "python"
    return script, words


def value(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with ``datasets``, as the script draws them."""
    home = tmp_path_factory.mktemp("smoke")
    for name, layout in LAYOUTS.items():
        folder = home / "datasets" / name
        folder.mkdir(parents=True)
        load_script("make_mini").draw_set(folder, 64, {"train": 4, "test": 2}, 0, layout)
    return home


def test_the_script_runs_these_commands():
    lines = (ROOT / "scripts" / "smoke.sh").read_text("utf-8").splitlines()
    assert [line for line in lines if re.match(r"python (train|test)\.py ", line)] == COMMANDS
    draw_image = dict(re.findall(r"^draw datasets/(\w+) (\w+)$", "\n".join(lines), re.MULTILINE))
    assert draw_image == LAYOUTS


def test_the_transcript_is_that_of_these_commands():
    lines = (ROOT / "docs" / "smoke.txt").read_text("utf-8").splitlines()
    found = [shlex.split(line[2:]) for line in lines if line.startswith("$ python t")]
    assert found == [shlex.split(command) for command in COMMANDS]


def test_the_transcript_shows_the_options_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no run to remember
    text = (ROOT / "docs" / "smoke.txt").read_text("utf-8")
    blocks = re.findall(r"-- Options --+\n(.*?)\n-+ End --", text, re.DOTALL)
    assert len(blocks) == len(COMMANDS)
    for command, block in zip(COMMANDS, blocks, strict=True):
        script, typed = split(command)
        opt = (TrainOptions if script == "train.py" else TestOptions)().parse(typed)
        names = re.findall(r"^ *(\w+):", block, re.MULTILINE)
        assert names == sorted(user_options(opt)), f"{command}: run scripts/smoke.sh again"


def test_the_ways_to_bring_images_to_size_are_explained(capsys):
    with pytest.raises(SystemExit):
        TrainOptions().parse(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    rows = (ROOT / "README.md").read_text("utf-8").splitlines()
    for name, mode in PREPROCESS.items():
        assert f"{name}: {mode.help}" in told
        assert any(row.startswith(f"| `{name}` |") for row in rows)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_trains_and_translates(model, home, tmp_path, monkeypatch):
    """Every kernel of every network moves; a bias may not, where a norm takes it away."""
    at = list(MODELS).index(model) * 2
    (train, typed), (test, asked) = map(split, COMMANDS[at : at + 2])
    assert (train, value(typed, "--model"), test) == ("train.py", model, "test.py")
    monkeypatch.chdir(home)
    networks, labels = MODELS[model]
    ok(call_in(tmp_path, train, *typed, *QUICK_TRAIN))
    fresh = create_model(TrainOptions().parse([*typed, *QUICK_TRAIN]))
    assert tuple(fresh.networks) == networks
    folder = tmp_path / "checkpoints" / value(typed, "--name")
    for name, net in fresh.networks.items():
        learned = torch.load(folder / f"latest_net_{name}.pth", weights_only=True)
        kernels = {key: weight for key, weight in net.named_parameters() if weight.dim() > 1}
        assert [key for key, was in kernels.items() if torch.equal(was, learned[key])] == [], name
    ok(call_in(tmp_path, test, *asked, *QUICK))
    page = tmp_path / "results" / value(asked, "--name") / "test_latest" / "index.html"
    assert_complete(page)
    shown = {path.name.split("_", 1)[1] for path in (page.parent / "images").rglob("*.png")}
    assert shown == {f"{label}.png" for label in labels}
