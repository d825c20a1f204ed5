"""What a run costs: images read once, honest clocks, memory that is told."""

from __future__ import annotations

import os
import pickle
import runpy
import shutil
import stat
import sys
import time
from argparse import Namespace

import numpy as np
import pytest
import torch
from helpers.commands import ROOT, make_image_set, make_images, ok

from data import create_dataset, resources
from data.cache import ImageCache
from engine.memory import explain_out_of_memory
from options import TestOptions, TrainOptions
from training.step_timer import StepTimer
from util.errors import UserError
from util.files import write_text

SMALL = ["--gpu_ids", "-1", "--load_size", "36", "--crop_size", "32"]
GRAY = ["--input_nc", "1", "--output_nc", "1"]


def epoch(dataset, number: int) -> list[dict]:
    dataset.set_epoch(number)
    return list(dataset)


def loader(root, *words):
    return create_dataset(TrainOptions().parse(["--dataroot", str(root), *SMALL, *words]))


@pytest.mark.parametrize("threads", ["0", "2"])
@pytest.mark.parametrize("preprocess", ["resize_and_crop", "scale_width_and_crop", "none"])
@pytest.mark.parametrize("gray", [False, True])
def test_images_are_read_once_and_stay_the_same(tmp_path, threads, preprocess, gray):
    root = make_image_set(tmp_path / "set")
    words = ["--num_threads", threads, "--preprocess", preprocess]
    words += GRAY if gray else []
    plain, kept = loader(root, "--cache", "off", *words), loader(root, *words)
    expected = [epoch(plain, number) for number in (1, 2, 3)]
    first = epoch(kept, 1)
    # Every A was seen; B is draw_image at random, so that a few may still be missing.
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
    root = make_image_set(tmp_path / "set")
    kept = loader(root, "--serial_batches", "--num_threads", "2")
    epoch(kept, 1)
    for path in root.rglob("train*/*.png"):
        path.write_bytes(b"gone")
    assert len(epoch(kept, 2)) == 4


def test_a_cache_that_was_pickled_holds_nothing():
    cache = ImageCache([(4, 3), (2, 5)], channels=3)
    pixels = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    cache.put(0, pixels)
    assert np.array_equal(cache.get(0), pixels)
    assert cache.get(1) is None
    copy = pickle.loads(pickle.dumps(cache))  # noqa: S301 - our own
    copy.put(1, np.zeros((5, 2, 3), np.uint8))
    assert copy.get(0) is copy.get(1) is None


@pytest.mark.parametrize(("free", "kept"), [(1.9, 0), (2, 1), (3.9, 1), (4, 2)])
def test_all_caches_together_take_half_of_the_free_memory(tmp_path, monkeypatch, free, kept):
    root, one = make_image_set(tmp_path / "set", (4, 4, 1, 1)), 4 * 36 * 36 * 3
    monkeypatch.setattr("data.image_reader.free_memory", lambda: free * one)
    assert loader(root).cached_bytes == kept * one


#: line of /proc/self/cgroup; folder with a limit, its files; bytes that are left of 5 KiB
LIMITS = {
    "container": ("0::/", "", ("500", "300", "100"), 300),
    "no limit": ("0::/", "", ("max", "300", "100"), 5120),
    "no list": ("0::/", "", ("500", "300", None), 200),
    "job above": ("0::/slurm/job_7/step_0", "slurm/job_7", ("500", "300", "0"), 200),
    "more than there is": ("0::/", "", ("9000", "300", "0"), 5120),
    "version 1": ("4:memory:/job", "memory/job", ("500", "300", "100"), 300),
    "version 1, container": ("4:cpu,memory:/docker/7", "cpu,memory", ("500", "300", "0"), 200),
    "of another kind": ("0::/\n5:cpuset:/job", "cpuset/job", ("500", "300", "0"), 5120),
}  # fmt: skip


@pytest.mark.parametrize("case", LIMITS.values(), ids=LIMITS)
def test_memory_is_what_the_machine_and_its_limits_leave(tmp_path, monkeypatch, case):
    own, folder, texts, left = case
    names = resources.LIMITS["memory" in folder]
    group = tmp_path / "groups" / folder
    group.mkdir(parents=True)
    for name, text in zip(names[:2], texts, strict=False):
        (group / name).write_text(text + "\n")
    if texts[2] is not None:
        (group / "memory.stat").write_text(f"anon 9\n{names[2]} {texts[2]}\n")
    for name, text in (("MEMORY", "MemFree: 1 kB\nMemAvailable: 5 kB\n"), ("OWN_GROUPS", own)):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(resources, name, tmp_path / name)
    monkeypatch.setattr(resources, "GROUPS", tmp_path / "groups")
    assert resources.free_memory() == left


def test_where_nothing_tells_of_memory_none_is_free(tmp_path, monkeypatch):
    for name in ("MEMORY", "OWN_GROUPS"):
        monkeypatch.setattr(resources, name, tmp_path / "none")
    assert resources.free_memory() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    assert resources.free_memory() == 0


@pytest.fixture
def shared(monkeypatch):
    """``shared(n)`` leaves n bytes free in /dev/shm."""

    def leave(free: int) -> None:
        disk = Namespace(f_bavail=free, f_frsize=1)
        monkeypatch.setattr(os, "statvfs", lambda path: disk)

    monkeypatch.setattr("data.loader.available_cores", lambda: 8)
    return leave


PAIR = 2 * 32 * 32 * 3  # bytes of an image A and an image B


@pytest.mark.parametrize(
    ("pairs", "workers", "ahead", "parcel"),
    [(10**6, 2, 4, 8), (80, 2, 4, 8), (79, 2, 4, 7), (10, 2, 4, 1), (9, 2, 3, 1), (4, 2, 1, 1),
     (3, 1, 1, 1), (2, 0, None, 8), (0, 0, None, 8)],
)  # fmt: skip
def test_what_workers_hand_over_stays_within_a_third_of_the_shared_memory(
    tmp_path, shared, capsys, pairs, workers, ahead, parcel
):
    root = make_image_set(tmp_path / "set", (16, 9, 1, 1))
    shared(3 * pairs * PAIR)
    found = loader(root, "--num_threads", "2")
    assert (found.loader.num_workers, found.loader.prefetch_factor) == (workers, ahead)
    assert found.sampler.parcel == parcel
    told = capsys.readouterr().out
    assert told.startswith("note: /dev/shm has room for") == (workers < 2)
    if workers < 2:
        assert f" {workers} of 2 " in told
        assert "--shm-size=1g" in told
        assert told.endswith(f"--num_threads {workers}\n")


#: flags; the channels of a pair times the bytes of each of their values; the sides of an image
HANDED_OVER = {
    "gray": ([*GRAY], 2, 32 * 32),
    "16 bits": ([*GRAY, "--bit_depth", "16"], 8, 32 * 32),
    "not cut": (["--preprocess", "none"], 6, 44 * 40),
    "scaled": (["--preprocess", "scale_width"], 6, 36 * 36),
    "colors": (["--model", "colorization", "--phase", "trainA"], 12, 32 * 32),
    "batches": (["--batch_size", "3"], 18, 32 * 32),
}


@pytest.mark.parametrize("case", HANDED_OVER.values(), ids=HANDED_OVER)
def test_the_largest_batch_is_what_must_find_room(tmp_path, shared, case):
    words, values, pixels = case
    root = make_image_set(tmp_path / "set", (6, 6, 1, 1))
    for side in ("trainA", "trainB"):
        make_images(root / side, 1, (44, 40))
    threads = []
    for free in (9 * values * pixels, 9 * values * pixels - 3):
        shared(free)
        threads.append(loader(root, *words, "--num_threads", "1").loader.num_workers)
    assert threads == [1, 0]


def test_where_there_is_no_shared_memory_nothing_changes(tmp_path, shared, monkeypatch):
    root = make_image_set(tmp_path / "set", (16, 9, 1, 1))
    monkeypatch.setattr(resources, "SHARED", tmp_path / "none")
    found = loader(root, "--num_threads", "2")
    assert (found.loader.num_workers, found.loader.prefetch_factor) == (2, 4)
    assert found.sampler.parcel == 8


def test_little_shared_memory_changes_no_batch(tmp_path, shared):
    root, epochs = make_image_set(tmp_path / "set", (5, 7, 1, 1)), []
    for pairs in (10**6, 9, 3, 0):
        shared(3 * pairs * PAIR)
        epochs.append(epoch(loader(root, "--num_threads", "2"), 1))
    for found in epochs[1:]:
        for one, other in zip(found, epochs[0], strict=True):
            assert torch.equal(one["A"], other["A"])
            assert torch.equal(one["B"], other["B"])


def test_images_of_one_size_are_tested_together_and_results_do_not_change(tmp_path, trained, call):
    folder = make_images(tmp_path / "mixed", 3, (40, 32))
    for i, path in enumerate(sorted(make_images(tmp_path / "wide", 3, (36, 44)).iterdir())):
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
    watch = StepTimer(lambda: None)

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
    watch, told = StepTimer(lambda: None), []
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
    opt = Namespace(isTrain=True, batch_size=7, crop_size=512, ngf=64)
    with pytest.raises(UserError) as caught, explain_out_of_memory(opt):
        raise error
    for part in ("--batch_size 7", "--crop_size 512", "--precision", "--grad_checkpoint"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("netG", "tile", "advice"),
    [
        ("resnet_6blocks", 0, "use --batch_size 1 or a smaller --crop_size, or try --tile 1024"),
        ("unet_256", 0, "use --batch_size 1 or a smaller --crop_size"),
        ("resnet_6blocks", 512, "lower --tile 512"),
    ],
)
def test_a_test_is_not_told_to_change_its_networks(netG, tile, advice):
    opt = Namespace(isTrain=False, batch_size=1, crop_size=512, ngf=64, netG=netG, tile=tile)
    with pytest.raises(UserError, match=advice) as caught, explain_out_of_memory(opt):
        raise MemoryError
    assert "--grad_checkpoint" not in str(caught.value)
    assert ("--tile" in str(caught.value)) == (netG != "unet_256")


def test_a_system_that_does_not_tell_its_memory_is_no_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    report = runpy.run_path(str(ROOT / "engine" / "memory.py"))["report"]
    assert report(None, torch.device("cpu")) == "peak memory: this system does not tell it"


def test_a_system_that_syncs_only_what_is_open_for_writing_is_no_error(monkeypatch, tmp_path):
    fcntl = pytest.importorskip("fcntl")

    def fsync(handle: int) -> None:  # as on Windows
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            assert fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_RDWR

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(tmp_path / "file", "content")
    assert (tmp_path / "file").read_text("utf-8") == "content"


def test_other_errors_are_not_taken_for_it():
    with pytest.raises(RuntimeError, match="shapes"), explain_out_of_memory(Namespace()):
        raise RuntimeError("shapes do not fit")


def test_memory_is_reported_by_part(dataset, run):
    from conftest import TINY_TRAIN

    words = ["--dataroot", dataset, "--name", "m", *TINY_TRAIN, "--report_memory"]
    last = ok(run("train.py", *words)).stdout.splitlines()[-1]
    assert last.startswith("peak memory ")
    for part in ("networks", "gradients", "optimizers", "pools", "activations"):
        assert part in last
