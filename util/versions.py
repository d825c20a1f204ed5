"""Versions of what a run was made with."""

import platform

import torch


def versions() -> dict[str, str]:
    """The versions of Python and PyTorch, for files that may be read by another version."""
    return {"python": platform.python_version(), "torch": str(torch.__version__)}
