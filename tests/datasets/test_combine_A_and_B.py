"""datasets/combine_A_and_B.py: pairs, their content, and refused input."""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import draw_image
from helpers.dataset_scripts import assert_refused, bytes_below, load_script, pixels, run_script
from PIL import Image

from data import create_dataset
from options import TrainOptions

SIZE = (20, 16)
FLAGS = ["--fold_A", "A", "--fold_B", "B", "--fold_AB", "AB"]


def put(root: Path, *names: str, size=SIZE, mode: str = "RGB") -> None:
    """Write different images to these paths below ``root``."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_image(name, size, mode).save(path)


def combine(home: Path, *words) -> subprocess.CompletedProcess:
    """Run the script in this process, which saves the time to import torch."""
    module = load_script("combine_A_and_B")
    command = ["combine", *FLAGS, *map(str, words)]
    out = io.StringIO()
    err = io.StringIO()
    code: object = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        patch.setattr(signal, "signal", lambda *_: None)
        patch.chdir(home)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                module.run(module.main)
            except SystemExit as stop:
                code = stop.code or 0
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


@pytest.fixture
def home(tmp_path) -> Path:
    """Folders A and B with pairs of equal names, and some images without a counterpart."""
    both = ("train/1.png", "train/2.png", "train/deep/3.png", "test/1.png")
    put(tmp_path / "A", *both, "train/alone.png")
    put(tmp_path / "B", *both, "val/alone.png", "val/too.png")
    return tmp_path


def halves(path: Path) -> tuple[np.ndarray, np.ndarray]:
    left, right = np.hsplit(pixels(path), 2)
    return left, right


@pytest.mark.slow
def test_equal_names_become_pairs(home):
    done = run_script("combine_A_and_B.py", *FLAGS, cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "AB: 1/3 pairs in test/train; images without a counterpart left out: 3\n"
    found = {"train/1.png", "train/2.png", "train/deep/3.png", "test/1.png"}
    assert set(bytes_below(home / "AB")) == found
    for name in found:
        left, right = halves(home / "AB" / name)
        assert np.array_equal(left, pixels(home / "A" / name))
        assert np.array_equal(right, pixels(home / "B" / name))
    assert {path.name for path in (home / "AB").iterdir()} == {"train", "test"}


def test_pix2pix_reads_them(home):
    combine(home)
    words = ["--dataroot", str(home / "AB"), "--model", "pix2pix", "--preprocess", "none"]
    opt = TrainOptions().parse([*words, "--gpu_ids", "-1", "--num_threads", "0", "--no_flip"])
    (batch,) = create_dataset(Namespace(**{**vars(opt), "max_dataset_size": 1, "phase": "test"}))
    for side in "AB":
        found = (batch[side][0].permute(1, 2, 0).numpy() + 1) * 127.5
        assert np.abs(found - pixels(home / side / "test/1.png")).max() < 0.01


@pytest.mark.parametrize("separate", [True, False], ids=["two folders", "one folder"])
def test_use_ab_removes_the_suffixes(separate, tmp_path):
    put(tmp_path / "A", "train/12_A.png", "train/13_A.png", "train/14.png")
    put(tmp_path / ("B" if separate else "A"), "train/12_B.png")
    done = combine(tmp_path, "--use_AB", *([] if separate else ["--fold_B", "A"]))
    assert done.stdout == "AB: 1 pairs in train; images without a counterpart left out: 2\n"
    assert set(bytes_below(tmp_path / "AB")) == {"train/12.png"}


def test_output_next_to_the_input_folders(home):
    """Users often keep A, B and the pairs in one folder."""
    done = combine(home, "--fold_AB", ".", "--no_multiprocessing")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in home.iterdir()} == {"A", "B", "train", "test"}


def test_no_multiprocessing_gives_the_same_files(home):
    combine(home)
    combine(home, "--fold_AB", "again", "--no_multiprocessing")
    assert bytes_below(home / "AB") == bytes_below(home / "again")


def test_num_imgs_limits_each_split(home):
    assert combine(home, "--num_imgs", 2).stdout.startswith("AB: 1/2 pairs in test/train")
    assert len(bytes_below(home / "AB" / "train")) == 2


def test_images_are_read_as_in_training(tmp_path):
    """Rotated by EXIF, transparent, gray next to color, and with different extensions."""
    photo = draw_image("photo", SIZE[::-1])
    exif = Image.Exif()
    exif[0x0112] = 6
    for side in "AB":
        (tmp_path / side / "train").mkdir(parents=True)
    photo.save(tmp_path / "A/train/1.jpg", exif=exif, quality=100, subsampling=0)
    transparent = Image.new("RGBA", SIZE, (255, 0, 0, 0))
    transparent.save(tmp_path / "B/train/1.png")
    put(tmp_path, "A/train/2.png", mode="L")
    put(tmp_path, "B/train/2.png", mode="L")
    put(tmp_path, "A/train/3.png", mode="L")
    put(tmp_path, "B/train/3.png")
    assert combine(tmp_path).stdout == "AB: 3 pairs in train\n"
    left, right = halves(tmp_path / "AB/train/1.png")
    assert np.abs(left - np.rot90(np.asarray(photo, dtype=float), -1)).mean() < 8
    assert (right == 255).all()
    modes = [Image.open(tmp_path / f"AB/train/{i}.png").mode for i in (1, 2, 3)]
    assert modes == ["RGB", "L", "RGB"]


@pytest.mark.parametrize("low_side", [None, "A", "B"])
def test_gray_pairs_keep_16_bits(low_side, tmp_path):
    """All 65536 levels survive the combined file and the dataset."""
    levels = np.random.default_rng(0).integers(0, 65536, (2, *SIZE[::-1]), dtype=np.uint16)
    for side, image in zip("AB", levels, strict=True):
        if side == low_side:
            image = (image // 257).astype(np.uint8)
        (tmp_path / side / "train").mkdir(parents=True)
        Image.fromarray(image).save(tmp_path / side / "train/1.png")
    assert combine(tmp_path).stdout == "AB: 1 pairs in train\n"
    words = ["--dataroot", str(tmp_path / "AB"), "--model", "pix2pix", "--preprocess", "none"]
    words += ["--bit_depth", "16", "--input_nc", "1", "--output_nc", "1"]
    opt = TrainOptions().parse([*words, "--gpu_ids", "-1", "--num_threads", "0", "--no_flip"])
    (batch,) = create_dataset(opt)
    for side, image in zip("AB", levels, strict=True):
        found = np.rint((batch[side][0, 0].numpy() + 1) * 32767.5)
        expected = image // 257 * 257 if side == low_side else image
        assert np.array_equal(found, expected)


def different_sizes(home: Path) -> None:
    put(home / "B", "train/2.png", size=(16, 16))


def corrupt_pixels(home: Path) -> None:
    path = home / "A/train/2.png"
    data = bytearray(path.read_bytes())
    data[60:90] = bytes(30)
    path.write_bytes(data)


def not_an_image(home: Path) -> None:
    (home / "B/train/2.png").write_bytes(b"nothing")


def same_name_twice(home: Path) -> None:
    put(home / "A", "train/2.jpg")


def output_not_empty(home: Path) -> None:
    put(home / "AB", "train/mine.png")


def no_common_names(home: Path) -> None:
    (home / "B").rename(home / "old")
    put(home / "B", "train/other.png")


def no_splits(home: Path) -> None:
    (home / "A").rename(home / "old")
    put(home / "A", "1.png")


REFUSED = {
    different_sizes: ["A/train/2.png is 20×16", "B/train/2.png is 16×16"],
    corrupt_pixels: ["A/train/2.png", "cannot be read", "fix or remove"],
    not_an_image: ["B/train/2.png", "cannot be read", "fix or remove"],
    same_name_twice: ["A/train/2.jpg", "A/train/2.png", "the same name", "rename"],
    output_not_empty: ["--fold_AB AB/train", "already contains files"],
    no_common_names: ["contain no pairs", "equal names", "--use_AB"],
    no_splits: ["contain no pairs", "train, test"],
}


@pytest.mark.parametrize("problem", REFUSED, ids=lambda problem: problem.__name__)
def test_bad_input_is_refused_and_leaves_no_files(problem, home):
    problem(home)
    before = bytes_below(home)
    assert_refused(combine(home), *REFUSED[problem])
    assert bytes_below(home) == before
    assert not list(home.rglob(".*"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--fold_A", "none"], ["--fold_A none", "does not exist"]),
        (["--num_imgs", "0"], ["--num_imgs", "'0'"]),
        (["--fold_C", "x"], ["--fold_C"]),
    ],
    ids=str,
)
def test_bad_flags_are_refused(words, expected, home):
    assert_refused(combine(home, *words), *expected)
    assert not (home / "AB").exists()


@pytest.mark.slow
def test_folders_are_required(tmp_path):
    assert_refused(run_script("combine_A_and_B.py", cwd=tmp_path), "--fold_A", "--fold_AB")
