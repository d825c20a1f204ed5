"""``train.py`` for the tests of several processes, told by the environment what to do otherwise.

JOB_EXACT=1 computes in float64, where the same sum in another order is the same number but for the
last digits. JOB_KILL="1 3" lets process 1 die before step 3, as by ``kill -9``, unless torchrun has
started it again; step 0 is before anything is set up. JOB_LOG=FOLDER notes the images that each
process was given.
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
killed, at = map(int, os.environ.get("JOB_KILL", "-1 -1").split())
log = os.environ.get("JOB_LOG")
taken = 0
step = train.Trainer.step


def perhaps_die() -> None:
    world = get_world()
    if (world.rank, taken) == (killed, at) and not world.restarts:
        os.kill(os.getpid(), signal.SIGKILL)


def odd_step(self, batch: dict) -> None:
    global taken
    world = get_world()
    taken += 1
    perhaps_die()
    step(self, batch)
    if log and self.executor.loss_weight > 0:
        with Path(log, f"{world.rank}.txt").open("a", encoding="utf-8") as file:
            file.writelines(f"{self.progress.epoch} {path}\n" for path in batch["A_paths"])


train.Trainer.step = odd_step
with report_user_errors(), distributed_session():
    perhaps_die()
    train.train(TrainOptions().parse())
