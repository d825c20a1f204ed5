"""Invalid weights files, and what the error message about each must contain."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from pathlib import Path

import torch

from models.networks import define_G

FILE = "latest_net_G_A.pth"


class Malicious:
    """Create a file when unpickled without ``weights_only``."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self):
        return Path.touch, (self.folder / "pwned",)


def write_bytes(content: bytes):
    """Return a function that writes ``content`` in place of weights."""
    return lambda folder, trained: (folder / FILE).write_bytes(content)


def save(value):
    """Return a function that saves ``value`` in place of weights."""
    return lambda folder, trained: torch.save(value, folder / FILE)


def truncate(fraction: float):
    """Return a function that writes the first ``fraction`` of a valid file."""

    def make(folder: Path, trained: Path) -> None:
        content = (trained / FILE).read_bytes()
        (folder / FILE).write_bytes(content[: int(len(content) * fraction)])

    return make


def malicious_pickle(folder: Path, trained: Path) -> None:
    (folder / FILE).write_bytes(pickle.dumps({"model.1.weight": Malicious(folder)}))


def malicious_archive(folder: Path, trained: Path) -> None:
    torch.save({"model.1.weight": Malicious(folder)}, folder / FILE)


def other_net(netG: str, ngf: int, norm: str = "instance"):
    """Return a function that saves weights of a network that the options do not describe."""

    def make(folder: Path, trained: Path) -> None:
        torch.save(define_G(3, 3, ngf, netG, norm).state_dict(), folder / FILE)

    return make


def valid(trained: Path) -> dict:
    """The state dict of the trained run."""
    return torch.load(trained / FILE, weights_only=True)


def modify(first=lambda weight: weight, every=lambda weight: weight):
    """Return a function that saves valid weights with modified tensors."""

    def make(folder: Path, trained: Path) -> None:
        state = {key: every(weight) for key, weight in valid(trained).items()}
        state["model.1.weight"] = first(state["model.1.weight"])
        torch.save(state, folder / FILE)

    return make


def rename(name=lambda key: key, affine: bool = False, running: bool = False):
    """Return a function that saves valid weights under other keys.

    ``affine`` and ``running`` add parameters and running statistics of the norm layers.
    """

    def make(folder: Path, trained: Path) -> None:
        state = dict(valid(trained))
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
    """The layer after each convolution except the last, and its number of channels."""
    biases = [key.rsplit(".", 2) for key in state if key.endswith(".bias")][:-1]
    return {
        f"{before}.{int(number) + 1}": len(state[f"{before}.{number}.bias"])
        for before, number, _ in biases
    }


def other_program(affine: bool):
    """Return a function that saves weights with another name of one module per block."""
    return rename(lambda key: key.replace("conv_block", "block"), affine=affine)


def with_nan(weight: torch.Tensor) -> torch.Tensor:
    weight[-1, -1, -1, -1] = float("nan")
    return weight


def zip_bomb(folder: Path, trained: Path) -> None:
    """Write an archive of 100 kB that unpacks to 100 MB."""
    with zipfile.ZipFile(folder / FILE, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(100_000_000))
        archive.writestr("archive/version", "3\n")


def only_discriminators(folder: Path, trained: Path) -> None:
    for name in ("latest_net_D_A.pth", "3_net_D_A.pth"):
        shutil.copy(trained / "latest_net_D_A.pth", folder / name)


#: name → flags, function that fills the folder of the run, parts of the message
WEIGHTS = {
    "no file": ([], lambda folder, trained: None, (FILE, "holds no weights")),
    "only discriminators": ([], only_discriminators, (FILE, "3, latest", "D_A")),
    "another generator": ([], other_net("resnet_9blocks", 2), (FILE, "--netG", "also has")),
    "another width": ([], other_net("resnet_6blocks", 3), (FILE, "--ngf", "(3, 3, 7, 7)")),
    "another norm": ([], other_net("resnet_6blocks", 2, "batch"), (FILE, "--norm", "lacks")),
    "a smaller generator": (
        ["--netG", "resnet_9blocks"], other_net("resnet_6blocks", 2), (FILE, "--netG", "lacks"),
    ),
    "another generator architecture": (
        ["--netG", "unet_128"], other_net("resnet_6blocks", 2),
        ("no key matches", "model.1.weight, model.1.bias, … (36)", "model.model.0.weight",
         "give the --netG"),
    ),
    "affine instance norm": (
        [], rename(affine=True),
        (FILE, "model.2.weight (and 16 more)", "instance norm has none", "cannot be represented"),
    ),
    "another program": (
        [], other_program(affine=False),
        ("model.10.block.1.weight (and 23 more)", "model.10.conv_block.1.weight (and 23 more)",
         "other names", "layout of another program"),
    ),
    "another program, affine instance norm": (
        [], other_program(affine=True),
        ("model.2.weight (and 4 more)", "cannot be represented", "model.10.block.1.weight",
         "model.10.conv_block.1.weight"),
    ),
    "another program, all keys differ": (
        [], rename(lambda key: f"net.{key}", running=True),
        ("no key matches", "net.model.1.weight, net.model.1.bias, … (87)", "(36)", "layout"),
    ),
    "a prefix on some keys": (
        [], rename(lambda key: key if key.startswith("model.1.") else f"module.{key}"),
        ("other names", "module.model.4.weight"),
    ),
    "running statistics of another layer": (
        [], rename(lambda key: key.replace("2.running_mean", "3.running_mean"), running=True),
        ("the file also has model.3.running_mean (and 6 more)",),
    ),
    "long keys": (
        [], rename(lambda key: "x" * 9999 + key), ("no key matches", "xxx…"),
    ),
    "no tensors": ([], save({}), (FILE, "holds no weights at all")),
    "a wrong suffix": (["--model_suffix", "_X"], other_net("resnet_6blocks", 2), ("net_G_X.pth",)),
    "empty": ([], write_bytes(b""), (FILE, "cannot be read")),
    "text": ([], write_bytes(b"not weights\n" * 9), (FILE, "cannot be read")),
    "zeros": ([], write_bytes(bytes(2000)), (FILE, "cannot be read")),
    "cut short": ([], truncate(0.5), (FILE, "cannot be read")),
    "cut at the start": ([], truncate(0.001), (FILE, "cannot be read")),
    "a list": ([], save([torch.zeros(2)]), (FILE, "state dict")),
    "a tensor": ([], save(torch.zeros(2)), (FILE, "state dict")),
    "a checkpoint": ([], save({"epoch": 3, "model": {}}), (FILE, "state dict")),
    "other objects": ([], save({"model.1.weight": Path("x")}), (FILE, "cannot be read", "--epoch")),
    "keys that are numbers": ([], save({1: torch.zeros(2)}), (FILE, "--netG", "has 1 (1)")),
    "integers": ([], modify(every=torch.Tensor.int), (FILE, "model.1.weight", "torch.int32")),
    "complex": ([], modify(lambda w: w + 0j), (FILE, "model.1.weight", "torch.complex64")),
    "not a number": ([], modify(with_nan), (FILE, "model.1.weight holds NaN", "--epoch")),
    "infinite": ([], modify(lambda w: w / 0), (FILE, "model.1.weight holds NaN or infinite")),
    "too large": ([], modify(lambda w: w.double() * 1e300), (FILE, "NaN or infinite")),
    "meta tensors": (
        [], modify(lambda w: w.to("meta")), (FILE, "model.1.weight is not a plain dense tensor"),
    ),
    "sparse": (
        [], modify(torch.Tensor.to_sparse), (FILE, "model.1.weight is not a plain dense tensor"),
    ),
    "a zip bomb": ([], zip_bomb, (FILE, "0.1 MB would unpack to 100.0 MB", "--epoch")),
    "a pickle that runs code": ([], malicious_pickle, (FILE, "cannot be read")),
    "an archive that runs code": ([], malicious_archive, (FILE, "cannot be read")),
}  # fmt: skip

#: weights in another form that load nevertheless → function that writes them, parts of the note
OTHER_TYPES = {
    "float16": (modify(every=torch.Tensor.half), ("float16 converted",)),
    "bfloat16": (modify(every=torch.Tensor.bfloat16), ("bfloat16 converted",)),
    "float64": (modify(every=torch.Tensor.double), ()),
    "the old format": (
        lambda folder, trained: torch.save(
            valid(trained), folder / FILE, _use_new_zipfile_serialization=False
        ),
        (),
    ),
    "from several GPUs": (rename("module.{}".format), ('prefix "module." was removed',)),
    "running statistics": (rename(running=True), ("51 running statistics of instance norm",)),
    "prefix and running statistics": (
        rename("module.{}".format, running=True),
        ('prefix "module." was removed', "51 running statistics of instance norm"),
    ),
}
