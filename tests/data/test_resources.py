"""Resources of a run: image caches, free memory, shared memory, timing, out-of-memory errors."""

from __future__ import annotations

import os
import pickle
import runpy
import shutil
import stat
import sys
from argparse import Namespace

import pytest
import torch
from helpers.commands import ROOT, make_image_set, make_images, ok

from data import create_dataset, resources
from data.cache import ImageCache
from engine.memory import explain_out_of_memory
from options import TestOptions, TrainOptions
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
def test_cached_images_are_read_once_and_equal_uncached_ones(tmp_path, threads, preprocess, gray):
    root = make_image_set(tmp_path / "set")
    words = ["--num_threads", threads, "--preprocess", preprocess]
    words += GRAY if gray else []
    uncached = loader(root, "--cache", "off", *words)
    cached = loader(root, *words)
    expected = [epoch(uncached, number) for number in (1, 2, 3)]

    first = epoch(cached, 1)
    # Every A was read; B is random, so that a few images may not be cached yet.
    for path in (root / "trainA").iterdir():
        path.write_bytes(b"gone")
    later = [epoch(cached, number) for number in (2, 3)] if len(paths_B(first)) == 4 else []

    for found, right in zip([first, *later], expected, strict=False):
        for one, other in zip(found, right, strict=True):
            assert torch.equal(one["A"], other["A"])
            assert torch.equal(one["B"], other["B"])
    assert cached.cached_bytes > 0
    assert uncached.cached_bytes == 0


def paths_B(batches: list[dict]) -> set[str]:
    return {path for batch in batches for path in batch["B_paths"]}


def test_after_an_epoch_in_order_no_file_is_read_again(tmp_path):
    root = make_image_set(tmp_path / "set")
    cached = loader(root, "--serial_batches", "--num_threads", "2")
    epoch(cached, 1)
    for path in root.rglob("train*/*.png"):
        path.write_bytes(b"gone")
    assert len(epoch(cached, 2)) == 4


def test_an_unpickled_cache_is_empty():
    cache = ImageCache([(4, 3), (2, 5)], channels=3)
    pixels = torch.arange(36, dtype=torch.uint8).view(3, 3, 4)
    cache.put(0, pixels)
    assert torch.equal(cache.get(0), pixels)
    assert cache.get(1) is None
    copy = pickle.loads(pickle.dumps(cache))  # noqa: S301 - created here
    copy.put(1, torch.zeros(3, 5, 2, dtype=torch.uint8))
    assert copy.get(0) is copy.get(1) is None


@pytest.mark.parametrize(("free", "caches"), [(1.9, 0), (2, 1), (3.9, 1), (4, 2)])
def test_all_caches_together_take_half_of_the_free_memory(tmp_path, monkeypatch, free, caches):
    root = make_image_set(tmp_path / "set", (4, 4, 1, 1))
    cache_bytes = 4 * 36 * 36 * 3
    monkeypatch.setattr("data.image_reader.free_memory", lambda: free * cache_bytes)
    assert loader(root).cached_bytes == caches * cache_bytes


#: lines of /proc/self/cgroup; cgroup with a limit, its files; free bytes of a machine with 5 KiB
LIMITS = {
    "container": ("0::/", "", ("500", "300", "100"), 300),
    "no limit": ("0::/", "", ("max", "300", "100"), 5120),
    "no memory.stat": ("0::/", "", ("500", "300", None), 200),
    "limit of the parent": ("0::/slurm/job_7/step_0", "slurm/job_7", ("500", "300", "0"), 200),
    "limit above the memory": ("0::/", "", ("9000", "300", "0"), 5120),
    "version 1": ("4:memory:/job", "memory/job", ("500", "300", "100"), 300),
    "version 1, container": ("4:cpu,memory:/docker/7", "cpu,memory", ("500", "300", "0"), 200),
    "another controller": ("0::/\n5:cpuset:/job", "cpuset/job", ("500", "300", "0"), 5120),
}


@pytest.mark.parametrize("case", LIMITS.values(), ids=LIMITS)
def test_free_memory_respects_cgroup_limits(tmp_path, monkeypatch, case):
    own, folder, texts, expected = case
    names = resources.CGROUP_FILES["memory" in folder]
    group = tmp_path / "groups" / folder
    group.mkdir(parents=True)
    for name, text in zip(names[:2], texts, strict=False):
        (group / name).write_text(text + "\n")
    if texts[2] is not None:
        (group / "memory.stat").write_text(f"anon 9\n{names[2]} {texts[2]}\n")
    for name, text in (
        ("MEMINFO", "MemFree: 1 kB\nMemAvailable: 5 kB\n"),
        ("PROCESS_CGROUPS", own),
    ):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(resources, name, tmp_path / name)
    monkeypatch.setattr(resources, "CGROUP_ROOT", tmp_path / "groups")
    assert resources.free_memory() == expected


def test_free_memory_without_proc_and_without_sysconf(tmp_path, monkeypatch):
    for name in ("MEMINFO", "PROCESS_CGROUPS"):
        monkeypatch.setattr(resources, name, tmp_path / "none")
    assert resources.free_memory() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    assert resources.free_memory() == 0


@pytest.fixture
def shared(monkeypatch):
    """``shared(n)`` leaves n bytes free in /dev/shm."""

    def set_free(free: int) -> None:
        stats = Namespace(f_bavail=free, f_frsize=1)
        monkeypatch.setattr(os, "statvfs", lambda path: stats)

    monkeypatch.setattr("data.loader.available_cores", lambda: 8)
    return set_free


PAIR = 2 * 32 * 32 * 3  # bytes of one image A and one image B


@pytest.mark.parametrize(
    ("pairs", "workers", "prefetch_factor", "batches_per_task"),
    [
        (10**6, 2, 4, 8),
        (80, 2, 4, 8),
        (79, 2, 4, 7),
        (10, 2, 4, 1),
        (9, 2, 3, 1),
        (4, 2, 1, 1),
        (3, 1, 1, 1),
        (2, 0, None, 8),
        (0, 0, None, 8),
    ],
)
def test_batches_in_flight_fit_into_a_third_of_the_shared_memory(
    tmp_path, shared, capsys, pairs, workers, prefetch_factor, batches_per_task
):
    root = make_image_set(tmp_path / "set", (16, 9, 1, 1))
    shared(3 * pairs * PAIR)
    found = loader(root, "--num_threads", "2")
    assert found.loader.num_workers == workers
    assert found.loader.prefetch_factor == prefetch_factor
    assert found.sampler.task_size == batches_per_task
    note = capsys.readouterr().out
    assert note.startswith("note: /dev/shm has room for") == (workers < 2)
    if workers < 2:
        assert f" {workers} of 2 dataloader workers" in note
        assert "--shm-size=1g" in note
        assert note.endswith(f"--num_threads {workers}\n")


#: flags; channels of a pair times bytes per value; pixels of an image
BATCH_SIZES = {
    "gray": ([*GRAY], 2, 32 * 32),
    "16 bits": ([*GRAY, "--bit_depth", "16"], 4, 32 * 32),
    "not cropped": (["--preprocess", "none"], 6, 44 * 40),
    "scaled": (["--preprocess", "scale_width"], 6, 36 * 36),
    "colorization": (["--model", "colorization", "--phase", "trainA"], 12, 32 * 32),
    "batches": (["--batch_size", "3"], 18, 32 * 32),
}


@pytest.mark.parametrize("case", BATCH_SIZES.values(), ids=BATCH_SIZES)
def test_the_largest_batch_must_fit_into_the_shared_memory(tmp_path, shared, case):
    words, values, pixels = case
    root = make_image_set(tmp_path / "set", (6, 6, 1, 1))
    for side in ("trainA", "trainB"):
        make_images(root / side, 1, (44, 40))
    threads = []
    for free in (9 * values * pixels, 9 * values * pixels - 3):
        shared(free)
        threads.append(loader(root, *words, "--num_threads", "1").loader.num_workers)
    assert threads == [1, 0]


def test_without_dev_shm_there_is_no_limit(tmp_path, shared, monkeypatch):
    root = make_image_set(tmp_path / "set", (16, 9, 1, 1))
    monkeypatch.setattr(resources, "SHARED_MEMORY", tmp_path / "none")
    found = loader(root, "--num_threads", "2")
    assert (found.loader.num_workers, found.loader.prefetch_factor) == (2, 4)
    assert found.sampler.task_size == 8


def test_batches_do_not_depend_on_the_shared_memory(tmp_path, shared):
    root = make_image_set(tmp_path / "set", (5, 7, 1, 1))
    epochs = []
    for pairs in (10**6, 9, 3, 0):
        shared(3 * pairs * PAIR)
        epochs.append(epoch(loader(root, "--num_threads", "2"), 1))
    for found in epochs[1:]:
        for one, other in zip(found, epochs[0], strict=True):
            assert torch.equal(one["A"], other["A"])
            assert torch.equal(one["B"], other["B"])


def test_images_of_equal_size_share_batches_without_changing_results(tmp_path, trained, call):
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


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_out_of_memory_error_names_the_flags_that_help(error):
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
def test_out_of_memory_error_of_a_test_suggests_no_training_flags(netG, tile, advice):
    opt = Namespace(isTrain=False, batch_size=1, crop_size=512, ngf=64, netG=netG, tile=tile)
    with pytest.raises(UserError, match=advice) as caught, explain_out_of_memory(opt):
        raise MemoryError
    assert "--grad_checkpoint" not in str(caught.value)
    assert ("--tile" in str(caught.value)) == (netG != "unet_256")


def test_memory_report_on_a_system_without_the_resource_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    report = runpy.run_path(str(ROOT / "engine" / "memory.py"))["memory_report"]
    assert report(None, torch.device("cpu")) == "peak memory: not available on this system"


def test_write_text_syncs_only_files_open_for_writing(monkeypatch, tmp_path):
    fcntl = pytest.importorskip("fcntl")

    def fsync(handle: int) -> None:  # as on Windows
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            assert fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_RDWR

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(tmp_path / "file", "content")
    assert (tmp_path / "file").read_text("utf-8") == "content"


def test_other_runtime_errors_are_not_reported_as_out_of_memory():
    with pytest.raises(RuntimeError, match="shapes"), explain_out_of_memory(Namespace()):
        raise RuntimeError("shapes do not fit")


@pytest.mark.slow
def test_report_memory_lists_the_parts(dataset, run):
    from conftest import TINY_TRAIN

    words = ["--dataroot", dataset, "--name", "m", *TINY_TRAIN, "--report_memory"]
    last = ok(run("train.py", *words)).stdout.splitlines()[-1]
    assert last.startswith("peak memory ")
    for part in ("networks", "gradients", "optimizers", "pools", "activations"):
        assert part in last
