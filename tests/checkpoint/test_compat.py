"""State dicts of other programs: what is converted, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.commands import TINY_TRAIN, ok
from helpers.runs import NETWORKS, equal, weights
from helpers.wrong_weights import norm_layers

from checkpoint.weights import load_weights
from models.networks import define_D, define_G
from util.errors import UserError

FILE = "latest_net_G_A.pth"
BUILDERS = {
    "ResNet": lambda norm: define_G(3, 3, 2, "resnet_6blocks", norm),
    "U-Net": lambda norm: define_G(3, 3, 2, "unet_128", norm),
    "PatchGAN": lambda norm: define_D(3, 2, "basic", norm=norm),
    "pixels": lambda norm: define_D(3, 2, "pixel", norm=norm),
}


def save(state: dict, tmp_path: Path) -> Path:
    torch.save(state, tmp_path / FILE)
    return tmp_path / FILE


def randomize(net: torch.nn.Module) -> dict:
    """Fill all parameters and buffers of ``net`` with random values; return its state dict."""
    for value in net.state_dict().values():
        value.random_(1, 9) if value.dtype == torch.int64 else value.uniform_(0.5, 2)
    return net.state_dict()


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_batch_norm_keeps_its_running_statistics(build, tmp_path, capsys):
    state = randomize(build("batch"))
    assert any(key.endswith("running_var") for key in state)
    net = build("batch")
    load_weights(net, save({f"module.{key}": value for key, value in state.items()}, tmp_path))
    assert equal(net.state_dict(), state)
    assert "running" not in capsys.readouterr().out


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_running_statistics_of_instance_norm_are_ignored(build, tmp_path, capsys):
    plain = randomize(build("instance"))
    running = {
        key: value for key, value in randomize(build("batch")).items()
        if key.split(".")[-1] in ("running_mean", "running_var", "num_batches_tracked")
    }  # fmt: skip
    net = build("instance")
    load_weights(net, save(plain | running, tmp_path))
    assert equal(net.state_dict(), plain)
    (line,) = capsys.readouterr().out.splitlines()
    assert line == (
        f"note: {tmp_path / FILE}: {len(running)} running statistics of instance norm ignored"
    )


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_affine_parameters_of_instance_norm_are_never_ignored(build, tmp_path):
    plain, batch = build("instance").state_dict(), build("batch").state_dict()
    scaled = {key: value for key, value in batch.items() if key not in plain and value.ndim == 1}
    scaled = {key: value for key, value in scaled.items() if key.endswith(("weight", "bias"))}
    with pytest.raises(UserError, match="cannot be represented"):
        load_weights(build("instance"), save(plain | scaled, tmp_path))


@pytest.mark.parametrize("norms", [("batch", "instance"), ("instance", "batch")], ids=str)
@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_another_norm_layer_names_the_option(build, norms, tmp_path):
    path = save(build(norms[0]).state_dict(), tmp_path)
    with pytest.raises(UserError, match="--norm") as refused:
        load_weights(build(norms[1]), path)
    assert "cannot be represented" not in str(refused.value)


def test_full_precision_prints_no_note(tmp_path, capsys):
    net = BUILDERS["ResNet"]("instance")
    load_weights(net, save(net.state_dict(), tmp_path))
    load_weights(net.double(), tmp_path / FILE)
    assert capsys.readouterr().out == ""


def test_control_characters_of_a_path_are_escaped(tmp_path, capsys):
    folder = tmp_path / "\x1b[31m"
    folder.mkdir()
    net = BUILDERS["pixels"]("instance")
    load_weights(net, save({f"module.{k}": v for k, v in net.state_dict().items()}, folder))
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--init_from", "{there}"], ["--continue_train"]], ids=str)
def test_a_training_starts_from_converted_weights(words, call, trained, dataset, tmp_path):
    name = "new" if "--init_from" in words else "there"
    there = tmp_path / "checkpoints" / "there"
    there.mkdir(parents=True)
    for net in NETWORKS:
        state = torch.load(trained / "tiny" / f"latest_net_{net}.pth")
        torch.save({f"module.{k}": v for k, v in state.items()}, there / f"latest_net_{net}.pth")
    words = [word.format(there=there) for word in words]
    words += ["--dataroot", dataset, "--name", name, *TINY_TRAIN, "--lr", "0"]
    done = ok(call("train.py", *words))
    notes = [line for line in done.stdout.splitlines() if "was removed" in line]
    assert [note.split(": ")[1] for note in notes] == [
        str(there / f"latest_net_{net}.pth") for net in NETWORKS
    ]
    assert equal(weights(tmp_path / "checkpoints" / name), weights(trained / "tiny"))


def test_the_helper_knows_the_norm_layers(trained):
    """The layers that `wrong_weights.rename` extends are instance norm."""
    layers = norm_layers(torch.load(trained / "tiny" / FILE))
    net = BUILDERS["ResNet"]("instance")
    assert len(layers) == 17
    assert all(net.get_submodule(name).num_features == n for name, n in layers.items())
