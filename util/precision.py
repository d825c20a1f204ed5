"""Floating-point formats."""

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """Convert half precision to float32; return float32 and float64 unchanged."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
