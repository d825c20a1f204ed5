"""Items → batches, the same ones whatever the number of worker processes."""

import math
import os
import random
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch.utils.data import DataLoader

from data.image_reader import ImageReader, allocate_caches
from data.resources import plan_workers
from data.samplers import EpochSampler, Key, SizeSampler
from data.transforms import PREPROCESS, normalize
from distributed.context import get_world
from util.errors import UserError, printable
from util.signals import ignore_job_signals

IMAGES_PER_TASK = (
    8  # images that a worker hands over at a time: each handing over costs a millisecond
)


class ImageDataset(Protocol):
    """What the data sets have in common."""

    readers: tuple[ImageReader, ...]

    def __len__(self) -> int: ...

    def size(self, index: int) -> tuple:
        """The sizes of the images in item ``index``; equal ones can share a batch."""

    def get(self, index: int, rng: random.Random) -> dict:
        """Item ``index``; whatever is random about it comes from ``rng``.

        Its images are tensors (C, H, W): 8 bits, or floats in [-1, 1].
        """

    def paths(self, index: int) -> dict[str, str]:
        """The files of item ``index``, which must be in order, as in the item."""


class ImageLoader:
    """An iterable over the batches of one epoch; ``len`` is the number of images in it.

    While training the order of the images is a function of (seed, epoch), what happens to each
    one of (seed, epoch, index): neither workers nor interruptions change them. Otherwise they
    come once, in order, at most ``limit`` of them, but images of one size together.
    """

    def __init__(self, dataset: ImageDataset, opt: Namespace, limit: float = math.inf):
        self.dataset = dataset
        self.reported: set[str] = set()  # broken files
        self.log: Callable[[str], None] = print  # how to say that a file is broken
        self.count = int(min(len(dataset), limit))
        # As many items as there would be if no file were broken.
        self.expected = max(len(reader) + len(reader.broken) for reader in dataset.readers)
        leaves_out = not (opt.isTrain or opt.strict_data)
        together = range(self.count if leaves_out else 0)
        self.together = [set(dataset.paths(index).values()) for index in together]  # files
        self._note([reader.broken for reader in dataset.readers])
        self.batch_size = opt.batch_size
        several = opt.isTrain and PREPROCESS[opt.preprocess].crops
        parcel = max(1, IMAGES_PER_TASK // opt.batch_size) if several else 1
        workers, ahead, parcel = self._as_find_room(opt.num_threads, parcel)
        if opt.isTrain:
            if opt.cache == "auto":
                allocate_caches(dataset.readers)
            shuffle = not opt.serial_batches
            self.sampler = EpochSampler(self.count, opt.batch_size, parcel, opt.seed, shuffle)
        else:
            sizes = [dataset.size(index) for index in range(self.count)]
            self.sampler = SizeSampler(sizes, opt.batch_size)
        self.pinned = bool(opt.gpu_ids) and torch.cuda.is_available()
        self.loader = DataLoader(
            _Items(dataset, opt.seed, leaves_out),
            batch_sampler=self.sampler,
            num_workers=workers,
            collate_fn=collate,
            persistent_workers=workers > 0,
            worker_init_fn=_start_worker,
            generator=torch.Generator(),  # its own: a run that goes on draws as if never stopped
            prefetch_factor=ahead or None,
            # Workers made by fork share the cache. They never touch the GPU.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
        )

    def _as_find_room(self, threads: int, parcel: int) -> tuple[int, int, int]:
        """What `plan_workers` says of the workers that are of use here; tells if it is fewer."""
        cores = max(1, available_cores() // get_world().local_size)
        useful = min(threads, cores, -(-self.count // (parcel * self.batch_size)))
        batch = self.batch_size * sum(reader.largest for reader in self.dataset.readers)
        workers, ahead, parcel = plan_workers(batch, useful, parcel)
        if workers < useful:
            self.log(
                f"note: /dev/shm has room for {workers} of {useful} processes that read images; "
                f"enlarge it (docker run --shm-size=1g) or use --num_threads {workers}"
            )
        return workers, ahead, parcel

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Which epoch the next iteration goes through, how many of its images to leave out."""
        self.sampler.epoch, self.sampler.start = epoch, start

    def side_lengths(self) -> set[int]:
        """All widths and heights of the images, in pixels."""
        sizes = (reader.size(i) for reader in self.dataset.readers for i in range(len(reader)))
        return {side for size in sizes for side in size}

    def own_sizes(self) -> dict[str, tuple[int, int]]:
        """File → width and height of the image in it, as seen, before it was scaled."""
        return {
            str(path): size
            for reader in self.dataset.readers
            for path, size in zip(reader.paths, reader.own_sizes, strict=True)
        }

    @property
    def cached_bytes(self) -> int:
        """The memory that cached images take in the end."""
        return sum(reader.cache.nbytes for reader in self.dataset.readers if reader.cache)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[dict]:
        for parcel in self.loader:
            yield from self._unpacked(parcel)

    def iter_sharded(self) -> Iterator[dict]:
        """The batches of all processes in order, when not training; of others' the file names."""
        parcels, world = iter(self.loader), get_world()
        for number, keys in enumerate(self.sampler.batches):
            if number % world.size == world.rank:
                yield from self._unpacked(next(parcels))
            else:
                names = [self.dataset.paths(index) for _, index in keys]
                yield {name: [item[name] for item in names] for name in names[0]}

    def _unpacked(self, parcel: dict) -> Iterator[dict]:
        if "error" in parcel:
            raise UserError(parcel["error"])
        self._note(parcel.pop("broken"))
        yield from split(parcel, self.batch_size, self.pinned)

    def close(self) -> None:
        """End the worker processes; nothing can be read any more.

        Left to the garbage collector, which may take away their queues first, they end slowly.
        """
        self.loader = ()

    @property
    def broken(self) -> dict[str, str]:
        """The files that could not be read, and why."""
        return {path: why for reader in self.dataset.readers for path, why in reader.broken.items()}

    def _note(self, broken: list[dict[str, str]]) -> None:
        """Tell of the images that the worker processes found broken; too many are an error."""
        for reader, found in zip(self.dataset.readers, broken, strict=True):
            reader.broken.update(found)
        for reader, found in zip(self.dataset.readers, broken, strict=True):
            for path, why in found.items():
                if path not in self.reported:
                    self.reported.add(path)
                    self.log(f"warning: {printable(why)}; it is left out{self._with_it(path)}")
            reader.refuse_many_broken()

    def _with_it(self, path: str) -> str:
        """Names the whole files that are left out as well: they come with broken ones only."""
        broken = self.broken
        beside = set().union(*(files for files in self.together if path in files)) - broken.keys()
        whole = (files for files in self.together if files & beside and files.isdisjoint(broken))
        lost = sorted(beside.difference(*whole))
        some = ", ".join(lost[:3]) + (f", … ({len(lost)} files)" if len(lost) > 3 else "")
        return f", and with it {printable(some)}" if lost else ""


class _Items(torch.utils.data.Dataset):
    """Items by key, for the worker processes, each with what its readers have found ``broken``.

    One that cannot be read is an ``error``, or holds nothing else if it may be left out.
    """

    def __init__(self, dataset: ImageDataset, seed: int, leave_out: bool):
        self.dataset, self.seed, self.leave_out = dataset, seed, leave_out

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> dict:
        epoch, index = key
        try:
            item = self.dataset.get(index, random.Random(f"{self.seed} {epoch} {index}"))
        except UserError as error:
            item = {} if self.leave_out else {"error": str(error)}
        return {**item, "broken": [dict(reader.broken) for reader in self.dataset.readers]}


def _start_worker(number: int) -> None:
    ignore_job_signals()


def collate(items: list[dict]) -> dict:
    """Tensors are stacked to (N, C, H, W), everything else becomes a list; ``broken`` is merged."""
    *_, newest = (item.pop("broken") for item in items)  # of one worker: each knows of all before
    for item in items:
        if "error" in item:
            return item
    whole = [item for item in items if item]
    names = whole[0] if whole else ()
    return {"broken": newest} | {
        name: torch.stack([item[name] for item in whole])
        if isinstance(whole[0][name], torch.Tensor)
        else [item[name] for item in whole]
        for name in names
    }


def split(parcel: dict, batch_size: int, pinned: bool = False) -> Iterator[dict]:
    """The batches in a parcel, images in [-1, 1]. All of them may have been left out."""
    count = len(next(iter(parcel.values()), ()))
    for first in range(0, count, batch_size):
        batch = {name: values[first : first + batch_size] for name, values in parcel.items()}
        yield {
            name: normalize(values, pinned) if isinstance(values, torch.Tensor) else values
            for name, values in batch.items()
        }


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
