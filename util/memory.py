"""How much memory a run takes, and what to do when it is too much."""

import contextlib
import resource
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from util.errors import UserError

REMEDIES = "lower --batch_size, --crop_size or --ngf, or try --precision bf16 or --grad_checkpoint"


@contextlib.contextmanager
def told_when_full(opt: Namespace) -> Iterator[None]:
    """Turn an out-of-memory error into a `UserError` that names sizes and the flags that help."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _full(opt) from error
    except RuntimeError as error:
        if "not enough memory" not in str(error) and "can't allocate memory" not in str(error):
            raise
        raise _full(opt) from error


def _full(opt: Namespace) -> UserError:
    size = f"--batch_size {opt.batch_size}, --crop_size {opt.crop_size}, --ngf {opt.ngf}"
    return UserError(f"out of memory with {size}; {REMEDIES}")


def peak_bytes(device: torch.device) -> int:
    """The most memory so far: of the GPU by PyTorch's count, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes, but on macOS bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def report(model, device: torch.device) -> str:
    """The peak in one line, by part: what is allocated all the time, and the rest."""
    networks = (*model.networks.values(), *model.averages.values())
    weights = [weight for net in networks for weight in net.parameters()]
    states = [
        value
        for optimizer in model.optimizers.values()
        for state in optimizer.state.values()
        for value in state.values()
    ]
    parts = {
        "networks": _bytes(weights),
        "gradients": _bytes(weight.grad for weight in weights),
        "optimizers": _bytes(states),
        "pools": _bytes(pool.stored for pool in model.pools.values()),
    }
    peak = peak_bytes(device)
    parts["activations and the rest"] = peak - sum(parts.values())
    listed = ", ".join(f"{name} {size / 2**30:.2f}" for name, size in parts.items())
    return f"peak memory {peak / 2**30:.2f} GiB ({listed})"


def _bytes(tensors: Iterable) -> int:
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, Tensor))
