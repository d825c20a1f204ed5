"""Import the scripts of datasets/ or run them, and check their output."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SCRIPTS = Path(__file__).parents[2] / "datasets"
SPLITS = ("trainA", "trainB", "testA", "testB")


@functools.cache
def load_script(name: str):
    """Import datasets/NAME.py under a unique name."""
    if str(SCRIPTS) not in sys.path:
        sys.path.append(str(SCRIPTS))  # last, not to hide an installed package `emoji`
    spec = importlib.util.spec_from_file_location(f"datasets_{name}", SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run_script(name: str, *arguments, cwd: Path, **environment) -> subprocess.CompletedProcess:
    """Run datasets/NAME, a Python or a shell script, as a user would."""
    runner = sys.executable if name.endswith(".py") else "bash"
    env = {**os.environ, "PYTHON": sys.executable, "no_proxy": "127.0.0.1", **environment}
    command = [runner, SCRIPTS / name, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60)


def assert_refused(done: subprocess.CompletedProcess, *words: str) -> None:
    """Expect exit status 2, one line on stderr with all `words`, and nothing on stdout."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert all(word in lines[0] for word in words), lines[0]


def bytes_below(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path), dtype=float)


def wait_for(condition: Callable[[], object], timeout_s: float = 20) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)
