"""Generators as ONNX: the same images as PyTorch at any size, and the metadata of the file."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers.commands import ROOT, TINY, call_in, draw_image, ok, run_in
from helpers.refusals import failures, files_below
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from export.dynamic_padding import DynamicPadding
from models.networks import define_G
from models.networks.layers import forward_padded

pytestmark = pytest.mark.slow

EXPORT = ["scripts/export.py", *TINY]
AS_EVAL = "exported as with --eval: running statistics in batch norm, no dropout"
#: None of these sizes is used for the comparison during the export.
SHAPES = [(1, 8, 8), (3, 253, 257), (2, 192, 320), (1, 3, 50), (1, 1, 9)]


class Flipped(nn.Module):
    """Moves the padded pixels into the visible part of the output."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flip((2, 3))


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([(4, 8), (32, 32), (4, 6), (1, 1)]))
def test_dynamic_padding_is_reflection_padding(height, width, sides):
    x, net = torch.randn(2, 3, height, width), Flipped()
    stride, min_size = sides
    min_size = -(-min_size // stride) * stride
    assert torch.equal(DynamicPadding(net, *sides)(x), forward_padded(net, x, stride, min_size))


@dataclass(frozen=True)
class Architecture:
    """Arguments of `define_G`, and the same as flags."""

    input_nc: int
    output_nc: int
    generator: str
    norm: str
    use_dropout: bool
    depends_on_mode: bool

    def net(self) -> nn.Module:
        """A network whose output depends on every layer, with running statistics of batch norm."""
        torch.manual_seed(0)
        channels = (self.input_nc, self.output_nc)
        options = (2, self.generator, self.norm, self.use_dropout, "kaiming")  # ngf first
        net = define_G(*channels, *options, init_gain=0.7)
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 2)
        return net

    def flags(self) -> list[str]:
        channels = ["--input_nc", str(self.input_nc), "--output_nc", str(self.output_nc)]
        return [*channels, "--netG", self.generator, "--norm", self.norm] + (
            [] if self.use_dropout else ["--no_dropout"]
        )


NETWORKS = {
    "ResNet, instance norm": Architecture(3, 3, "resnet_6blocks", "instance", False, False),
    "ResNet, batch norm, gray": Architecture(1, 1, "resnet_6blocks", "batch", True, True),
    "U-Net, instance norm, to gray": Architecture(3, 1, "unet_128", "instance", False, False),
    "U-Net, batch norm": Architecture(3, 3, "unet_128", "batch", True, True),
}
LAYOUTS = {(3, 3): "NCHW, RGB", (1, 1): "NCHW, gray", (3, 1): "NCHW, RGB to gray"}


def run_onnx(file: Path, real: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (fake,) = session.run(["fake"], {"real": real.numpy()})
    return fake


def run_pytorch(net: nn.Module, real: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return net.eval()(real).numpy()


def metadata(file: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(file).metadata_props}


@pytest.mark.parametrize("architecture", NETWORKS.values(), ids=NETWORKS)
def test_onnx_file_computes_the_same_images(architecture, call, tmp_path):
    folder = tmp_path / "checkpoints" / "run"
    folder.mkdir(parents=True)
    net = architecture.net()
    torch.save(net.state_dict(), folder / "latest_net_G_A.pth")
    done = ok(call(*EXPORT, "--name", "run", *architecture.flags()))
    assert (AS_EVAL in done.stdout.splitlines()) == architecture.depends_on_mode
    file = folder / "latest_net_G_A.onnx"
    onnx.checker.check_model(onnx.load(file), full_check=True)
    for n, *size in SHAPES:
        real = torch.rand(n, architecture.input_nc, *size) * 2 - 1
        fake, expected = run_onnx(file, real), run_pytorch(net, real)
        assert fake.shape == (n, architecture.output_nc, *size)
        assert np.abs(fake - expected).max() < 1e-3
    assert metadata(file)["layout"] == LAYOUTS[architecture.input_nc, architecture.output_nc]


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The tiny run, exported in both directions, once as a process: folder, finished commands."""
    root = tmp_path_factory.mktemp("exported")
    (root / "checkpoints").symlink_to(trained)
    printed = {}
    for way, command in (("AtoB", run_in), ("BtoA", call_in)):
        words = ["--name", "tiny", "--direction", way, "--output", root / "new" / f"{way}.onnx"]
        printed[way] = command(root, *EXPORT, *words)
    return root / "new", printed


def test_only_our_lines_are_printed(exported):
    folder, printed = exported
    for way, name in (("AtoB", "G_A"), ("BtoA", "G_B")):
        assert ok(printed[way]).stderr == ""
        loaded, size, difference, written = printed[way].stdout.splitlines()
        assert loaded.endswith(f"latest_net_{name}.pth")
        assert size.startswith("[Network G]")
        found = re.search(r"PyTorch: (\S+) at 1×3×64×64, 2×3×61×73, 1×3×8×13$", difference)
        assert 0 < float(found[1]) < 1e-3
        assert written.endswith(f"MB written to {folder / way}.onnx: {way}, real → fake")


def test_each_direction_is_its_generator(exported, trained):
    real = torch.rand(1, 3, 40, 56) * 2 - 1
    for way, name in (("AtoB", "G_A"), ("BtoA", "G_B")):
        net = define_G(3, 3, 2, "resnet_6blocks", "instance")
        net.load_state_dict(torch.load(trained / "tiny" / f"latest_net_{name}.pth"))
        for file in exported[0].iterdir():
            difference = np.abs(run_onnx(file, real) - run_pytorch(net, real)).max()
            assert (difference < 1e-3) == (file.stem == way)


def test_metadata(exported):
    found = metadata(exported[0] / "BtoA.onnx")
    options = json.loads(found.pop("options"))
    assert found == {
        "direction": "BtoA",
        "range": "[-1, 1]",
        "layout": "NCHW, RGB",
        "run": "tiny",
        "epoch": "latest",
        "torch": torch.__version__,
    }
    assert options == {
        "netG": "resnet_6blocks",
        "ngf": 2,
        "norm": "instance",
        "no_dropout": True,
        "upsample": "transpose",
        "skip": "none",
        "residual": "off",
        "preset": "classic",
        "input_nc": 3,
        "output_nc": 3,
        "crop_size": 32,
        "bit_depth": 8,
        "preprocess": "resize_and_crop",
    }


def test_moving_average_has_the_direction_of_its_generator(trained, call, tmp_path):
    folder = tmp_path / "checkpoints" / "tiny"
    shutil.copytree(trained / "tiny", folder)
    shutil.copy(folder / "latest_net_G_B.pth", folder / "latest_net_G_B_ema.pth")
    ok(call(*EXPORT, "--name", "tiny", "--direction", "BtoA", "--ema"))
    assert metadata(folder / "latest_net_G_B_ema.onnx")["direction"] == "BtoA"


def test_graph_has_dynamic_axes_and_standard_operators(exported):
    model = onnx.load(exported[0] / "AtoB.onnx")
    sides = {
        value.name: value.type.tensor_type.shape.dim
        for value in (*model.graph.input, *model.graph.output)
    }
    assert list(sides) == ["real", "fake"]
    for dimensions in sides.values():
        assert [d.dim_param or d.dim_value for d in dimensions] == ["batch", 3, "height", "width"]
    operations = [node.op_type for node in model.graph.node]
    assert operations.count("InstanceNormalization") == 17
    assert {node.domain for node in model.graph.node} == {""}
    assert str(ROOT).encode() not in model.SerializeToString()


def test_the_readme_example_runs(exported, tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    (example,) = (block for block in blocks if "onnxruntime" in block)
    monkeypatch.chdir(tmp_path)
    draw_image("photo", (50, 41)).save("photo.jpg")
    Path("my_run.onnx").symlink_to(exported[0] / "AtoB.onnx")
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102
    with Image.open("translated.png") as image:
        assert (image.mode, image.size) == ("RGB", (50, 41))
        fake = run_onnx(exported[0] / "AtoB.onnx", read_as_batch(Path("photo.jpg")))
        expected = (fake[0].transpose(1, 2, 0) + 1) * 127.5
        assert np.abs(np.asarray(image) - expected).max() <= 0.51


def read_as_batch(photo: Path) -> torch.Tensor:
    with Image.open(photo) as image:
        pixels = torch.tensor(np.asarray(image)).permute(2, 0, 1)
    return pixels[None] / 127.5 - 1


@pytest.fixture
def refuse(call, trained, tmp_path):
    """Assert that the export of the tiny run is refused and leaves no file behind."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "tiny").symlink_to(trained / "tiny")

    def check(*words, says: tuple[str, ...]) -> None:
        before = files_below(tmp_path), files_below(trained)
        failures(call(*EXPORT, "--name", "tiny", *words), says)
        assert (files_below(tmp_path), files_below(trained)) == before

    return check


def test_missing_packages_are_named(refuse, monkeypatch):
    monkeypatch.setattr("util.packages.find_spec", lambda name: None if "onnx" in name else name)
    refuse(says=("scripts/export.py", "pip install onnx onnxscript onnxruntime"))


def test_missing_runs_and_weights(refuse):
    refuse("--name", "huge", says=("checkpoints/huge", "--name", "tiny"))
    refuse("--epoch", "7", says=("7_net_G_A.pth", "--epoch"))
    refuse("--netG", "unet_128", says=("latest_net_G_A.pth", "--netG"))


def test_flags_without_meaning_are_refused(refuse):
    refuse("--model", "cycle_gan", says=("--model cycle_gan", "leave it out"))
    refuse("--outptu", "x", says=("--outptu", "--output"))


def test_unwritable_files_are_refused(refuse, tmp_path):
    (tmp_path / "in_the_way").touch()
    refuse("--output", tmp_path, says=(f"--output {tmp_path} is a folder",))
    refuse("--output", tmp_path / "in_the_way" / "x", says=("--output", "in_the_way", "another"))


@pytest.mark.parametrize("through_link", [False, True])
def test_special_files_are_refused_before_the_conversion(
    through_link, refuse, tmp_path, monkeypatch
):
    """Replacing a device node, as root, would damage the system; a pipe is as special."""
    monkeypatch.delattr("export.generator.convert")
    output = pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    if through_link:
        output = tmp_path / "link"
        output.symlink_to(pipe)

    refuse("--output", output, says=(f"--output {output}", "special file", "regular file"))
    assert pipe.is_fifo()


def test_output_is_written_through_a_link(exported, trained, call, tmp_path):
    (tmp_path / "checkpoints").symlink_to(trained)
    link = tmp_path / "link.onnx"
    link.symlink_to(tmp_path / "real.onnx")
    ok(call(*EXPORT, "--name", "tiny", "--output", link))
    assert link.is_symlink()
    assert metadata(tmp_path / "real.onnx") == metadata(exported[0] / "AtoB.onnx")


def test_direction_of_a_single_generator_is_fixed(refuse, trained, tmp_path):
    folder = tmp_path / "checkpoints" / "pairs"
    folder.mkdir()
    for kept, source in (("latest_net_G.pth", "latest_net_G_A.pth"), ("train_opt.json",) * 2):
        (folder / kept).write_bytes((trained / "tiny" / source).read_bytes())
    refuse("--name", "pairs", "--direction", "BtoA", says=("--direction BtoA", "AtoB", "leave it"))
    refuse("--model_suffix", "_A", "--direction", "BtoA", says=("--direction BtoA", "net_G_A"))


@pytest.mark.parametrize("difference", [0.5, float("nan")])
def test_a_file_that_differs_is_not_written(difference, refuse, monkeypatch):
    monkeypatch.setattr("export.generator.max_difference", lambda *_: difference)
    refuse(says=("differs from PyTorch", str(difference), "0.001", "2×3×61×73"))


def test_exporter_errors_are_one_line(refuse, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no such operation\nand a page of advice")

    monkeypatch.setattr("torch.onnx.export", fail)
    refuse(says=("cannot be written as ONNX: no such operation",))


def test_a_full_disk(refuse, tmp_path, monkeypatch):
    def no_space(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", no_space)
    refuse("--output", tmp_path / "x.onnx", says=("x.onnx", "No space left", "--output"))
