"""Save a run in the background while it trains, and find the state to resume from."""

import shlex
import time
from argparse import Namespace
from pathlib import Path

from checkpoint.background import BackgroundWorker
from checkpoint.networks import exported_weights
from checkpoint.state import (
    LATEST,
    PREVIOUS,
    check_finite,
    images_seen,
    load_state,
    save_state,
    snapshot,
)
from checkpoint.weights import prune_weights, save_weights, weights_path
from distributed.context import World, get_world
from util.errors import UserError
from util.progress import Progress

REPLACED = "replaced_state.pth"
WORLD_SIZE_NOTE = (
    "note: the run had {before} processes, now there are {now}: networks and optimizers continue "
    "unchanged, each image of the epoch is still used once; new processes start with empty image "
    "pools"
)


class CheckpointManager:
    """The states and weights in the folder of a run.

    `save` copies the tensors and returns; a thread writes them, one save after the other. A failed
    save is reported by `pop_problem` and leaves the last good state in place.
    """

    def __init__(self, folder: Path, keep_last: float, minutes: float):
        self.folder = folder
        self.keep_last = keep_last  # epochs whose numbered weights are kept
        self.interval_s = 60 * minutes
        self.background = BackgroundWorker()
        self.backup_name = PREVIOUS  # the next save renames the present state to this
        self.saved_at = time.monotonic()
        self.last_good = "none was saved yet"

    def resume_state(
        self, opt: Namespace, last_epoch: int, world: World
    ) -> tuple[dict | None, Progress]:
        """Call `find_state` on the main process and give each process its own part of the state.

        A process that did not exist in the saved run gets no image pools and no random state.
        """
        others: list[dict] = []  # what differs between processes, by rank - 1

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
        """Return the state that ``opt`` asks to resume from, if any, and the progress to start at.

        Weights named by ``--epoch`` or ``--load_iter`` take precedence over a state; an explicit
        ``--epoch_count`` that differs from the epoch of the state starts that epoch. Raises
        `UserError` for a run that is complete.
        """
        state = None
        start = Progress(epoch=opt.epoch_count)
        if opt.continue_train and opt.epoch == "latest" and not opt.load_iter:
            state = load_state(self.folder)

        if state is not None:
            self.last_good = self._describe(state)
            saved = Progress(**state["progress"])
            if opt.explicit.get("epoch_count", saved.epoch) == saved.epoch:
                start = saved

        if start.epoch > last_epoch:
            raise UserError(
                f"run {opt.name} is complete (epoch {last_epoch}/{last_epoch}); raise --n_epochs "
                "or --n_epochs_decay to continue"
            )
        return state, start

    def set_aside_earlier_run(self) -> str | None:
        """Keep the longest earlier run as ``replaced_state.pth``, and delete shorter ones.

        Return the name of the kept file, or None if there is no earlier run. The present state is
        renamed by the first save.
        """
        seen = {name: images_seen(self.folder / name) for name in (REPLACED, LATEST, PREVIOUS)}
        if seen[LATEST] < 0 <= seen[PREVIOUS]:  # the latest state is missing or damaged
            (self.folder / PREVIOUS).replace(self.folder / LATEST)
            seen[LATEST] = seen[PREVIOUS]
        if not (self.folder / LATEST).is_file():
            return None

        # The longest one: a second mistake must not lose the run that the first one replaced.
        if seen[LATEST] < seen[REPLACED]:
            for name in (LATEST, PREVIOUS):
                (self.folder / name).unlink(missing_ok=True)
        else:
            self.backup_name = REPLACED
        return REPLACED

    def is_due(self) -> bool:
        """Whether ``--save_minutes`` have passed since the last save."""
        return 0 < self.interval_s <= time.monotonic() - self.saved_at

    def save(self, state: dict, prefixes: list[str]) -> None:
        """Save ``state``, and its networks as ``<prefix>_net_<name>.pth``, in the background."""
        self.background.wait()  # so that at most two copies of the state are in memory
        copy = snapshot(state)
        self.saved_at = time.monotonic()
        self.background.start(lambda: self._write(copy, prefixes))

    def pop_problem(self) -> str | None:
        """Return and clear the message of the last failed save."""
        error = self.background.pop_error()
        if error is None:
            return None
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return f"the run could not be saved: {reason}; the last good state: {self.last_good}"

    def finish(self) -> None:
        """Wait for the last save. Raises `UserError` if it failed."""
        self.background.wait()
        if problem := self.pop_problem():
            raise UserError(problem)

    def _write(self, state: dict, prefixes: list[str]) -> None:
        """Write the state last: the weights that it implies must exist already."""
        check_finite(state)
        for prefix in prefixes:
            for name, weights in exported_weights(state["model"]).items():
                save_weights(weights, weights_path(self.folder, prefix, name))
        prune_weights(self.folder, self.keep_last)

        save_state(self.folder, state, keep=self.backup_name)
        if self.backup_name == REPLACED:
            (self.folder / PREVIOUS).unlink(missing_ok=True)  # of the earlier run
            self.backup_name = PREVIOUS
        self.last_good = self._describe(state)

    def _describe(self, state: dict) -> str:
        at = state["progress"]
        return f"{self.folder / LATEST} (epoch {at['epoch']}, iters {at['iters']})"


def resume_command(opt: Namespace) -> str:
    """The command that resumes the run."""
    world = get_world()
    words = ["python"]
    if world.is_distributed:
        words = ["torchrun", f"--nproc_per_node={world.local_size}"]
    if world.size > world.local_size:
        words.append(f"--nnodes={world.size // world.local_size}")

    words += ["train.py", *_typed("name", opt.name), "--continue_train"]
    if opt.checkpoints_dir != opt.defaults["checkpoints_dir"]:
        words += _typed("checkpoints_dir", opt.checkpoints_dir)
    return shlex.join(words)


def _typed(flag: str, value: str) -> list[str]:
    """The words for a flag; a value that looks like a flag itself needs ``=``."""
    return [f"--{flag}={value}"] if value.startswith("-") else [f"--{flag}", value]
