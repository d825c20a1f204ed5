"""Draw small images, run the commands, and check their output files."""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import torch
from PIL import Image, ImageDraw

from models.networks import define_G

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parents[1] / "golden"
SIDES = ("trainA", "trainB", "testA", "testB")

#: The smallest networks and images that all commands work with.
TINY = [
    "--netG", "resnet_6blocks", "--ngf", "2", "--ndf", "2", "--load_size", "36",
    "--crop_size", "32", "--gpu_ids", "-1", "--num_threads", "0", "--precision", "fp32",
]  # fmt: skip

#: A training of one epoch without displays.
TINY_TRAIN = [
    *TINY, "--n_epochs", "1", "--n_epochs_decay", "0", "--display_id", "0", "--no_html",
]  # fmt: skip


def golden(name: str):
    """Load reference values, computed by an independent implementation of the same method."""
    return torch.load(GOLDEN / name, weights_only=True)


def draw_image(seed: str, size: tuple[int, int] = (40, 40), mode: str = "RGB") -> Image.Image:
    """Draw an image of a few ellipses, determined by ``seed``."""
    rng = Random(seed)
    image = Image.new("RGB", size, tuple(rng.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(5):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        color = tuple(rng.randrange(256) for _ in range(3))
        pen.ellipse((x - 8, y - 5, x + 8, y + 5), fill=color)
    return image.convert(mode)


def make_images(
    folder: Path, n: int, size: tuple[int, int] = (40, 40), ending: str = ".png"
) -> Path:
    """Fill ``folder`` with n different images 00.png, 01.png, …"""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        draw_image(f"{folder.name} {i}", size).save(folder / f"{i:02d}{ending}")
    return folder


def make_image_set(root: Path, counts: tuple[int, int, int, int] = (3, 4, 2, 3)) -> Path:
    """Fill ``root`` with trainA, trainB, testA and testB."""
    for side, n in zip(SIDES, counts, strict=True):
        make_images(root / side, n)
    return root


Command = Callable[..., subprocess.CompletedProcess]


def folders(tmp_path: Path, script: str) -> list[str]:
    """The flags with which a script writes only into ``tmp_path``."""
    words = ["--checkpoints_dir", str(tmp_path / "checkpoints")]
    return words + (["--results_dir", str(tmp_path / "results")] if script == "test.py" else [])


def run_in(tmp_path: Path, script: str, *words, env: dict | None = None):
    """Run ``script`` in a new process; its files go to ``tmp_path``."""
    command = [sys.executable, script, *map(str, words), *folders(tmp_path, script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )


def call_in(tmp_path: Path, script: str, *words) -> subprocess.CompletedProcess:
    """Run ``script`` within this process, which saves the import of torch."""
    command = [script, *map(str, words), *folders(tmp_path, script)]
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                runpy.run_path(str(ROOT / script), run_name="__main__")
            except SystemExit as stop:
                code = stop.code or 0
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


def ok(done):
    """Assert that a command succeeded; return it."""
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done


def assert_complete(page: Path) -> None:
    """Assert that all files of a page exist and that nothing is loaded from other hosts."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert found
    assert all((page.parent / address).is_file() for address in found), found
    assert "url(" not in text and "@import" not in text


def sizes_in(root: Path) -> dict[str, tuple[int, int]]:
    """The sizes of all result images, by file name."""
    found = {}
    for file in (root / "results" / "new" / "test_latest" / "images").iterdir():
        with Image.open(file) as image:
            found[file.name] = image.size
    return found


def generator(netG: str, norm: str = "instance"):
    """A generator with fixed random weights."""
    torch.manual_seed(0)
    return define_G(3, 3, 1, netG, norm, init_type="kaiming").eval()


def write_weights(root: Path, netG: str, *names: str) -> list[str]:
    """Save new generators as weights of a run ``new``; return the flags that load them."""
    folder = root / "checkpoints" / "new"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        torch.save(generator(netG).state_dict(), folder / f"latest_net_{name}.pth")
    words = ["--name", "new", "--netG", netG, "--ngf", "1", "--norm", "instance", "--no_dropout"]
    return [*words, "--gpu_ids", "-1", "--num_threads", "0", "--precision", "fp32"]
