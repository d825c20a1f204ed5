"""Versions of the software that wrote a file."""

import platform

import torch


def versions() -> dict[str, str]:
    """The versions of Python and PyTorch."""
    return {"python": platform.python_version(), "torch": str(torch.__version__)}
