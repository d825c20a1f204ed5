"""Peak memory of a run, and advice when memory runs out."""

import contextlib
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from util.errors import UserError

try:
    import resource
except ModuleNotFoundError:  # Windows
    resource = None  # type: ignore[assignment]

GIB = 2**30
CPU_ALLOCATOR_MESSAGES = ("not enough memory", "can't allocate memory")


@contextlib.contextmanager
def explain_out_of_memory(opt: Namespace) -> Iterator[None]:
    """Turn an out-of-memory error into a `UserError` that names sizes and the flags that help."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(opt) from error
    except RuntimeError as error:
        if not any(message in str(error) for message in CPU_ALLOCATOR_MESSAGES):
            raise
        raise _out_of_memory(opt) from error


def _out_of_memory(opt: Namespace) -> UserError:
    sizes = f"--crop_size {opt.crop_size}, --ngf {opt.ngf}"
    if opt.isTrain:
        sizes = f"--batch_size {opt.batch_size}, {sizes}"
    return UserError(f"out of memory with {sizes}; {_remedies(opt)}")


def _remedies(opt: Namespace) -> str:
    """Return the flags that help. ``test.py`` cannot change the size of trained networks."""
    if opt.isTrain:
        return (
            "lower --batch_size, --crop_size or --ngf, or try --precision bf16 or --grad_checkpoint"
        )
    if opt.tile:
        return f"lower --tile {opt.tile}"
    tiles = ", or try --tile 1024 --overlap 128" if opt.netG.startswith("resnet") else ""
    return f"use --batch_size 1 or a smaller --crop_size{tiles}"


def peak_bytes(device: torch.device) -> int | None:
    """Return the peak memory allocated on a GPU, or used by this process; None if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, else KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory_report(model, device: torch.device) -> str:
    """Return one line: the peak memory, and what each persistent part of the run takes of it."""
    peak = peak_bytes(device)
    if peak is None:
        return "peak memory: not available on this system"

    networks = (*model.networks.values(), *model.ema_networks.values())
    weights = [weight for net in networks for weight in net.parameters()]
    optimizer_values = [
        value
        for optimizer in model.optimizers.values()
        for state in optimizer.state.values()
        for value in state.values()
    ]

    parts = {
        "networks": _num_bytes(weights),
        "gradients": _num_bytes(weight.grad for weight in weights),
        "optimizers": _num_bytes(optimizer_values),
        "pools": _num_bytes(pool.stored for pool in model.pools.values()),
    }
    parts["activations and the rest"] = peak - sum(parts.values())
    listed = ", ".join(f"{name} {size / GIB:.2f}" for name, size in parts.items())
    return f"peak memory {peak / GIB:.2f} GiB ({listed})"


def _num_bytes(values: Iterable) -> int:
    return sum(x.numel() * x.element_size() for x in values if isinstance(x, Tensor))
