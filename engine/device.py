"""Where to compute, and in which number format."""

import ctypes
import sys

import torch

from distributed.context import World
from util.errors import UserError


def select_device(gpu_ids: list[int], typed: bool, world: World | None = None) -> torch.device:
    """The device for ``--gpu_ids``: the CPU for an empty list, and where there is no GPU.

    Of several processes on a machine each takes one of the list, or, without one that was
    ``typed``, the GPU of its own number. A GPU that was asked for and is not there raises
    `UserError`; so does a process too many.
    """
    if not gpu_ids:
        return torch.device("cpu")
    there, world = torch.cuda.device_count(), world or World()
    if not typed and world.local_size > len(gpu_ids):
        gpu_ids = list(range(there))
    if world.local_rank < len(gpu_ids) and gpu_ids[world.local_rank] < there:
        return torch.device("cuda", gpu_ids[world.local_rank])
    found = f"GPUs 0 to {there - 1}" if there else "no GPU"
    if typed:
        names = ",".join(map(str, gpu_ids))
        each = f" and {world.local_size} processes" if world.local_size > 1 else ""
        raise UserError(f"--gpu_ids {names}: PyTorch sees {found} here{each}; use -1 for the CPU")
    if there and world.local_size > 1:
        raise UserError(
            f"torchrun --nproc_per_node {world.local_size}: PyTorch sees {found} here; "
            "one process takes one GPU"
        )
    return torch.device("cpu")


def device_name(device: torch.device) -> str:
    """What a person calls it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"


def select_precision(asked: str, device: torch.device, bit_depth: int = 8) -> str:
    """``fp32`` or ``bf16``; ``auto`` is bf16 where that is faster and has digits enough.

    Images of more than 8 bits are computed in fp32: bf16 has 8 bits of digits.

    On GPUs that is from compute capability 8.0 on; on CPUs it takes AMX: with AVX512-BF16 alone
    convolutions were measured at half the speed of float32 (benchmarks/README.md).
    """
    if asked != "auto":
        return asked
    if bit_depth > 8:
        return "fp32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    return "bf16" if has_amx else "fp32"


def precision_name(precision: str, device: torch.device) -> str:
    """What a person should know of it: by default PyTorch rounds what goes into convolutions."""
    if precision != "fp32" or device.type != "cuda" or not torch.backends.cudnn.allow_tf32:
        return precision
    has_tf32 = torch.cuda.get_device_capability(device) >= (8, 0)
    return "fp32, but TF32 in convolutions" if has_tf32 else precision


def configure_process() -> None:
    """Settings of the processor and the C library; to be called before anything is computed.

    Numbers below 1e-38 become zero: a saturated network makes them by the million, and processors
    take a hundred times longer over each. Threads inherit the setting from the one that made them.
    """
    torch.set_flush_denormal(True)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let the C library keep what a CPU step frees for the next one, which needs just as much.

    Else every large tensor is fresh memory from the kernel, zeroed page by page: a fifth of the
    time of a step. glibc only; elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_max = -1, -4  # malloc.h
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_max, 0)
