"""Datasets and their batches: the same for the same seed, from any point of a run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from helpers.commands import draw_image, make_image_set, make_images

from data import DATASETS, create_dataset, create_samples
from models import MODELS
from options import TestOptions, TrainOptions
from util.errors import UserError

SIZES = ["--load_size", "30", "--crop_size", "24", "--gpu_ids", "-1", "--num_threads", "0"]


def train_options(root: Path, *words):
    return TrainOptions().parse(["--dataroot", str(root), *SIZES, *map(str, words)])


def test_options(root: Path, *words):
    return TestOptions().parse(["--dataroot", str(root), *SIZES, *map(str, words)])


test_options.__test__ = False


def epoch_of(batches, epoch: int, start: int = 0) -> list[dict]:
    batches.set_epoch(epoch, start)
    return list(batches)


def names(batches: list[dict], side: str = "A") -> list[str]:
    return [Path(path).name for batch in batches for path in batch[f"{side}_paths"]]


def same(first: list[dict], second: list[dict]) -> bool:
    return len(first) == len(second) and all(
        a.keys() == b.keys()
        and all(torch.equal(a[k], b[k]) if k in ("A", "B") else a[k] == b[k] for k in a)
        for a, b in zip(first, second, strict=True)
    )


@pytest.fixture(scope="module")
def uneven(tmp_path_factory) -> Path:
    """More images of B than of A."""
    return make_image_set(tmp_path_factory.mktemp("data") / "uneven", (5, 7, 2, 3))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 10])
def test_batch_sizes_shapes_and_paths(uneven, batch_size):
    batches = create_dataset(train_options(uneven, "--batch_size", batch_size))
    assert len(batches) == 7
    epoch = epoch_of(batches, 1)
    sizes = [batch_size] * (7 // batch_size) + ([7 % batch_size] if 7 % batch_size else [])
    assert [len(batch["A"]) for batch in epoch] == sizes
    for batch in epoch:
        assert set(batch) == {"A", "B", "A_paths", "B_paths"}
        for side in "AB":
            assert batch[side].dtype == torch.float32
            assert batch[side].shape == (len(batch["A_paths"]), 3, 24, 24)
            assert -1 <= batch[side].min() < batch[side].max() <= 1
            assert all(f"train{side}" in path for path in batch[f"{side}_paths"])


@pytest.mark.parametrize("words", [[], ["--batch_size", "3"]], ids=str)
def test_batches_do_not_depend_on_the_number_of_workers(uneven, words):
    def epochs(threads):
        batches = create_dataset(train_options(uneven, *words, "--num_threads", threads))
        return [batch for epoch in (1, 2) for batch in epoch_of(batches, epoch)]

    without_workers = epochs(0)
    assert same(without_workers, epochs(1))
    assert same(without_workers, epochs(2))


@pytest.mark.parametrize("start", [0, 1, 4, 6, 7])
def test_an_epoch_can_start_at_any_image(uneven, start):
    batches = create_dataset(train_options(uneven))
    whole = epoch_of(batches, 3)
    assert same(epoch_of(batches, 3, start), whole[start:])


def test_an_epoch_can_start_at_any_batch(uneven):
    batches = create_dataset(train_options(uneven, "--batch_size", 2))
    whole = epoch_of(batches, 3)
    assert same(epoch_of(batches, 3, 4), whole[2:])


def test_batches_are_a_function_of_epoch_and_seed(uneven):
    batches = create_dataset(train_options(uneven))
    first = epoch_of(batches, 1)
    second = epoch_of(batches, 2)
    assert same(first, epoch_of(batches, 1))
    assert names(first) != names(second)
    assert same(first, epoch_of(create_dataset(train_options(uneven)), 1))
    other = epoch_of(create_dataset(train_options(uneven, "--seed", 1)), 1)
    assert names(first) != names(other)


def test_every_image_occurs_once_per_epoch(tmp_path):
    root = make_image_set(tmp_path, (6, 4, 1, 1))
    batches = create_dataset(train_options(root, "--batch_size", 4))
    orders = set()
    for epoch in range(1, 9):
        order = names(epoch_of(batches, epoch))
        assert sorted(order) == [f"{i:02d}.png" for i in range(6)]
        orders.add(tuple(order))
    assert len(orders) == 8


def test_the_smaller_domain_starts_over(uneven):
    counts = Counter(names(epoch_of(create_dataset(train_options(uneven)), 1)))
    assert sorted(counts.values()) == [1, 1, 1, 2, 2]


def test_crop_and_flip_differ_between_epochs(tmp_path):
    root = make_image_set(tmp_path, (1, 1, 1, 1))
    batches = create_dataset(train_options(root, "--load_size", 40))
    images = [epoch_of(batches, epoch)[0]["A"] for epoch in range(1, 7)]
    assert len({image.numpy().tobytes() for image in images}) >= 5


def test_B_is_uniformly_random(tmp_path):
    root = make_image_set(tmp_path, (4, 4, 1, 1))
    batches = create_dataset(train_options(root))
    pairs = Counter()
    n = 0
    for number in range(1, 201):
        epoch = epoch_of(batches, number)
        pairs.update(zip(names(epoch, "A"), names(epoch, "B"), strict=True))
        n += len(epoch)
    assert len(pairs) == 16
    for count in pairs.values():
        assert abs(count - n / 16) < 5 * (n * 15 / 16**2) ** 0.5


def test_serial_batches_are_in_order(uneven):
    epoch = epoch_of(create_dataset(train_options(uneven, "--serial_batches")), 5)
    assert names(epoch, "A") == [f"{i % 5:02d}.png" for i in range(7)]
    assert names(epoch, "B") == [f"{i:02d}.png" for i in range(7)]


def test_max_dataset_size_limits_each_folder(uneven):
    batches = create_dataset(train_options(uneven, "--max_dataset_size", 3))
    assert len(batches) == 3
    seen = set()
    for epoch in range(1, 30):
        batch = epoch_of(batches, epoch)
        seen |= {*names(batch, "A"), *names(batch, "B")}
    assert seen == {"00.png", "01.png", "02.png"}


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_channels_follow_the_direction(uneven, direction):
    words = ["--input_nc", 1, "--lambda_identity", 0, "--direction", direction]
    batch = epoch_of(create_dataset(train_options(uneven, *words)), 1)[0]
    gray, color = "AB" if direction == "AtoB" else "BA"
    assert batch[gray].shape[1] == 1
    assert batch[color].shape[1] == 3


@pytest.mark.parametrize("dataset_mode", DATASETS)
def test_every_dataset_is_deterministic_in_testing(dataset, dataset_mode):
    """Items are in order, without random crops and flips, and the same each time."""
    model = next(name for name, kind in MODELS.items() if dataset_mode in kind.dataset_modes)
    phase = ["--phase", "testA"] if dataset_mode in ("aligned", "colorization") else []
    root = dataset / "testA" if dataset_mode == "single" else dataset
    opt = test_options(root, "--model", model, "--dataset_mode", dataset_mode, *phase)
    first, again = list(create_dataset(opt)), list(create_dataset(opt))
    assert len(first) == len(create_dataset(opt)) > 0
    assert same(first, again)
    assert names(first, "A")[:2] == ["00.png", "01.png"]


def test_single_reads_a_folder(tmp_path):
    make_images(tmp_path / "photos", 2)
    make_images(tmp_path / "photos" / "more", 1)
    batches = create_dataset(test_options(tmp_path / "photos"))
    assert names(list(batches)) == ["00.png", "01.png", "00.png"]
    assert all(set(batch) == {"A", "A_paths"} for batch in batches)


def test_single_reads_one_file_with_any_extension(tmp_path):
    draw_image("me").save(tmp_path / "me", format="PNG")
    (batch,) = create_dataset(test_options(tmp_path / "me"))
    assert batch["A_paths"] == [str(tmp_path / "me")]
    assert batch["A"].shape == (1, 3, 24, 24)


def test_samples_come_from_the_test_folders(uneven):
    samples = list(create_samples(train_options(uneven, "--batch_size", 3), 2))
    assert len(samples) == 2
    assert names(samples, "A") == names(samples, "B") == ["00.png", "01.png"]
    for i, batch in enumerate(samples):
        for side in "AB":
            assert batch[side].shape == (1, 3, 24, 24)
            assert batch[f"{side}_paths"] == [str(uneven / f"test{side}" / f"0{i}.png")]


def test_samples_come_from_the_training_folders_without_test_folders(tmp_path):
    for side in ("trainA", "trainB"):
        make_images(tmp_path / side, 3)
    samples = list(create_samples(train_options(tmp_path), 2))
    assert [Path(batch["A_paths"][0]).parent.name for batch in samples] == ["trainA"] * 2


def test_samples_are_transformed_as_in_testing(uneven):
    samples = list(create_samples(train_options(uneven), 3))
    words = ["--model", "cycle_gan", "--load_size", 24]
    tested = list(create_dataset(test_options(uneven, *words)))
    assert same(samples, tested)


@pytest.mark.parametrize("threads", [0, 2])
def test_an_image_with_broken_pixels_is_named(tmp_path, threads):
    for side in ("trainA", "trainB"):
        make_images(tmp_path / side, 3)
    broken = tmp_path / "trainA" / "01.png"
    content = broken.read_bytes()
    at = content.index(b"IDAT") + 20  # header and end are intact: only decoding finds the error
    broken.write_bytes(content[:at] + b"rubbish" + content[at + 7 :])
    batches = create_dataset(train_options(tmp_path, "--num_threads", threads))
    with pytest.raises(UserError, match=r"trainA/01\.png cannot be read"):
        epoch_of(batches, 1)
