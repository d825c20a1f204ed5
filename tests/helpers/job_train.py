"""``train.py`` for tests of several processes, modified by environment variables.

JOB_EXACT=1 computes in float64, where the order of a sum changes only its last digits.
JOB_KILL="1 3" kills the process of rank 1 before step 3, unless torchrun has restarted it; step 0
is before the setup. JOB_LOG=FOLDER logs the images that each process was given.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

import train
from distributed.context import distributed_session, get_world
from options import TrainOptions
from util.errors import report_user_errors

if os.environ.get("JOB_EXACT"):
    torch.set_default_dtype(torch.float64)
killed_rank, killed_step = map(int, os.environ.get("JOB_KILL", "-1 -1").split())
log_folder = os.environ.get("JOB_LOG")
steps_started = 0
real_step = train.Trainer.step


def kill_if_asked() -> None:
    world = get_world()
    if (world.rank, steps_started) == (killed_rank, killed_step) and not world.restarts:
        os.kill(os.getpid(), signal.SIGKILL)


def modified_step(self, batch: dict) -> None:
    global steps_started
    world = get_world()
    steps_started += 1
    kill_if_asked()
    real_step(self, batch)
    if log_folder and self.executor.loss_weight > 0:
        with Path(log_folder, f"{world.rank}.txt").open("a", encoding="utf-8") as file:
            file.writelines(f"{self.progress.epoch} {path}\n" for path in batch["A_paths"])


train.Trainer.step = modified_step
with report_user_errors(), distributed_session():
    kill_if_asked()
    train.train(TrainOptions().parse())
