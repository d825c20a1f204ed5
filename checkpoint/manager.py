"""Keeps a run on disk: saves it beside the training, and finds it again."""

import shlex
import time
from argparse import Namespace
from pathlib import Path

from checkpoint.background import Background
from checkpoint.state import (
    LATEST,
    PREVIOUS,
    check_finite,
    images_seen,
    load_state,
    save_state,
    snapshot,
)
from checkpoint.weights import exported_weights, prune_weights, save_weights
from distributed.context import World, get_world
from util.errors import UserError
from util.progress import Progress

REPLACED = "replaced_state.pth"
WORLD_SIZE_NOTE = (
    "note: the run had {before} processes, now there are {now}: networks and optimizers go on as "
    "they were, each image of the epoch comes once; new processes begin with empty image pools"
)


class CheckpointManager:
    """The states and weights in the folder of a run.

    A save copies the tensors and returns; a thread writes them, one save after the other. A save
    that fails is told by `problem` and leaves the last good one in its place.
    """

    def __init__(self, folder: Path, keep_last: float, minutes: float):
        self.folder, self.keep_last, self.seconds = folder, keep_last, 60 * minutes
        self.background = Background()
        self.keep = PREVIOUS
        self.saved_at = time.monotonic()
        self.last_good = "none was saved yet"

    def resume_state(
        self, opt: Namespace, last_epoch: int, world: World
    ) -> tuple[dict | None, Progress]:
        """`find_state`, of which each process gets what was its own.

        One that was not there before gets no image pools and keeps its random numbers.
        """
        others: list[dict] = []

        def find() -> tuple[dict | None, Progress]:
            state, start = self.find_state(opt, last_epoch)
            others.extend(state.pop("others", []) if state else [])
            if state and len(others) + 1 != world.size:
                print(WORLD_SIZE_NOTE.format(before=len(others) + 1, now=world.size))
            return state, start

        state, start = world.decide_on_main(find)
        own = world.scatter([{}, *others, *[{}] * world.size][: world.size])
        if state and not world.is_main:
            state["model"]["pools"] = own.get("pools", {})
            state["random"] = own.get("random")
        return state, start

    def find_state(self, opt: Namespace, last_epoch: int) -> tuple[dict | None, Progress]:
        """The state that ``opt`` asks to go on from, if there is one, and where it stands.

        Weights that were named (``--epoch``, ``--load_iter``) count more than a state; another
        ``--epoch_count`` than that of the state begins that epoch. Raises `UserError` for a run
        that is complete.
        """
        state, start = None, Progress(epoch=opt.epoch_count)
        if opt.continue_train and opt.epoch == "latest" and not opt.load_iter:
            state = load_state(self.folder)
        if state is not None:
            self.last_good = _where(self.folder, state)
            saved = Progress(**state["progress"])
            start = saved if opt.typed.get("epoch_count", saved.epoch) == saved.epoch else start
        if start.epoch > last_epoch:
            raise UserError(
                f"run {opt.name} is complete (epoch {last_epoch}/{last_epoch}); raise --n_epochs "
                "or --n_epochs_decay to go on"
            )
        return state, start

    def replaces_another_run(self) -> str | None:
        """Where the first save will put the state that an older run has left here, if any."""
        if not (self.folder / LATEST).is_file():
            return None
        # Of several old runs the longest is kept: a second slip must not cost the first one's work.
        kept, latest = (images_seen(self.folder / name) for name in (REPLACED, LATEST))
        if latest < kept:
            for name in (LATEST, PREVIOUS):
                (self.folder / name).unlink(missing_ok=True)
        else:
            self.keep = REPLACED
        return REPLACED

    def is_due(self) -> bool:
        """Whether the clock says that it is time to save."""
        return 0 < self.seconds <= time.monotonic() - self.saved_at

    def save(self, state: dict, suffixes: list[str]) -> None:
        """Keep ``state`` and export its networks as ``<suffix>_net_<name>.pth``."""
        self.background.wait()  # two copies of everything are enough
        copy = snapshot(state)
        self.saved_at = time.monotonic()
        self.background.start(lambda: self._write(copy, suffixes))

    def problem(self) -> str | None:
        """What went wrong with a save since the last time somebody asked."""
        error = self.background.failure()
        if error is None:
            return None
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return f"the run could not be saved: {reason}; the last good state: {self.last_good}"

    def finish(self) -> None:
        """Wait for the last save. Raises `UserError` if it failed."""
        self.background.wait()
        if problem := self.problem():
            raise UserError(problem)

    def _write(self, state: dict, suffixes: list[str]) -> None:
        """The state comes last: where it says that something is done, the exported_weights are there."""
        check_finite(state)
        for suffix in suffixes:
            for name, weights in exported_weights(state["model"]).items():
                save_weights(weights, self.folder / f"{suffix}_net_{name}.pth")
        prune_weights(self.folder, self.keep_last)
        save_state(self.folder, state, keep=self.keep)
        if self.keep == REPLACED:
            (self.folder / PREVIOUS).unlink(missing_ok=True)  # of the other run
            self.keep = PREVIOUS
        self.last_good = _where(self.folder, state)


def _where(folder: Path, state: dict) -> str:
    at = state["progress"]
    return f"{folder / LATEST} (epoch {at['epoch']}, iters {at['iters']})"


def resume_command(opt: Namespace) -> str:
    """The command that takes up the run again."""
    world = get_world()
    start = (
        ["torchrun", f"--nproc_per_node={world.local_size}"] if world.is_distributed else ["python"]
    )
    if world.size > world.local_size:
        start.append(f"--nnodes={world.size // world.local_size}")
    words = [*start, "train.py", "--name", opt.name, "--continue_train"]
    if opt.checkpoints_dir != opt.defaults["checkpoints_dir"]:
        words += ["--checkpoints_dir", opt.checkpoints_dir]
    return shlex.join(words)
