"""Jobs of several processes, as torchrun starts them on one machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from checkpoint.state import digest, load_state
from helpers.commands import ROOT, TINY, folders
from helpers.runs import end_of

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


TRAIN = "tests/helpers/job_train.py"


RUN = [
    *TINY, "--n_epochs", "1", "--n_epochs_decay", "1", "--display_id", "0", "--print_freq", "1",
    "--save_epoch_freq", "1",
]  # fmt: skip


#: Nothing random but the order of the images.
PLAIN = ["--pool_size", "0", "--no_flip", "--load_size", "32", "--no_html"]


EXACT = {"JOB_EXACT": "1"}


def weights(root: Path, name: str) -> dict[str, torch.Tensor]:
    files = sorted((root / "checkpoints" / name).glob("latest_net_*.pth"))
    states = {file.name: torch.load(file, weights_only=True) for file in files}
    assert states
    return {f"{file} {key}": v for file, state in states.items() for key, v in state.items()}


def records(root: Path, name: str) -> list[dict]:
    lines = (root / "checkpoints" / name / "losses.jsonl").read_text("utf-8").splitlines()
    return list(map(json.loads, lines))


def parts(root: Path) -> dict:
    """All that must be the same at the end."""
    folder = root / "checkpoints" / "run"
    return {**end_of(folder), "others": digest(load_state(folder)["others"])}
