"""How much memory a run takes, and what to do when it is too much."""

import contextlib
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from util.errors import UserError

try:
    import resource
except ModuleNotFoundError:  # Windows has none
    resource = None


@contextlib.contextmanager
def explain_out_of_memory(opt: Namespace) -> Iterator[None]:
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
    size = f"--crop_size {opt.crop_size}, --ngf {opt.ngf}"
    if opt.isTrain:
        size = f"--batch_size {opt.batch_size}, {size}"
    return UserError(f"out of memory with {size}; {_remedies(opt)}")


def _remedies(opt: Namespace) -> str:
    """The flags that help; ``test.py`` has to take the networks as they are."""
    if opt.isTrain:
        return (
            "lower --batch_size, --crop_size or --ngf, or try --precision bf16 or --grad_checkpoint"
        )
    if opt.tile:
        return f"lower --tile {opt.tile}"
    tiles = ", or try --tile 1024 --overlap 128" if opt.netG.startswith("resnet") else ""
    return f"use --batch_size 1 or a smaller --crop_size{tiles}"


def peak_bytes(device: torch.device) -> int | None:
    """The most memory so far: of the GPU by PyTorch's count, else of the process, if it is told."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes, but on macOS bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def report(model, device: torch.device) -> str:
    """The peak in one line, by part: what is allocated all the time, and the rest."""
    if (peak := peak_bytes(device)) is None:
        return "peak memory: this system does not tell it"
    networks = (*model.networks.values(), *model.ema_networks.values())
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
    parts["activations and the rest"] = peak - sum(parts.values())
    listed = ", ".join(f"{name} {size / 2**30:.2f}" for name, size in parts.items())
    return f"peak memory {peak / 2**30:.2f} GiB ({listed})"


def _bytes(tensors: Iterable) -> int:
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, Tensor))
