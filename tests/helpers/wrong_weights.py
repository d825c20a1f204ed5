"""Files of weights with which a command cannot work, and what it must say about them."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from pathlib import Path

import torch

from models.networks import define_G

FILE = "latest_net_G_A.pth"


class Evil:
    """Leaves a file behind when it is unpickled without care."""

    def __init__(self, where: Path):
        self.where = where

    def __reduce__(self):
        return Path.touch, (self.where / "pwned",)


def written(content: bytes):
    return lambda folder, trained: (folder / FILE).write_bytes(content)


def saved(value):
    return lambda folder, trained: torch.save(value, folder / FILE)


def cut(share: float):
    """The first part of good weights."""

    def make(folder: Path, trained: Path) -> None:
        whole = (trained / FILE).read_bytes()
        (folder / FILE).write_bytes(whole[: int(len(whole) * share)])

    return make


def evil(folder: Path, trained: Path) -> None:
    (folder / FILE).write_bytes(pickle.dumps({"model.1.weight": Evil(folder)}))


def evil_zip(folder: Path, trained: Path) -> None:
    torch.save({"model.1.weight": Evil(folder)}, folder / FILE)


def other_net(netG: str, ngf: int, norm: str = "instance"):
    """Weights of another network than the options describe."""

    def make(folder: Path, trained: Path) -> None:
        torch.save(define_G(3, 3, ngf, netG, norm).state_dict(), folder / FILE)

    return make


def good(folder: Path, trained: Path) -> dict:
    return torch.load(trained / FILE, weights_only=True)


def changed(one=lambda weight: weight, every=lambda weight: weight):
    """Good weights, every tensor changed, and the first one once more."""

    def make(folder: Path, trained: Path) -> None:
        state = {key: every(weight) for key, weight in good(folder, trained).items()}
        state["model.1.weight"] = one(state["model.1.weight"])
        torch.save(state, folder / FILE)

    return make


def renamed(name=lambda key: key, affine: bool = False, running: bool = False):
    """Good weights under other names; and what norm layers may have elsewhere, beside them."""

    def make(folder: Path, trained: Path) -> None:
        state = dict(good(folder, trained))
        for layer, width in norm_layers(state).items():
            if affine:
                state |= {f"{layer}.weight": torch.ones(width), f"{layer}.bias": torch.ones(width)}
            if running:
                state |= {f"{layer}.running_mean": torch.rand(width),
                          f"{layer}.running_var": torch.rand(width),
                          f"{layer}.num_batches_tracked": torch.tensor(7)}  # fmt: skip
        torch.save({name(key): value for key, value in state.items()}, folder / FILE)

    return make


def norm_layers(state: dict) -> dict[str, int]:
    """The layer after every convolution but the last, and its width."""
    biases = [key.rsplit(".", 2) for key in state if key.endswith(".bias")][:-1]
    return {
        f"{before}.{int(number) + 1}": len(state[f"{before}.{number}.bias"])
        for before, number, _ in biases
    }


def another_program(affine: bool):
    """Its layout is ours but for the name of a part of every block."""
    return renamed(lambda key: key.replace("conv_block", "block"), affine=affine)


def with_nan(weight: torch.Tensor) -> torch.Tensor:
    weight[-1, -1, -1, -1] = float("nan")
    return weight


def bomb(folder: Path, trained: Path) -> None:
    """A hundred megabytes in a hundred kilobytes."""
    with zipfile.ZipFile(folder / FILE, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(100_000_000))
        archive.writestr("archive/version", "3\n")


def only_discriminators(folder: Path, trained: Path) -> None:
    for name in ("latest_net_D_A.pth", "3_net_D_A.pth"):
        shutil.copy(trained / "latest_net_D_A.pth", folder / name)


#: name → flags, what fills the folder of the run, parts of the message
WEIGHTS = {
    "none at all": ([], lambda folder, trained: None, (FILE, "holds no weights")),
    "others": ([], only_discriminators, (FILE, "3, latest", "D_A")),
    "another generator": ([], other_net("resnet_9blocks", 2), (FILE, "--netG", "besides")),
    "another width": ([], other_net("resnet_6blocks", 3), (FILE, "--ngf", "(3, 3, 7, 7)")),
    "another norm": ([], other_net("resnet_6blocks", 2, "batch"), (FILE, "--norm", "lacks")),
    "a smaller generator": (
        ["--netG", "resnet_9blocks"], other_net("resnet_6blocks", 2), (FILE, "--netG", "lacks"),
    ),
    "another kind of generator": (
        ["--netG", "unet_128"], other_net("resnet_6blocks", 2),
        ("not one name fits", "model.1.weight, model.1.bias, … (36)", "model.model.0.weight",
         "give the --netG"),
    ),
    "norm with parameters": (
        [], renamed(affine=True),
        (FILE, "model.2.weight (and 16 more)", "instance norm has none", "cannot be represented"),
    ),
    "another program": (
        [], another_program(affine=False),
        ("model.10.block.1.weight (and 23 more)", "model.10.conv_block.1.weight (and 23 more)",
         "other names", "layout of another program"),
    ),
    "another program, norm with parameters": (
        [], another_program(affine=True),
        ("model.2.weight (and 4 more)", "cannot be represented", "model.10.block.1.weight",
         "model.10.conv_block.1.weight"),
    ),
    "another program, other names for all": (
        [], renamed(lambda key: f"net.{key}", running=True),
        ("not one name fits", "net.model.1.weight, net.model.1.bias, … (87)", "(36)", "layout"),
    ),
    "a prefix on some": (
        [], renamed(lambda key: key if key.startswith("model.1.") else f"module.{key}"),
        ("other names", "module.model.4.weight"),
    ),
    "running values of no norm": (
        [], renamed(lambda key: key.replace("2.running_mean", "3.running_mean"), running=True),
        ("the file has model.3.running_mean", "besides"),
    ),
    "names that are long": (
        [], renamed(lambda key: "x" * 9999 + key), ("not one name fits", "xxx…"),
    ),
    "nothing": ([], saved({}), (FILE, "holds no weights at all")),
    "a wrong suffix": (["--model_suffix", "_X"], other_net("resnet_6blocks", 2), ("net_G_X.pth",)),
    "empty": ([], written(b""), (FILE, "cannot be read")),
    "text": ([], written(b"weights, honestly\n" * 9), (FILE, "cannot be read")),
    "zeros": ([], written(bytes(2000)), (FILE, "cannot be read")),
    "cut short": ([], cut(0.5), (FILE, "cannot be read")),
    "cut at the start": ([], cut(0.001), (FILE, "cannot be read")),
    "a list": ([], saved([torch.zeros(2)]), (FILE, "state dict")),
    "a tensor": ([], saved(torch.zeros(2)), (FILE, "state dict")),
    "a checkpoint": ([], saved({"epoch": 3, "model": {}}), (FILE, "state dict")),
    "other things": ([], saved({"model.1.weight": Path("x")}), (FILE, "cannot be read", "--epoch")),
    "keys that are numbers": ([], saved({1: torch.zeros(2)}), (FILE, "--netG", "has 1 (1)")),
    "whole numbers": ([], changed(every=torch.Tensor.int), (FILE, "model.1.weight", "torch.int32")),
    "complex": ([], changed(lambda w: w + 0j), (FILE, "model.1.weight", "torch.complex64")),
    "not a number": ([], changed(with_nan), (FILE, "model.1.weight holds NaN", "--epoch")),
    "infinite": ([], changed(lambda w: w / 0), (FILE, "model.1.weight holds NaN or infinite")),
    "too large": ([], changed(lambda w: w.double() * 1e300), (FILE, "NaN or infinite")),
    "no data": ([], changed(lambda w: w.to("meta")), (FILE, "model.1.weight is no plain tensor")),
    "sparse": ([], changed(torch.Tensor.to_sparse), (FILE, "model.1.weight is no plain tensor")),
    "an archive that swells": ([], bomb, (FILE, "0.1 MB would unpack to 100.0 MB", "--epoch")),
    "a pickle that runs code": ([], evil, (FILE, "cannot be read")),
    "an archive that runs code": ([], evil_zip, (FILE, "cannot be read")),
}  # fmt: skip

#: weights that are stored otherwise and load all the same → what makes them, parts of the note
OTHER_TYPES = {
    "float16": (changed(every=torch.Tensor.half), ("float16 widened",)),
    "bfloat16": (changed(every=torch.Tensor.bfloat16), ("bfloat16 widened",)),
    "float64": (changed(every=torch.Tensor.double), ()),
    "the old format": (
        lambda folder, trained: torch.save(
            good(folder, trained), folder / FILE, _use_new_zipfile_serialization=False
        ),
        (),
    ),
    "from several GPUs": (renamed("module.{}".format), ('prefix "module." was taken off',)),
    "running values": (renamed(running=True), ("51 running values of instance norm",)),
    "all of it": (
        renamed("module.{}".format, running=True),
        ('prefix "module." was taken off', "51 running values of instance norm"),
    ),
}
