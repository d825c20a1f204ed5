"""Which images come when, and which process takes them."""

import random
from collections.abc import Iterator
from itertools import accumulate

from torch.utils.data import Sampler

from distributed.context import get_world, split_evenly

Key = tuple[int, int]  # epoch, index


class EpochSampler(Sampler[list[Key]]):
    """The keys of an epoch that this process takes, in parcels of so many batches.

    All processes together take every index once, in the order in which one alone would with
    batches as large as theirs together. Where the last images are fewer than the processes,
    those that have none left stand by with one of the others', which does not count.
    """

    def __init__(self, n: int, batch_size: int, parcel: int, seed: int, shuffle: bool):
        self.n, self.batch_size, self.parcel = n, batch_size, parcel * batch_size
        self.seed, self.shuffle = seed, shuffle
        self.epoch, self.start = 1, 0
        self.world = get_world()

    def order(self) -> list[int]:
        """All indices in the order of this epoch."""
        indices = list(range(self.n))
        if self.shuffle:
            random.Random(f"{self.seed} {self.epoch}").shuffle(indices)
        return indices

    def own(self) -> list[int]:
        """The indices that are left of this epoch for this process, in order."""
        indices, (rank, size) = self.order()[self.start :], (self.world.rank, self.world.size)
        together = self.batch_size * size
        whole = len(indices) // together * together
        own = [index for i, index in enumerate(indices[:whole])
               if i // self.batch_size % size == rank]  # fmt: skip
        rest = indices[whole:]
        ends = [0, *accumulate(split_evenly(len(rest), size))]
        return own + (rest[ends[rank] : ends[rank + 1]] or rest[:1])

    def __iter__(self) -> Iterator[list[Key]]:
        keys = [(self.epoch, index) for index in self.own()]
        for first in range(0, len(keys), self.parcel):
            yield keys[first : first + self.parcel]

    def __len__(self) -> int:
        return -(-len(self.own()) // self.parcel)


class SizeSampler(Sampler[list[Key]]):
    """Every index once, in order, in batches of equal size: ``sizes`` are those of the images.

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
        """The batches of this process."""
        world = get_world()
        return self.batches[world.rank :: world.size]

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self.own())

    def __len__(self) -> int:
        return len(self.own())
