"""Folders and images as they come: refused in one line, left out by name, or shown rightly."""

from __future__ import annotations

import errno
import os
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import ROOT, make_image_set, make_images, ok
from helpers.odd_images import BROKEN, FINE, INSIDE
from helpers.refusals import DATA, HERE, TEST, TRAIN, failures, files_below, refused
from helpers.wrong_folders import FOLDERS
from PIL import Image

from data import create_dataset

FOLDER = {
    "missing dataroot": refused([*TRAIN, "--dataroot", "{here}/none"], "none", "trainA", "trainB"),
    "missing side": refused([*TRAIN, *HERE], "trainB", "missing", "found trainA", make="one side"),
    "empty side": refused([*TRAIN, *HERE], "trainB", "empty", make="empty side"),
    "only hidden": refused([*TRAIN, *HERE], "trainB", "no images", make="only hidden"),
    "only texts": refused([*TRAIN, *HERE], "trainB", "readme.txt", ".png", make="only texts"),
    "file for a side": refused([*TRAIN, *HERE], "trainB", "not a folder", make="file for a side"),
    "link to nothing": refused([*TRAIN, *HERE], "trainB", "to nothing", make="link to nothing"),
    "link to itself": refused([*TRAIN, *HERE], "trainB", "to nothing", make="link to itself"),
    "dataroot is a file": refused(
        [*TRAIN, "--dataroot", "{here}/a.png"], "a.png", "file", make="one image"
    ),
    "missing phase": refused([*TRAIN, *DATA, "--phase", "val"], "valA", "found", "trainA"),
    "broken": refused([*TRAIN, *HERE], "bad.jpg", "1 of 2 files", "trainB", make="empty file"),
    "smaller than the crop": refused(
        [*TRAIN, *HERE, "--preprocess", "crop"], "--crop_size 32", "bad.png", "30", make="small"
    ),
    "folder without images": refused([*TEST, *HERE, "--name", "tiny"], "no images"),
    "missing folder": refused([*TEST, "--dataroot", "{here}/none"], "none", "missing"),
    "no path": refused([*TEST, "--dataroot", "x" * 300], "xxx", "File name too long"),
    "one that is no image": refused(
        [*TEST, "--dataroot", "{here}/a.png"], "a.png", "fix or replace", make="text alone"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDER.values(), ids=FOLDER)
def test_bad_folders_are_refused(case, call, dataset, here, tmp_path):
    FOLDERS[case.make](here)
    before = files_below(tmp_path)
    failures(call(*(word.format(data=dataset, here=here) for word in case.words)), case.says)
    assert files_below(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["missing dataroot", "broken"])
def test_bad_folders_are_refused_by_the_real_command(name, run, here, tmp_path):
    case = FOLDER[name]
    FOLDERS[case.make](here)
    before = files_below(ROOT / "checkpoints")
    failures(run(*(word.format(here=here) for word in case.words)), case.says)
    assert files_below(ROOT / "checkpoints") == before
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("where", ["trainB", "trainB/deeper"])
def test_folders_that_may_not_be_read(where, call, here, tmp_path, monkeypatch):
    """Also those below: their images would be missing without a word. As root may read all
    there is, the system's answer is played."""
    make_image_set(here)
    make_images(here / "trainB" / "deeper", 2)
    scandir = os.scandir

    def guarded(path="."):
        if Path(path) == here / where:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    failures(call(*TRAIN, "--dataroot", here), (where, "Permission denied", "--dataroot"))
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything; played above")
def test_folders_that_the_system_does_not_let_us_read(call, here):
    side = make_image_set(here) / "trainB"
    side.chmod(0)
    failures(call(*TRAIN, "--dataroot", here), ("trainB", "Permission denied", "--dataroot"))
    side.chmod(0o700)


def test_what_is_no_file_is_no_image_and_folders_may_be_nested(call, here):
    for side in ("trainA", "trainB"):
        make_images(here / side / "deep" / "deeper", 2)
    os.mkfifo(here / "trainA" / "pipe.png")  # to read it would wait for ever
    (here / "trainB" / "folder.png").mkdir()
    done = ok(call(*TRAIN, "--dataroot", here))
    assert "number of training images = 2\n" in done.stdout
    assert "warning" not in done.stdout


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_image_alone_is_refused(name, call, tiny, here, tmp_path):
    make, says = BROKEN[name]
    make(here / name)
    before = files_below(tmp_path)
    # A link to nothing is, as a dataroot, no image that could be broken.
    missing = not (here / name).exists()
    done = call(*tiny, "--dataroot", here if missing else here / name)
    failures(done, (name, says, "fix or replace" if "run from" not in says else "rescale"))
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_image_among_others_is_left_out(name, call, tiny, here):
    make, says = BROKEN[name]
    make(make_images(here, 10) / name)
    done = ok(call(*tiny, "--dataroot", here))
    (warning,) = (line for line in done.stdout.splitlines() if line.startswith("warning: "))
    assert name in warning
    assert says in warning
    assert warning.endswith("; it is left out")
    assert done.stdout.splitlines()[-1].startswith("10 of 11 images written to ")
    assert done.stdout.splitlines()[-1].endswith("(1 could not be read)")
    assert done.stderr == ""


def test_whole_images_that_go_with_a_broken_one_are_named_and_items_are_counted(call, tiny, here):
    """B 00 comes again with A 19, but B 01 and A 03 have no other partner."""
    for side, n in (("testA", 20), ("testB", 19)):
        make_images(here / side, n)
    BROKEN["text.jpg"][0](here / "testB" / "text.jpg")
    for name in ("testA/00.png", "testA/01.png", "testB/03.png"):
        BROKEN["garbled.png"][0](here / name)
    done = ok(call(*tiny, "--model", "cycle_gan", "--dataroot", here))
    told = [line for line in done.stdout.splitlines() if line.startswith("warning: ")]
    ends = {line.split()[1].rstrip(":"): line.split("; it is left out")[1] for line in told}
    assert ends == {
        f"{here}/testB/text.jpg": "",
        f"{here}/testA/00.png": "",
        f"{here}/testA/01.png": f", and with it {here}/testB/01.png",
        f"{here}/testB/03.png": f", and with it {here}/testA/03.png",
    }
    last = done.stdout.splitlines()[-1]
    assert last.startswith("17 of 20 images written to ")
    assert last.endswith("(4 could not be read)")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_image_is_an_error_where_nothing_may_be_missing(name, call, here, tmp_path):
    make, says = BROKEN[name]
    for side in ("trainA", "trainB"):
        make_images(here / side, 10)
    make(here / "trainA" / name)
    before = files_below(tmp_path)
    done = call(*TRAIN, "--dataroot", here, "--strict_data")
    failures(done, (name, says, "--strict_data"))
    assert "left out" not in done.stdout
    assert files_below(tmp_path) == before or name in INSIDE


@pytest.mark.parametrize("name", ["text.jpg", *INSIDE])
def test_training_goes_on_without_a_broken_image(name, call, here):
    for side in ("trainA", "trainB"):
        make_images(here / side, 10)
    BROKEN[name][0](here / "trainA" / name)
    done = ok(call(*TRAIN, "--dataroot", here))
    assert f"epoch 1, iters {11 if name in INSIDE else 10}\n" in done.stdout
    lines = [line for line in done.stdout.splitlines() if name in line]
    assert lines[0].startswith("warning: ")
    assert "could not be read" in lines[-1]
    assert len(lines) == 2


def test_the_next_image_stands_in_for_one_that_is_broken_inside(here):
    for side in ("trainA", "trainB"):
        make_images(here / side, 10)
    BROKEN["garbled.png"][0](here / "trainA" / "04a.png")
    opt = Namespace(
        dataroot=here, phase="train", direction="AtoB", input_nc=3, output_nc=3, isTrain=True,
        dataset_mode="unaligned", strict_data=False, max_dataset_size=99, no_flip=True, cache="off",
        preprocess="none", load_size=40, crop_size=40, serial_batches=True, batch_size=1, seed=0,
        num_threads=0, gpu_ids=[], bit_depth=8,
    )  # fmt: skip
    seen = [Path(batch["A_paths"][0]).stem for batch in create_dataset(opt)]
    assert seen == ["00", "01", "02", "03", "04", "05", "05", "06", "07", "08", "09"]


@pytest.mark.parametrize("name", FINE)
def test_odd_images_are_seen_as_a_person_sees_them(name, call, tiny, here, tmp_path):
    make, expected, tolerance = FINE[name]
    make(here / name)
    done = ok(call(*tiny, "--dataroot", here, "--preprocess", "none"))
    assert "1 of 1 images written" in done.stdout
    assert done.stderr == ""
    images = tmp_path / "results" / "tiny" / "test_latest" / "images"
    with Image.open(images / f"{Path(name).stem}_real.png") as image:
        seen = np.asarray(image).astype(int)
    assert seen.shape == expected().shape
    assert np.abs(seen - expected()).max() <= tolerance
    with Image.open(images / f"{Path(name).stem}_fake.png") as image:
        assert image.size == seen.shape[1::-1]


def test_odd_images_train(call, here):
    make_images(here / "trainB", 2)
    (here / "trainA").mkdir()
    for name, (make, *_) in FINE.items():
        make(here / "trainA" / name)
    done = ok(call(*TRAIN, "--dataroot", here))
    assert f"number of training images = {len(FINE)}\n" in done.stdout
    assert "warning" not in done.stdout
