"""Networks with random weights in place of published ones, which are not on every machine."""

from __future__ import annotations

from pathlib import Path

import torch
from torchvision.models import mobilenet_v2


def write_mobilenet_weights(folder: Path) -> Path:
    """Write random weights of MobileNetV2, the same at every call."""
    path = folder / "mobilenet.pth"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(mobilenet_v2().state_dict(), path)
    return path
