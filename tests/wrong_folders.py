"""Folders and files with which a command cannot work, and what it must say about them."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import torch
from conftest import drawn, pictures

from models.networks import define_G

# --- folders of pictures ----------------------------------------------------------------------


def one_side(here: Path) -> Path:
    """trainA with pictures; the path of trainB, which is not there yet."""
    pictures(here / "trainA", 2)
    return here / "trainB"


def with_file(here: Path, name: str, content: bytes) -> None:
    """Both sides with a good picture, trainB with another file as well."""
    side = pictures(one_side(here), 1)
    (side / name).write_bytes(content)


def only(here: Path, name: str) -> None:
    """trainB with a single file that is not to be taken for a picture."""
    side = one_side(here)
    side.mkdir()
    (side / name).write_bytes(b"no picture")


def truncated(here: Path) -> None:
    """A folder with a picture of which the end is missing."""
    pictures(here, 1)
    whole = (here / "00.png").read_bytes()
    (here / "bad.png").write_bytes(whole[:-60])


def small(here: Path) -> None:
    """One of three pictures is smaller than the others."""
    side = pictures(one_side(here), 2)
    drawn("small", (30, 50)).save(side / "bad.png")


FOLDERS = {
    "nothing": lambda here: None,
    "one side": one_side,
    "empty side": lambda here: one_side(here).mkdir(),
    "only hidden": lambda here: only(here, ".hidden.png"),
    "only texts": lambda here: only(here, "readme.txt"),
    "one picture": lambda here: drawn("a").save(here / "a.png"),
    "empty file": lambda here: with_file(here, "bad.jpg", b""),
    "text": lambda here: with_file(here, "bad.jpg", b"no picture" * 50),
    "text alone": lambda here: (here / "a.png").write_text("no picture"),
    "small": small,
    "truncated": truncated,
}

# --- files of weights -------------------------------------------------------------------------

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
    "a wrong suffix": (["--model_suffix", "_X"], other_net("resnet_6blocks", 2), ("net_G_X.pth",)),
    "empty": ([], written(b""), (FILE, "cannot be read")),
    "text": ([], written(b"weights, honestly\n" * 9), (FILE, "cannot be read")),
    "zeros": ([], written(bytes(2000)), (FILE, "cannot be read")),
    "cut short": ([], cut(0.5), (FILE, "cannot be read")),
    "cut at the start": ([], cut(0.001), (FILE, "cannot be read")),
    "a list": ([], saved([torch.zeros(2)]), (FILE, "state dict")),
    "a tensor": ([], saved(torch.zeros(2)), (FILE, "state dict")),
    "a checkpoint": ([], saved({"epoch": 3, "model": {}}), (FILE, "state dict")),
    "a pickle that runs code": ([], evil, (FILE, "cannot be read")),
    "an archive that runs code": ([], evil_zip, (FILE, "cannot be read")),
}
