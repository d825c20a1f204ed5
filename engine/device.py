"""Choice of the device, and settings of the process that computes on it."""

import ctypes
import sys

import torch

from distributed.context import World
from util.errors import UserError

# Parameters of mallopt(3), from malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def select_device(gpu_ids: list[int], explicit: bool, world: World | None = None) -> torch.device:
    """Return the device for ``--gpu_ids``: the CPU for an empty list or where there is no GPU.

    Each process of a machine takes the entry at its local rank, or, unless the list is ``explicit``
    (given on the command line), the GPU numbered by its local rank.

    Raises `UserError` if an explicit GPU does not exist, or if there are more processes than GPUs.
    """
    if not gpu_ids:
        return torch.device("cpu")

    world = world or World()
    num_gpus = torch.cuda.device_count()
    if not explicit and world.local_size > len(gpu_ids):
        gpu_ids = list(range(num_gpus))
    if world.local_rank < len(gpu_ids) and gpu_ids[world.local_rank] < num_gpus:
        return torch.device("cuda", gpu_ids[world.local_rank])

    found = f"GPUs 0 to {num_gpus - 1}" if num_gpus else "no GPU"
    if explicit:
        names = ",".join(map(str, gpu_ids))
        processes = f" and {world.local_size} processes" if world.local_size > 1 else ""
        raise UserError(
            f"--gpu_ids {names}: PyTorch sees {found} here{processes}; use -1 for the CPU"
        )
    if num_gpus and world.local_size > 1:
        raise UserError(
            f"torchrun --nproc_per_node {world.local_size}: PyTorch sees {found} here; "
            "one process takes one GPU"
        )
    return torch.device("cpu")


def device_name(device: torch.device) -> str:
    """Return the name of ``device`` for the log."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"


def configure_process() -> None:
    """Configure floating point and the C library; call before any computation.

    Denormal numbers (below 1e-38) are flushed to zero: a saturated network produces millions of
    them, and processors take a hundred times longer for each. Threads inherit the setting from the
    thread that starts them.
    """
    torch.set_flush_denormal(True)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Make glibc keep freed memory for the next step, which needs the same amount.

    Otherwise each large tensor is new memory from the kernel, zeroed page by page, which takes a
    fifth of a step on the CPU. Does nothing without glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_MAX, 0)
