"""Number format of the computation: float32 or bfloat16 autocast."""

import torch

FAST_BF16_CAPABILITY = (8, 0)  # Ampere; also the first GPUs with TF32


def select_precision(requested: str, device: torch.device, bit_depth: int = 8) -> str:
    """Return ``fp32`` or ``bf16`` for ``--precision``; ``auto`` is bf16 where that is faster.

    Images of more than 8 bits take fp32: the significand of bf16 has 8 bits. GPUs are faster in
    bf16 from compute capability 8.0, CPUs with AMX: with AVX512-BF16 alone, convolutions were
    measured at half the speed of float32 (benchmarks/README.md).
    """
    if requested != "auto":
        return requested
    if bit_depth > 8:
        return "fp32"

    if device.type == "cuda":
        is_fast = torch.cuda.get_device_capability(device) >= FAST_BF16_CAPABILITY
    else:
        is_fast = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    return "bf16" if is_fast else "fp32"


def precision_name(precision: str, device: torch.device) -> str:
    """Describe ``precision`` for the log, including TF32, which PyTorch uses in convolutions."""
    if precision != "fp32" or device.type != "cuda" or not torch.backends.cudnn.allow_tf32:
        return precision
    has_tf32 = torch.cuda.get_device_capability(device) >= FAST_BF16_CAPABILITY
    return "fp32, but TF32 in convolutions" if has_tf32 else precision
