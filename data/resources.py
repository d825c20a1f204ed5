"""How much room this machine has: for images in memory, and for those on their way."""

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from distributed.context import get_world

MEMORY = Path("/proc/meminfo")
GROUPS = Path("/sys/fs/cgroup")  # where the limits of containers and of Slurm's jobs are found
OWN_GROUPS = Path("/proc/self/cgroup")
SHARED = Path("/dev/shm")  # noqa: S108 - what a worker hands over lies here until it is taken
#: limit, what is used of it, and what of that the kernel gives back: names of cgroup v2 and v1
LIMITS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
PREFETCH_FACTOR = 4  # parcels that a worker reads before the first of them is asked for
TASKS_IN_FLIGHT = 2  # parcels that are neither waiting nor free yet: the one in use, and the next


def plan_workers(batch: int, workers: int, parcel: int) -> tuple[int, int, int]:
    """As many workers, parcels that each reads ahead, and batches in a parcel as find room.

    At most ``workers`` and ``parcel``; a batch takes ``batch`` bytes. What is handed over takes a
    third of what is free in /dev/shm: once that is full, all wait for ever.
    """
    room = int(free_shared_memory() / 3 / get_world().local_size / batch)  # batches
    workers = max(0, min(workers, room - TASKS_IN_FLIGHT))
    if not workers:
        return 0, 0, parcel
    ahead = min(PREFETCH_FACTOR, (room - TASKS_IN_FLIGHT) // workers)
    return workers, ahead, min(parcel, room // (workers * ahead + TASKS_IN_FLIGHT))


def free_memory() -> float:
    """The bytes that are free now, on the machine and within the limits set for this process."""
    return min([_free_on_the_machine(), *map(_left_in, _groups())])


def free_shared_memory() -> int:
    """The bytes that are free for what workers hand over; where there is no /dev/shm, plenty."""
    try:
        disk = os.statvfs(SHARED)
    except (OSError, AttributeError):  # Windows has no statvfs
        return sys.maxsize
    return disk.f_bavail * disk.f_frsize


def _free_on_the_machine() -> float:
    free = _numbers(MEMORY).get("MemAvailable:")
    if free is not None:
        return free * 1024
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 0


def _groups() -> Iterator[Path]:
    """The folders of the control groups that this process is in; each counts for those in it."""
    for line in _lines(OWN_GROUPS):
        _, controllers, name = line.split(":", 2)
        if not controllers or "memory" in controllers.split(","):
            group = GROUPS / controllers / name.lstrip("/")
            yield from (at for at in (group, *group.parents) if at.is_relative_to(GROUPS))


def _left_in(group: Path) -> float:
    for limit, used, idle in LIMITS:
        try:
            left = int((group / limit).read_text()) - int((group / used).read_text())
        except (OSError, ValueError):  # of the other version, or "max": no limit
            continue
        return left + _numbers(group / "memory.stat").get(idle, 0)
    return math.inf


def _numbers(table: Path) -> dict[str, int]:
    """First word → second of each line of a file of the kernel."""
    words = (line.split() for line in _lines(table))
    return {name: int(number) for name, number, *_ in words}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
