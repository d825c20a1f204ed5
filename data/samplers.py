"""Samplers: the order of the images, and the share of each process."""

import random
from collections.abc import Iterator
from itertools import accumulate

from torch.utils.data import Sampler

from distributed.context import get_world, split_evenly

Key = tuple[int, int]  # epoch, index


class EpochSampler(Sampler[list[Key]]):
    """The keys of an epoch for this process, grouped into worker tasks of several batches.

    All processes together visit every index once, in the order of a single process with a batch
    of the same total size. If fewer images than processes remain at the end, the processes without
    one repeat an image of another; it is padding, whose gradient does not count.
    """

    def __init__(self, n: int, batch_size: int, batches_per_task: int, seed: int, shuffle: bool):
        self.n = n
        self.batch_size = batch_size
        self.task_size = batches_per_task * batch_size  # in images
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 1
        self.start = 0  # images of the epoch to skip, of all processes together
        self.world = get_world()

    def order(self) -> list[int]:
        """Return all indices in the order of this epoch, a function of seed and epoch."""
        indices = list(range(self.n))
        if self.shuffle:
            random.Random(f"{self.seed} {self.epoch}").shuffle(indices)
        return indices

    def own(self) -> list[int]:
        """Return the remaining indices of this epoch for this process, in order."""
        rank = self.world.rank
        size = self.world.size
        indices = self.order()[self.start :]

        # Whole batches go to the processes in turn.
        whole = len(indices) - len(indices) % (self.batch_size * size)
        own = [
            index for i, index in enumerate(indices[:whole]) if i // self.batch_size % size == rank
        ]

        # The last, smaller ones are split evenly.
        rest = indices[whole:]
        ends = [0, *accumulate(split_evenly(len(rest), size))]
        return own + (rest[ends[rank] : ends[rank + 1]] or rest[:1])

    def __iter__(self) -> Iterator[list[Key]]:
        keys = [(self.epoch, index) for index in self.own()]
        for first in range(0, len(keys), self.task_size):
            yield keys[first : first + self.task_size]

    def __len__(self) -> int:
        return -(-len(self.own()) // self.task_size)


class SizeSampler(Sampler[list[Key]]):
    """Every index once, in order, in batches of items whose ``sizes`` are equal.

    ``batches`` are those of all processes, which take turns.
    """

    def __init__(self, sizes: list[tuple], batch_size: int):
        groups: dict[tuple, list[Key]] = {}
        for index, size in enumerate(sizes):
            groups.setdefault(size, []).append((0, index))

        self.batches = [
            keys[first : first + batch_size]
            for keys in groups.values()
            for first in range(0, len(keys), batch_size)
        ]

    def own(self) -> list[list[Key]]:
        """Return the batches of this process."""
        world = get_world()
        return self.batches[world.rank :: world.size]

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self.own())

    def __len__(self) -> int:
        return len(self.own())
