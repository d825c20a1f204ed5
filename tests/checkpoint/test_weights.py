"""Weights files that are damaged, malicious, or of another format."""

from __future__ import annotations

import pickle
import time
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

from checkpoint.networks import load_available_networks, load_networks, save_networks
from checkpoint.weights import EMA_SUFFIX, find_weights, load_weights, read_state_dict, weights_path
from models.networks import define_D
from util.errors import UserError

FILE = "latest_net_D_A.pth"
MAX_MESSAGE_LENGTH = 200  # characters, without the path
MAX_SECONDS = 3.0  # to refuse a file


def discriminator() -> nn.Module:
    return define_D(3, 2, "pixel", norm="instance")


def save(state: object, folder: Path) -> Path:
    torch.save(state, folder / FILE)
    return folder / FILE


class WithAttributes:
    """Is unpickled as an OrderedDict of ``state`` with ``attributes``."""

    def __init__(self, state: dict, attributes: dict):
        self.state = state
        self.attributes = attributes

    def __reduce__(self):
        return OrderedDict, (), self.attributes, None, iter(self.state.items())


@pytest.mark.parametrize(
    "attributes",
    [
        {"values": 5, "items": 5, "keys": 5},
        {"_metadata": 5},
        {"_metadata": [1]},
        {"_metadata": {"": 5}},
        {"_metadata": {"": {"version": "new"}}},
    ],
    ids=str,
)
def test_attributes_of_a_state_dict_are_ignored(attributes, tmp_path):
    state = discriminator().state_dict()
    net = discriminator()
    load_weights(net, save(WithAttributes(state, attributes), tmp_path))
    loaded = net.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=str)
def test_a_file_cannot_change_the_precision_of_a_network(dtype, tmp_path):
    assign = {"assign_to_params_buffers": True}
    names = ["", *(name for name, _ in discriminator().named_modules())]
    state = {key: value.to(dtype) for key, value in discriminator().state_dict().items()}
    metadata = {"_metadata": dict.fromkeys(names, assign)}
    net = discriminator()
    load_weights(net, save(WithAttributes(state, metadata), tmp_path))
    assert {value.dtype for value in net.state_dict().values()} == {torch.float32}
    net(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("key", ["\x1b[31mnet.0.weight", "net.0.\x9b2Jweight", "a\nb", "\u202ea"])
def test_control_characters_in_keys_are_escaped(key, tmp_path):
    state = discriminator().state_dict()
    for states in ({**state, key: torch.zeros(1)}, {key: torch.zeros(1)}):
        with pytest.raises(UserError) as refused:
            load_weights(discriminator(), save(dict(states), tmp_path))
        assert str(refused.value).isprintable()


def nested_lists(depth: int) -> bytes:
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


def write_nested_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", nested_lists(2_000_000))
        archive.writestr("archive/version", "3\n")


def write_nested_legacy_file(path: Path) -> None:
    header = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    content = b"".join(pickle.dumps(part, protocol=2) for part in header)
    path.write_bytes(content + nested_lists(2_000_000))


@pytest.mark.parametrize("write", [write_nested_archive, write_nested_legacy_file])
def test_deeply_nested_lists_are_refused_quickly(write, tmp_path):
    write(tmp_path / FILE)
    start = time.monotonic()
    with pytest.raises(UserError, match="too many parts"):
        read_state_dict(tmp_path / FILE)
    assert time.monotonic() - start < MAX_SECONDS


def test_a_large_state_dict_is_not_refused(tmp_path):
    state = {f"layers.{i}.weight": torch.zeros(1) for i in range(3000)}
    assert len(read_state_dict(save(state, tmp_path))) == len(state)


def write_torchscript(path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 2, 2)), path)


def write_later_format(path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, b"99\n" if name.endswith("/version") else content)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("write", [write_torchscript, write_later_format])
def test_reasons_of_torch_are_short(write, tmp_path):
    write(tmp_path / FILE)
    with pytest.raises(UserError, match="cannot be read as weights") as refused:
        read_state_dict(tmp_path / FILE)
    message = str(refused.value).replace(str(tmp_path / FILE), "")
    assert len(message) < MAX_MESSAGE_LENGTH
    assert "\n" not in message


# --- files of several networks -------------------------------------------------------------------


def equal(first: nn.Module, second: nn.Module) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[key]) for key, value in first.state_dict().items())


def test_networks_are_saved_and_loaded_by_name(tmp_path):
    saved = {"D_A": discriminator(), "D_B": discriminator()}
    save_networks(saved, tmp_path, "latest")
    assert set(find_weights(tmp_path, "latest")) == set(saved)
    assert weights_path(tmp_path, "latest", "D_A").name == FILE
    loaded = {"D_A": discriminator(), "D_B": discriminator()}
    load_networks(loaded, tmp_path, "latest")
    assert all(equal(saved[name], loaded[name]) for name in saved)


def test_missing_networks_are_an_error_or_skipped(tmp_path):
    saved = discriminator()
    save_networks({"D_A": saved}, tmp_path, 3)
    networks = {"D_A": discriminator(), "D_A" + EMA_SUFFIX: discriminator()}
    assert load_available_networks(networks, tmp_path, 3) == ["D_A"]
    assert equal(networks["D_A"], saved)
    assert load_available_networks(networks, tmp_path / "none", 3) == []
    with pytest.raises(UserError, match=r"no weights 3_net_D_A_ema\.pth"):
        load_networks(networks, tmp_path, 3)
