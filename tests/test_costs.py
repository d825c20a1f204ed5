"""What a run costs: pictures read once, honest clocks, memory that is told."""

from __future__ import annotations

import pickle
import shutil
import time
from argparse import Namespace

import numpy as np
import pytest
import torch
from conftest import ok, picture_set, pictures

from data import create_dataset
from data.cache import PictureCache, fits_in_memory
from options import TestOptions, TrainOptions
from util.errors import UserError
from util.memory import told_when_full
from util.stopwatch import Stopwatch

SMALL = ["--gpu_ids", "-1", "--load_size", "36", "--crop_size", "32"]


def epoch(dataset, number: int) -> list[dict]:
    dataset.set_epoch(number)
    return list(dataset)


def loader(root, *words):
    return create_dataset(TrainOptions().parse(["--dataroot", str(root), *SMALL, *words]))


@pytest.mark.parametrize("threads", ["0", "2"])
@pytest.mark.parametrize("preprocess", ["resize_and_crop", "scale_width_and_crop", "none"])
@pytest.mark.parametrize("grey", [False, True])
def test_pictures_are_read_once_and_stay_the_same(tmp_path, threads, preprocess, grey):
    root = picture_set(tmp_path / "set")
    words = ["--num_threads", threads, "--preprocess", preprocess]
    words += ["--input_nc", "1", "--output_nc", "1"] if grey else []
    plain, kept = loader(root, "--cache", "off", *words), loader(root, *words)
    expected = [epoch(plain, number) for number in (1, 2, 3)]
    first = epoch(kept, 1)
    # Every A was seen; B is drawn at random, so that a few may still be missing.
    for path in (root / "trainA").iterdir():
        path.write_bytes(b"gone")
    later = [epoch(kept, number) for number in (2, 3)] if len(seen(first)) == 4 else []
    for found, right in zip([first, *later], expected, strict=False):
        for one, other in zip(found, right, strict=True):
            assert torch.equal(one["A"], other["A"])
            assert torch.equal(one["B"], other["B"])
    assert kept.cached_bytes > 0
    assert plain.cached_bytes == 0


def seen(batches: list[dict]) -> set[str]:
    return {path for batch in batches for path in batch["B_paths"]}


def test_after_an_epoch_in_order_nothing_is_read_any_more(tmp_path):
    root = picture_set(tmp_path / "set")
    kept = loader(root, "--serial_batches", "--num_threads", "2")
    epoch(kept, 1)
    for path in root.rglob("train*/*.png"):
        path.write_bytes(b"gone")
    assert len(epoch(kept, 2)) == 4


def test_a_cache_that_was_pickled_holds_nothing():
    cache = PictureCache([(4, 3), (2, 5)], channels=3)
    pixels = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    cache.put(0, pixels)
    assert np.array_equal(cache.get(0), pixels)
    assert cache.get(1) is None
    copy = pickle.loads(pickle.dumps(cache))  # noqa: S301 - our own
    copy.put(1, np.zeros((5, 2, 3), np.uint8))
    assert copy.get(0) is copy.get(1) is None


def test_a_cache_larger_than_the_memory_is_not_made():
    assert fits_in_memory(1000)
    assert not fits_in_memory(10**15)


def test_pictures_of_one_size_are_tested_together_and_results_do_not_change(
    tmp_path, trained, call
):
    folder = pictures(tmp_path / "mixed", 3, (40, 32))
    for i, path in enumerate(sorted(pictures(tmp_path / "wide", 3, (36, 44)).iterdir())):
        path.rename(folder / f"wide{i}.png")
    (tmp_path / "checkpoints").symlink_to(trained)
    flags = ["--preprocess", "none", "--dataroot", str(folder), "--name", "tiny"]
    flags += ["--num_threads", "0", "--gpu_ids", "-1", "--precision", "fp32"]
    opt = TestOptions().parse([*flags, "--checkpoints_dir", str(trained), "--batch_size", "2"])
    assert sorted(len(batch["A"]) for batch in create_dataset(opt)) == [1, 1, 2, 2]
    written = []
    for size in ("1", "2"):
        assert "6 of 6 images" in ok(call("test.py", *flags, "--batch_size", size)).stdout
        images = tmp_path / "results" / "tiny" / "test_latest" / "images"
        written.append({path.name: path.read_bytes() for path in images.iterdir()})
        shutil.rmtree(tmp_path / "results")
    assert len(written[0]) == 12
    assert written[0] == written[1]


def test_a_run_that_waits_for_data_is_told_so_once():
    watch = Stopwatch(lambda: None)

    def slow():
        for _ in range(4):
            time.sleep(0.02)
            yield {}

    told = []
    for _ in range(3):
        for _ in watch.waits(slow()):
            watch.add(1)
        rates = watch.read()
        told.append(watch.advice())
    assert rates.data == pytest.approx(rates.time, rel=0.2)
    assert rates.data >= 0.02
    assert [bool(text) for text in told] == [False, True, False]
    assert "--num_threads" in told[1]


def test_a_run_that_waits_for_its_display_is_told_so_once():
    watch, told = Stopwatch(lambda: None), []
    for _ in range(3):
        with watch.pause():
            time.sleep(0.02)
        time.sleep(0.01)
        watch.add(1)
        assert watch.read().time < 0.02  # the pause is no part of a step
        told.append(watch.advice())
    assert [bool(text) for text in told] == [False, True, False]
    assert "--display_freq" in told[1]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_too_little_memory_ends_in_a_line_with_the_flags_that_help(error):
    opt = Namespace(batch_size=7, crop_size=512, ngf=64)
    with pytest.raises(UserError) as caught, told_when_full(opt):
        raise error
    for part in ("--batch_size 7", "--crop_size 512", "--precision", "--grad_checkpoint"):
        assert part in str(caught.value)


def test_other_errors_are_not_taken_for_it():
    with pytest.raises(RuntimeError, match="shapes"), told_when_full(Namespace()):
        raise RuntimeError("shapes do not fit")


def test_memory_is_reported_by_part(dataset, run):
    from conftest import TINY_TRAIN

    words = ["--dataroot", dataset, "--name", "m", *TINY_TRAIN, "--report_memory"]
    last = ok(run("train.py", *words)).stdout.splitlines()[-1]
    assert last.startswith("peak memory ")
    for part in ("networks", "gradients", "optimizers", "pools", "activations"):
        assert part in last
