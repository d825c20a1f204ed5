"""Everything a run shows: lines on the console, the loss log, the page, the live view."""

import contextlib
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from reporting.diagnostics import Pairs, find_warnings
from reporting.history import History, Record, append_line
from reporting.loggers import WANDB_ID, TensorBoardLogger, WandbLogger
from util.files import truncate_file
from util.progress import Length

LOGS = ("losses.jsonl", "loss_log.txt")


class NullVisualizer:
    """What all processes but the first have in place of a `Visualizer`: nobody looks at them."""

    views = ()

    def log_sizes(self) -> dict[str, int]:
        """Nothing is logged."""
        return {}

    def nothing(self, *_) -> None:
        """Show nothing."""

    log = advance = show_losses = show_images = update_page = nothing

    def __enter__(self) -> "NullVisualizer":
        return self

    def __exit__(self, *_) -> None:
        pass


class Visualizer:
    """Shows one run; use it as a context manager, so that everything is closed at the end.

    ``done`` images are behind it, in ``epoch`` and before; a run that goes on keeps the first
    ``sizes`` bytes of its logs (see `log_sizes`), or all of them for None. On a terminal a bar
    shows losses, images/s and the time left; elsewhere there are plain lines. What cannot be
    written is told once, and so is a live view that fails: no display is worth a run.
    """

    def __init__(
        self,
        opt: Namespace,
        options: dict,
        *,
        length: Length,
        done: int,
        epoch: int,
        sizes: dict[str, int] | None,
    ):
        self.folder = Path(opt.checkpoints_dir) / opt.name
        self.reported: set[str] = set()  # failures to write, and signs
        kept = self.log_sizes() if sizes is None else sizes
        self.log_file = self.folder / LOGS[1]
        if opt.continue_train:
            self.history = History(self.folder / LOGS[0], kept.get(LOGS[0], 0))
            truncate_file(self.log_file, kept.get(LOGS[1], 0))
        else:
            self.history = History(self.folder / LOGS[0])
            (self.folder / WANDB_ID).unlink(missing_ok=True)  # it names the run before
        total = length.epochs * length.images
        self.bar = tqdm(total=total, initial=done, unit=" images", disable=None, leave=False)
        self.page = None if opt.no_html else self._open_page(options, epoch, length)
        self.signs: list[str] = []  # seen at the last look
        self.views: dict[str, Any] = {}  # by the flag that asks for it
        self._open_views(opt, options, done)
        with self._told_when_not_written():
            started = f"================ Training Loss ({time.strftime('%c')}) ================"
            append_line(self.log_file, started)

    def log_sizes(self) -> dict[str, int]:
        """How far the logs have come, in bytes."""
        files = [self.folder / name for name in LOGS]
        return {file.name: file.stat().st_size for file in files if file.is_file()}

    def log(self, text: str) -> None:
        """A line on the console, above the bar."""
        tqdm.write(text)

    def advance(self, images: int) -> None:
        """Move the bar."""
        self.bar.update(images)

    def show_losses(self, record: Record) -> None:
        """Print a record, log it and draw it."""
        self.log(str(record))
        with self._told_when_not_written():
            append_line(self.log_file, str(record))
            self.history.add(record)
        losses = {name: f"{value:.3f}" for name, value in record.losses.items()}
        self.bar.set_postfix(losses, refresh=False)
        self._on_views(lambda view: view.scalars(record))

    def show_images(self, samples: list[dict[str, Tensor]]) -> None:
        """Show the fixed set on the live views."""
        self._on_views(lambda view: view.images(samples[0]))

    def update_page(self, epoch: int, samples: list[dict[str, Tensor]], pairs: Pairs) -> None:
        """Put the fixed set and the curves on the page; tell of signs that something goes wrong.

        A sign counts when it is seen twice running: at first all translations are alike.
        """
        seen, before = find_warnings(samples, pairs, self.history.records), self.signs
        self.signs = seen
        signs = [text for text in seen if text in before]
        for text in signs:
            if text not in self.reported:
                self.reported.add(text)
                self.log(f"warning: {text}")
        if self.page:
            with self._told_when_not_written():
                self.page.update(epoch, samples, self.history, signs)

    @contextlib.contextmanager
    def _told_when_not_written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            problem = f"{error.filename or self.folder}: {error.strerror or error}"
            if error.strerror not in self.reported:
                self.log(f"warning: {problem}; the training goes on without it")
            self.reported.add(error.strerror)

    @contextlib.contextmanager
    def _dropped_when_it_fails(self, flag: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever it is, the training goes on
            self.views.pop(flag, None)
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            self.log(f"warning: {flag}: {reason}; the training goes on without it")

    def _on_views(self, show: Callable[[Any], None]) -> None:
        for flag, view in list(self.views.items()):
            with self._dropped_when_it_fails(flag):
                show(view)

    def _open_page(self, options: dict, epoch: int, length: Length):
        from reporting.html.training_page import TrainingPage

        return TrainingPage(self.folder / "web", options, epoch, length)

    def _open_views(self, opt: Namespace, options: dict, done: int) -> None:
        """The live views that are asked for; each has ``losses``, ``images`` and ``close``."""
        if opt.tensorboard:
            with self._dropped_when_it_fails("--tensorboard"):
                self.views["--tensorboard"] = TensorBoardLogger(self.folder, done)
        if opt.use_wandb:
            with self._dropped_when_it_fails("--use_wandb"):
                self.views["--use_wandb"] = WandbLogger(self.folder, options)
        if opt.display_id > 0:
            from reporting.visdom.logger import VisdomLogger

            self.views["--display_id"] = VisdomLogger(
                opt.display_server, opt.display_port, opt.display_env, opt.display_id,
                opt.display_ncols, history=self.history, folder=self.folder, log=self.log,
            )  # fmt: skip

    def __enter__(self) -> "Visualizer":
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()
        if self.page:
            with self._told_when_not_written():
                self.page.close()
        self._on_views(lambda view: view.close())
