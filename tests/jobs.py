"""Jobs of several processes, as torchrun starts them on one machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT, folders

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]


def start(tmp_path: Path, script: str, *words, size: int = 2, torchrun=(), env=None):
    """``torchrun --nproc_per_node=SIZE SCRIPT WORDS``, files going to ``tmp_path``."""
    kind = "test.py" if script == "test.py" else "train.py"
    command = [*TORCHRUN, f"--nproc_per_node={size}", *torchrun, script, *words]
    return subprocess.Popen(
        [*map(str, command), *([] if script.endswith("sums.py") else folders(tmp_path, kind))],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(tmp_path: Path, script: str, *words, **how) -> subprocess.CompletedProcess:
    """`start`, and wait for the end."""
    job = start(tmp_path, script, *words, **how)
    out, err = job.communicate(timeout=240)
    return subprocess.CompletedProcess(job.args, job.returncode, out, err)


def errors(done: subprocess.CompletedProcess) -> list[str]:
    """Our lines about errors, among all that torchrun prints."""
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]
