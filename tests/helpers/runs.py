"""Start, interrupt and resume runs, and compare their final states."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import train
from checkpoint.state import digest, load_state
from helpers.commands import ROOT, TINY, call_in
from options import TrainOptions

QUIET = ["--display_id", "0", "--no_html", "--print_freq", "1"]
RUN = [*TINY, "--n_epochs", "1", "--n_epochs_decay", "1", *QUIET]


class PowerFailureError(Exception):
    """Stand for a process that ends abruptly."""


def start(root, name: str, *words, steps: int | None = None) -> None:
    """Run ``train.py`` in this process; abort it abruptly before step ``steps`` + 1."""
    flags = ["--checkpoints_dir", root / "checkpoints", "--name", name, *words]
    opt = TrainOptions().parse(list(map(str, flags)))
    taken = 0

    def step(self, batch, real=train.Trainer.step):
        nonlocal taken
        if taken == steps:
            raise PowerFailureError
        taken += 1
        real(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.Trainer, "step", step)
        if steps is None:
            train.train(opt)
        else:
            with pytest.raises(PowerFailureError):
                train.train(opt)
    gc.collect()  # ends the worker processes now, not during the next run


def resume(tmp_path, *words):
    """Run ``train.py --continue_train`` in this process."""
    return call_in(tmp_path, "train.py", "--name", "run", "--continue_train", *words)


def start_faulty(root: Path, name: str, fault: dict, *words: str) -> subprocess.Popen:
    """Start ``tests/helpers/faulty_train.py`` in a new process."""
    where = ["--checkpoints_dir", str(root / "checkpoints"), "--name", name]
    command = [sys.executable, "tests/helpers/faulty_train.py", json.dumps(fault), *where, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    out = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT, text=True
    )


def losses(folder: Path) -> list[tuple]:
    """The logged losses, without times."""
    records = map(json.loads, (folder / "losses.jsonl").read_text("utf-8").splitlines())
    return [
        (r["epoch"], r["iters"], r["total_iters"], r["losses"]) for r in records if "losses" in r
    ]


def end_of(folder: Path) -> dict:
    """Everything that must be reproduced bit for bit: state, weights files, logged losses."""
    state = load_state(folder)
    assert state is not None
    parts = {name: digest(state[name]) for name in ("progress", "model", "random")}
    weights = {
        path.name: digest(torch.load(path, weights_only=True))
        for path in sorted(folder.glob("*_net_*.pth"))
    }
    return {**parts, **weights, "losses": losses(folder)}


NETWORKS = ("G_A", "G_B", "D_A", "D_B")


def weights(folder: Path, suffix: str = "latest") -> dict[str, torch.Tensor]:
    """All weights of a run."""
    return {
        f"{name}.{key}": value
        for name in NETWORKS
        for key, value in torch.load(folder / f"{suffix}_net_{name}.pth", weights_only=True).items()
    }


def equal(first: dict, second: dict) -> bool:
    """Whether two state dicts are equal bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@contextlib.contextmanager
def files_no_longer_than(size: int):
    """Simulate a full disk: writing beyond ``size`` bytes of any file fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
