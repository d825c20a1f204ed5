"""datasets/make_mini.py: layouts, repeatability, and what it refuses."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.dataset_scripts import (
    SCRIPTS,
    SPLITS,
    assert_refused,
    bytes_below,
    load_script,
    pixels,
    run_script,
    wait_for,
)
from PIL import Image


@pytest.fixture(scope="module")
def mini(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("mini")
    done = run_script("make_mini.py", "--train", 4, "--test", 6, cwd=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("datasets/mini: 4/4/6/6 images in trainA/trainB/testA/testB, 64×64\n")
    assert done.stderr == ""  # a progress bar is for terminals
    return home / "datasets/mini"


def test_mini_layout_and_size(mini):
    names = sorted(bytes_below(mini))
    assert names == sorted(
        [f"{s}/{i:04d}.png" for s in SPLITS for i in range(4 if s.startswith("train") else 6)]
    )
    for path in mini.rglob("*.png"):
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((64, 64), "RGB")


def test_mini_is_repeatable_and_replaces_itself(mini, tmp_path):
    out = tmp_path / "again"
    assert run_script("make_mini.py", "--out", out, "--train", 5, "--test", 1, cwd=tmp_path).stdout
    done = run_script("make_mini.py", "--out", out, "--train", 4, "--test", 6, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert bytes_below(out) == bytes_below(mini)
    assert list(tmp_path.iterdir()) == [out]


def test_mini_larger_dataset_starts_with_the_same_images(mini, tmp_path):
    load_script("make_mini").draw_set(tmp_path, 64, {"train": 6, "test": 7}, seed=0)
    more = bytes_below(tmp_path)
    assert bytes_below(mini).items() < more.items()


def test_mini_another_seed_draws_other_faces():
    sample_face = load_script("make_mini").sample_face
    assert sample_face("trainA", 0, seed=0) != sample_face("trainA", 0, seed=1)


def test_mini_trains_are_unpaired_and_tests_are_paired():
    sample_face = load_script("make_mini").sample_face
    faces = {split: [sample_face(split, i) for i in range(50)] for split in SPLITS}
    assert faces["testA"] == faces["testB"]
    faces_of_all_splits = faces["trainA"] + faces["trainB"] + faces["testA"]
    assert len(set(faces_of_all_splits)) == 150


def test_mini_gap_between_the_domains(mini):
    """The styles differ clearly, and a counterpart is closer than any other face."""
    a, b = (np.stack([pixels(mini / s / f"{i:04d}.png") for i in range(6)]) for s in SPLITS[2:])
    same_face = np.abs(a - b).mean()
    other_face = np.abs(np.roll(a, 1, axis=0) - b).mean()
    assert 25 < same_face < 50 < other_face


def test_mini_aligned_has_both_styles_of_a_face(mini, tmp_path):
    words = ["--layout", "aligned", "--train", 2, "--test", 3]
    done = run_script("make_mini.py", "--out", "out", *words, cwd=tmp_path)
    assert done.stdout == "out: 2/3 images in train/test, 128×64\n"
    assert sorted(bytes_below(tmp_path / "out")) == [
        *(f"test/000{i}.png" for i in range(3)),
        *(f"train/000{i}.png" for i in range(2)),
    ]
    for i in range(3):
        sides = [pixels(mini / split / f"000{i}.png") for split in ("testA", "testB")]
        assert np.array_equal(pixels(tmp_path / f"out/test/000{i}.png"), np.hstack(sides))


def test_mini_colorization_has_photos_and_replaces_other_layouts(mini, tmp_path):
    shutil.copytree(mini, tmp_path / "out")
    words = ["--out", "out", "--layout", "colorization", "--train", 2, "--test", 1]
    done = run_script("make_mini.py", *words, cwd=tmp_path)
    assert done.stdout == "out: 2/1 images in train/test, 64×64\n"
    drawn = bytes_below(tmp_path / "out")
    photo = bytes_below(mini)["testA/0000.png"]
    assert sorted(drawn) == ["test/0000.png", "train/0000.png", "train/0001.png"]
    assert drawn["test/0000.png"] == photo


def test_mini_at_another_size_shows_the_same_face(mini):
    face = load_script("make_mini").sample_face("testB", 0)
    big = load_script("mini_styles").render_anime(face, 256)
    small = np.asarray(big.reduce(4), dtype=float)
    assert np.abs(small - pixels(mini / "testB/0000.png")).mean() < 4


@pytest.mark.parametrize("haircut", ["short", "bob", "long", "bun", "twin tails", "spiky"])
def test_mini_draws_every_haircut_at_the_smallest_size(haircut):
    face = replace(load_script("make_mini").sample_face("trainA", 0), haircut=haircut)
    for style in (load_script("mini_styles").render_photo, load_script("mini_styles").render_anime):
        assert np.asarray(style(face, 16)).std() > 20


@pytest.mark.parametrize(
    "flag, value", [("--size", 15), ("--train", 0), ("--test", "x"), ("--size", 99999)]
)
def test_mini_refuses_bad_numbers(flag, value, tmp_path):
    assert_refused(run_script("make_mini.py", flag, value, cwd=tmp_path), flag, str(value))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("foreign", ["notes.txt", "trainA/0000.png", "valA/0000.png"])
def test_mini_refuses_a_folder_with_other_files(foreign, tmp_path):
    path = tmp_path / "mine" / foreign
    path.parent.mkdir(parents=True)
    Image.new("RGB", (16, 16)).save(path, format="png")
    before = bytes_below(tmp_path)
    refused = run_script("make_mini.py", "--out", "mine", cwd=tmp_path)
    assert_refused(refused, "--out mine", "pass another --out")
    assert bytes_below(tmp_path) == before


@pytest.mark.parametrize(
    "sent, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_mini_stopped_leaves_no_files(sent, status, tmp_path):
    script = SCRIPTS / "make_mini.py"
    command = [sys.executable, script, "--out", tmp_path / "out", "--train", "9999"]
    # A job in the background of a shell ignores Ctrl-C, and so would its child.
    settings = {
        "stderr": subprocess.DEVNULL,
        "preexec_fn": lambda: signal.signal(sent, signal.SIG_DFL),
    }
    with subprocess.Popen(command, **settings) as running:
        wait_for(lambda: list(tmp_path.rglob("0003.png")))
        running.send_signal(sent)
    assert running.returncode == status
    assert not any(tmp_path.iterdir())
