"""Items → batches, the same ones whatever the number of worker processes."""

import math
import os
import random
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Protocol

import torch
from torch.utils.data import DataLoader, Sampler

from data.reader import PictureReader
from util.errors import UserError

Key = tuple[int, int]  # epoch, index


class PictureDataset(Protocol):
    """What the data sets have in common."""

    readers: tuple[PictureReader, ...]

    def __len__(self) -> int: ...

    def size(self, index: int) -> tuple:
        """The sizes of the pictures in item ``index``; equal ones can share a batch."""

    def get(self, index: int, rng: random.Random) -> dict:
        """Item ``index``; whatever is random about it comes from ``rng``."""


class Batches:
    """An iterable over the batches of one epoch; ``len`` is the number of pictures in it.

    While training the order of the pictures is a function of (seed, epoch), what happens to each
    one of (seed, epoch, index): neither workers nor interruptions change them. Otherwise they
    come once, in order, at most ``limit`` of them, but pictures of one size together.
    """

    def __init__(self, dataset: PictureDataset, opt: Namespace, limit: float = math.inf):
        self.dataset = dataset
        self.count = int(min(len(dataset), limit))
        if opt.isTrain:
            shuffle = not opt.serial_batches
            self.sampler = EpochSampler(self.count, opt.batch_size, opt.seed, shuffle)
        else:
            sizes = [dataset.size(index) for index in range(self.count)]
            self.sampler = SizeSampler(sizes, opt.batch_size)
        workers = min(opt.num_threads, available_cores(), -(-self.count // opt.batch_size))
        self.loader = DataLoader(
            _Items(dataset, opt.seed),
            batch_sampler=self.sampler,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=bool(opt.gpu_ids) and torch.cuda.is_available(),
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
            # Workers made by fork share the cache. They never touch the GPU.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
        )

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Which epoch the next iteration goes through, how many of its pictures to leave out."""
        self.sampler.epoch, self.sampler.start = epoch, start

    def sides(self) -> set[int]:
        """All widths and heights of the pictures, in pixels."""
        sizes = (reader.size(i) for reader in self.dataset.readers for i in range(len(reader)))
        return {side for size in sizes for side in size}

    @property
    def cached_bytes(self) -> int:
        """The memory that cached pictures take in the end."""
        return sum(reader.cache.nbytes for reader in self.dataset.readers if reader.cache)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[dict]:
        for batch in self.loader:
            if "error" in batch:
                raise UserError(batch["error"])
            yield batch


class EpochSampler(Sampler[list[Key]]):
    """The keys of an epoch's batches, every index once."""

    def __init__(self, n: int, batch_size: int, seed: int, shuffle: bool):
        self.n, self.batch_size, self.seed, self.shuffle = n, batch_size, seed, shuffle
        self.epoch, self.start = 1, 0

    def order(self) -> list[int]:
        """All indices in the order of this epoch."""
        indices = list(range(self.n))
        if self.shuffle:
            random.Random(f"{self.seed} {self.epoch}").shuffle(indices)
        return indices

    def __iter__(self) -> Iterator[list[Key]]:
        keys = [(self.epoch, index) for index in self.order()[self.start :]]
        for first in range(0, len(keys), self.batch_size):
            yield keys[first : first + self.batch_size]

    def __len__(self) -> int:
        return -(-(self.n - self.start) // self.batch_size)


class SizeSampler(Sampler[list[Key]]):
    """Every index once, in order, in batches of equal size: ``sizes`` are those of the pictures."""

    def __init__(self, sizes: list[tuple], batch_size: int):
        groups: dict[tuple, list[Key]] = {}
        for index, size in enumerate(sizes):
            groups.setdefault(size, []).append((0, index))
        self.batches = [
            keys[first : first + batch_size]
            for keys in groups.values()
            for first in range(0, len(keys), batch_size)
        ]

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class _Items(torch.utils.data.Dataset):
    """Items by key, for the worker processes. An unreadable picture becomes an ``error``."""

    def __init__(self, dataset: PictureDataset, seed: int):
        self.dataset, self.seed = dataset, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> dict:
        epoch, index = key
        try:
            return self.dataset.get(index, random.Random(f"{self.seed} {epoch} {index}"))
        except UserError as error:
            return {"error": str(error)}


def collate(items: list[dict]) -> dict:
    """Tensors are stacked to (N, C, H, W), everything else becomes a list."""
    for item in items:
        if "error" in item:
            return item
    return {
        name: torch.stack([item[name] for item in items])
        if isinstance(first, torch.Tensor)
        else [item[name] for item in items]
        for name, first in items[0].items()
    }


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
