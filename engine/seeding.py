"""The generators of random numbers of this process."""

import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Start all of them at ``seed``, so that a run can be repeated whatever its model draws."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def get_rng_state() -> dict:
    """Where they stand: Python's, NumPy's, torch's on the CPU and on every GPU in use."""
    kind, keys, *rest = np.random.get_state()
    on_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    return {
        "python": random.getstate(),
        "numpy": [kind, keys.tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if on_gpu else [],
    }


def set_rng_state(state: dict) -> None:
    """Go on where `get_rng_state` was asked; a GPU that is not here keeps its own."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(tuple(state["numpy"]))
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available():
        for device, cuda in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(cuda, device)
