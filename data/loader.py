"""Dataset items → batches, the same for any number of dataloader workers."""

import math
import os
import random
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from data.base_dataset import BaseDataset
from data.image_reader import allocate_caches
from data.resources import WorkerPlan, plan_workers
from data.samplers import EpochSampler, Key, SizeSampler
from data.transforms import PREPROCESS, normalize
from distributed.context import get_world
from util.errors import UserError, printable
from util.signals import ignore_job_signals

IMAGES_PER_TASK = 8  # loaded by a worker at a time, as each transfer costs a millisecond
MAX_PATHS_SHOWN = 3


class ImageLoader:
    """An iterable over the batches of one epoch; ``len`` is the number of images in it.

    In training, the order of the images is a function of (seed, epoch), crop and flip of each a
    function of (seed, epoch, index), independent of workers and interruptions. In testing, the
    first ``limit`` images come in order, with images of equal size grouped into batches.
    """

    def __init__(self, dataset: BaseDataset, opt: Namespace, limit: float = math.inf):
        self.dataset = dataset
        self.readers = list(dataset.readers.values())
        self.batch_size = opt.batch_size
        self.num_images = int(min(len(dataset), limit))
        self.num_found = max(len(reader) + len(reader.broken) for reader in self.readers)

        # A test skips items with a broken image, and names the intact images skipped with it.
        skips_broken = not (opt.isTrain or opt.strict_data)
        indices = range(self.num_images if skips_broken else 0)
        self.item_files = [set(dataset.item_paths(index).values()) for index in indices]
        self.reported: set[str] = set()  # paths of broken files
        self.log: Callable[[str], None] = print
        self._record_broken([reader.broken for reader in self.readers])

        # A task holds several batches only where all images of an epoch have one size.
        has_one_size = opt.isTrain and PREPROCESS[opt.preprocess].crops
        batches_per_task = max(1, IMAGES_PER_TASK // opt.batch_size) if has_one_size else 1
        plan = self._plan_workers(opt.num_threads, batches_per_task)
        self.sampler = self._make_sampler(opt, plan.batches_per_task)
        if opt.isTrain and opt.cache == "auto":
            allocate_caches(self.readers)

        self.pinned = bool(opt.gpu_ids) and torch.cuda.is_available()
        self.loader: Iterable[dict] = DataLoader(
            _ItemDataset(dataset, opt.seed, skips_broken),
            batch_sampler=self.sampler,
            num_workers=plan.workers,
            collate_fn=collate,
            persistent_workers=plan.workers > 0,
            worker_init_fn=_init_worker,
            # Its own, so that the random numbers of a resumed run are those of a straight one.
            generator=torch.Generator(),
            prefetch_factor=plan.prefetch_factor or None,
            # Forked workers share the cache. They never use the GPU.
            multiprocessing_context="fork" if plan.workers and sys.platform == "linux" else None,
        )

    def _make_sampler(self, opt: Namespace, batches_per_task: int) -> EpochSampler | SizeSampler:
        if not opt.isTrain:
            sizes = [self.dataset.item_size(index) for index in range(self.num_images)]
            return SizeSampler(sizes, opt.batch_size)
        return EpochSampler(
            self.num_images,
            opt.batch_size,
            batches_per_task,
            opt.seed,
            shuffle=not opt.serial_batches,
        )

    def _plan_workers(self, num_threads: int, batches_per_task: int) -> WorkerPlan:
        """Plan the workers that are useful here; log a note if memory allows fewer."""
        cores = max(1, available_cores() // get_world().local_size)
        num_tasks = -(-self.num_images // (batches_per_task * self.batch_size))
        useful = min(num_threads, cores, num_tasks)

        batch_bytes = self.batch_size * sum(reader.max_image_bytes for reader in self.readers)
        plan = plan_workers(batch_bytes, useful, batches_per_task)
        if plan.workers < useful:
            self.log(
                f"note: /dev/shm has room for {plan.workers} of {useful} dataloader workers; "
                f"enlarge it (docker run --shm-size=1g) or use --num_threads {plan.workers}"
            )
        return plan

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Select the training epoch of the next iteration, and how many of its images to skip."""
        assert isinstance(self.sampler, EpochSampler)
        self.sampler.epoch = epoch
        self.sampler.start = start

    def side_lengths(self) -> set[int]:
        """Return all widths and heights of the transformed images, in pixels."""
        sizes = (reader.output_size(i) for reader in self.readers for i in range(len(reader)))
        return {side for size in sizes for side in size}

    def original_sizes(self) -> dict[str, tuple[int, int]]:
        """Map each path to width and height of its image, upright, before scaling."""
        return {
            str(path): size
            for reader in self.readers
            for path, size in zip(reader.paths, reader.original_sizes, strict=True)
        }

    @property
    def cached_bytes(self) -> int:
        """The memory of the image caches when they are full."""
        return sum(reader.cache.nbytes for reader in self.readers if reader.cache)

    @property
    def min_images(self) -> int:
        """Number of images in the smallest domain."""
        return min(map(len, self.dataset.readers.values()))

    def __len__(self) -> int:
        return self.num_images

    def __iter__(self) -> Iterator[dict]:
        for task in self.loader:
            yield from self._batches_of(task)

    def iter_sharded(self) -> Iterator[dict]:
        """Iterate over the test batches of all processes in order.

        Batches of other processes hold only the file names.
        """
        assert isinstance(self.sampler, SizeSampler)
        world = get_world()
        tasks = iter(self.loader)
        for number, keys in enumerate(self.sampler.batches):
            if number % world.size == world.rank:
                yield from self._batches_of(next(tasks))
            else:
                items = [self.dataset.item_paths(index) for _, index in keys]
                yield {name: [item[name] for item in items] for name in items[0]}

    def _batches_of(self, task: dict) -> Iterator[dict]:
        if "error" in task:
            raise UserError(task["error"])
        self._record_broken(task.pop("broken"))
        yield from split(task, self.batch_size, self.pinned)

    def close(self) -> None:
        """Stop the workers; nothing can be loaded afterwards.

        Without this they end slowly, as the garbage collector may delete their queues first.
        """
        self.loader = ()

    @property
    def broken(self) -> dict[str, str]:
        """The files that could not be read, with the reasons."""
        return {path: reason for reader in self.readers for path, reason in reader.broken.items()}

    def _record_broken(self, broken: list[dict[str, str]]) -> None:
        """Log the newly found broken images of each reader. Raises `UserError` if too many."""
        for reader, found in zip(self.readers, broken, strict=True):
            reader.broken.update(found)

        for reader, found in zip(self.readers, broken, strict=True):
            for path, reason in found.items():
                if path not in self.reported:
                    self.reported.add(path)
                    self.log(
                        f"warning: {printable(reason)}; it is left out{self._skipped_with(path)}"
                    )
            reader.check_broken_fraction()

    def _skipped_with(self, path: str) -> str:
        """Name the intact files that are skipped too, as all their items hold a broken one."""
        broken = self.broken
        partners = set().union(*(files for files in self.item_files if path in files))
        partners -= broken.keys()

        used = (files for files in self.item_files if files & partners and files.isdisjoint(broken))
        skipped = sorted(partners.difference(*used))
        if not skipped:
            return ""
        more = f", … ({len(skipped)} files)" if len(skipped) > MAX_PATHS_SHOWN else ""
        return f", and with it {printable(', '.join(skipped[:MAX_PATHS_SHOWN]) + more)}"


class _ItemDataset(Dataset):
    """Items by key, as the workers load them, each with the ``broken`` files known so far.

    An item that cannot be loaded holds only ``error``, or nothing with ``skips_broken``.
    """

    def __init__(self, dataset: BaseDataset, seed: int, skips_broken: bool):
        self.dataset = dataset
        self.seed = seed
        self.skips_broken = skips_broken

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> dict:
        epoch, index = key
        rng = random.Random(f"{self.seed} {epoch} {index}")
        try:
            item = self.dataset.load_item(index, rng)
        except UserError as error:
            item = {} if self.skips_broken else {"error": str(error)}
        return {**item, "broken": [dict(reader.broken) for reader in self.dataset.readers.values()]}


def _init_worker(worker_id: int) -> None:
    ignore_job_signals()


def collate(items: list[dict]) -> dict:
    """Collate the items of one task: stack tensors to (N, C, H, W), collect other values in lists.

    Skipped items are dropped. An item with an ``error`` is returned instead of the task.
    """
    *_, broken = (item.pop("broken") for item in items)  # the last one includes all before
    for item in items:
        if "error" in item:
            return item

    loaded = [item for item in items if item]
    task = {"broken": broken}
    for name in loaded[0] if loaded else ():
        values = [item[name] for item in loaded]
        task[name] = torch.stack(values) if isinstance(values[0], torch.Tensor) else values
    return task


def split(task: dict, batch_size: int, pinned: bool = False) -> Iterator[dict]:
    """Split a task into batches with images in [-1, 1]; none if all its items were skipped."""
    count = len(next(iter(task.values()), ()))
    for first in range(0, count, batch_size):
        batch = {name: values[first : first + batch_size] for name, values in task.items()}
        yield {
            name: normalize(values, pinned) if isinstance(values, torch.Tensor) else values
            for name, values in batch.items()
        }


def available_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
