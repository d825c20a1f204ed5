"""Free memory of this machine: for cached images, and for batches on their way from workers."""

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from distributed.context import get_world

MEMINFO = Path("/proc/meminfo")
CGROUP_ROOT = Path("/sys/fs/cgroup")  # memory limits of containers and of Slurm jobs
PROCESS_CGROUPS = Path("/proc/self/cgroup")
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - holds batches until the main process frees them
#: names in cgroup v2 and v1: the limit, the usage, and the part of it that the kernel can reclaim
CGROUP_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
MAX_SHARED_MEMORY_FRACTION = 1 / 3  # of the free part: when it is full, all workers block forever
PREFETCH_FACTOR = 4  # tasks that each worker loads ahead
TASKS_IN_FLIGHT = 2  # tasks held by the main process: the one in use, and the next


class WorkerPlan(NamedTuple):
    """How batches are loaded: dataloader workers, tasks prefetched by each, batches per task."""

    workers: int
    prefetch_factor: int
    batches_per_task: int


def plan_workers(batch_bytes: int, workers: int, batches_per_task: int) -> WorkerPlan:
    """Fit the batches in flight into the free shared memory.

    ``workers`` and ``batches_per_task`` are upper limits. Zero workers means to load in the main
    process.
    """
    free = free_shared_memory() * MAX_SHARED_MEMORY_FRACTION / get_world().local_size
    capacity = int(free / batch_bytes)  # in batches

    workers = max(0, min(workers, capacity - TASKS_IN_FLIGHT))
    if not workers:
        return WorkerPlan(0, 0, batches_per_task)
    prefetch_factor = min(PREFETCH_FACTOR, (capacity - TASKS_IN_FLIGHT) // workers)

    tasks = workers * prefetch_factor + TASKS_IN_FLIGHT
    return WorkerPlan(workers, prefetch_factor, min(batches_per_task, capacity // tasks))


def free_memory() -> float:
    """Return the bytes of memory available now, within the cgroup limits of this process."""
    return min([_available_memory(), *map(_cgroup_headroom, _cgroups())])


def free_shared_memory() -> int:
    """Return the free bytes of /dev/shm, or `sys.maxsize` on systems without it."""
    try:
        stats = os.statvfs(SHARED_MEMORY)
    except (OSError, AttributeError):  # Windows has no statvfs
        return sys.maxsize
    return stats.f_bavail * stats.f_frsize


def _available_memory() -> float:
    """Return the available bytes of the machine; without /proc, half of its physical memory."""
    available = _read_table(MEMINFO).get("MemAvailable:")
    if available is not None:
        return available * 1024
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 0


def _cgroups() -> Iterator[Path]:
    """Yield the folders of the memory cgroups of this process, and of all their parents."""
    for line in _read_lines(PROCESS_CGROUPS):
        _, controllers, name = line.split(":", 2)
        if not controllers or "memory" in controllers.split(","):
            group = CGROUP_ROOT / controllers / name.lstrip("/")
            yield from (
                path for path in (group, *group.parents) if path.is_relative_to(CGROUP_ROOT)
            )


def _cgroup_headroom(group: Path) -> float:
    """Return the bytes left below the limit of a cgroup; infinity if it has none."""
    for limit, usage, reclaimable in CGROUP_FILES:
        try:
            headroom = int((group / limit).read_text()) - int((group / usage).read_text())
        except (OSError, ValueError):  # the other cgroup version, or "max": no limit
            continue
        return headroom + _read_table(group / "memory.stat").get(reclaimable, 0)
    return math.inf


def _read_table(path: Path) -> dict[str, int]:
    """Map the first word of each line of a kernel file to the number after it."""
    rows = (line.split() for line in _read_lines(path))
    return {name: int(number) for name, number, *_ in rows}


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
