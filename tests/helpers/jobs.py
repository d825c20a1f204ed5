"""Start jobs of several processes with torchrun on this machine."""

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
TRAIN = "tests/helpers/job_train.py"


def start(tmp_path: Path, script: str, *words, size: int = 2, torchrun=(), env=None):
    """Start ``torchrun --nproc_per_node=SIZE SCRIPT WORDS``; its files go to ``tmp_path``."""
    command = [*TORCHRUN, f"--nproc_per_node={size}", *torchrun, script, *words]
    if script in ("test.py", "train.py", TRAIN):
        command += folders(tmp_path, script)
    return subprocess.Popen(
        list(map(str, command)),
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(tmp_path: Path, script: str, *words, **how) -> subprocess.CompletedProcess:
    """`start` a job and wait for its end."""
    job = start(tmp_path, script, *words, **how)
    out, err = job.communicate(timeout=240)
    return subprocess.CompletedProcess(job.args, job.returncode, out, err)


def errors(done: subprocess.CompletedProcess) -> list[str]:
    """The ``error:`` lines among the output of torchrun."""
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


RUN = [
    *TINY, "--n_epochs", "1", "--n_epochs_decay", "1", "--display_id", "0", "--print_freq", "1",
    "--save_epoch_freq", "1",
]  # fmt: skip


#: Options without randomness except the order of the images.
PLAIN = ["--pool_size", "0", "--no_flip", "--load_size", "32", "--no_html"]


EXACT = {"JOB_EXACT": "1"}


def weights(root: Path, name: str) -> dict[str, torch.Tensor]:
    """All latest weights of a run, by file and key."""
    files = sorted((root / "checkpoints" / name).glob("latest_net_*.pth"))
    states = {file.name: torch.load(file, weights_only=True) for file in files}
    assert states
    return {f"{file} {key}": v for file, state in states.items() for key, v in state.items()}


def records(root: Path, name: str) -> list[dict]:
    """The lines of ``losses.jsonl``."""
    lines = (root / "checkpoints" / name / "losses.jsonl").read_text("utf-8").splitlines()
    return list(map(json.loads, lines))


def parts(root: Path) -> dict:
    """Everything that must be reproduced bit for bit, of all processes."""
    folder = root / "checkpoints" / "run"
    return {**end_of(folder), "others": digest(load_state(folder)["others"])}
