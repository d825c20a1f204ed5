"""Random number generators of this process: Python's, NumPy's and PyTorch's."""

import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed all global generators, so that a run is repeatable whatever its model samples."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def get_rng_state() -> dict:
    """Return the state of all generators, including those of every GPU in use."""
    numpy_state = np.random.get_state()
    assert isinstance(numpy_state, tuple)  # for type checkers
    kind, keys, *rest = numpy_state
    uses_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    return {
        "python": random.getstate(),
        "numpy": [kind, keys.tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if uses_gpu else [],
    }


def set_rng_state(state: dict) -> None:
    """Restore what `get_rng_state` returned; states of GPUs that do not exist here are ignored."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(tuple(state["numpy"]))
    torch.set_rng_state(state["torch"])

    if torch.cuda.is_available():
        for device, cuda_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(cuda_state, device)
