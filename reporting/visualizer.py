"""Show one training run: console, log files and all enabled loggers."""

import contextlib
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

from tqdm import tqdm

from reporting import LOGGERS, enabled_loggers
from reporting.diagnostics import Pairs, find_warnings
from reporting.history import Evaluation, History, Record, append_line
from reporting.logger import Logger, RunContext, Visuals
from util.files import truncate_file
from util.progress import Length

HISTORY_FILE = "losses.jsonl"
LOSS_LOG = "loss_log.txt"


class NullVisualizer:
    """Stand-in for `Visualizer` in all processes but the main one: it shows nothing."""

    shows_images = False

    def log_sizes(self) -> dict[str, int]:
        """Return no sizes: there are no log files."""
        return {}

    def _ignore(self, *_) -> None:
        """Show nothing."""

    log = advance = show_losses = show_evaluation = show_images = update_page = _ignore

    def __enter__(self) -> "NullVisualizer":
        return self

    def __exit__(self, *_) -> None:
        pass


class Visualizer:
    """Show one run; as a context manager it closes everything at the end.

    On a terminal a progress bar shows losses, images/s and the time left; elsewhere only lines are
    printed. No display ends a run: a log file that cannot be written is reported once, and a
    logger that raises an exception is dropped.
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
        """Start to show a run that has seen ``done`` images and is in ``epoch``.

        ``options`` are those of ``opt`` that a user can set. A resumed run keeps the first
        ``sizes`` bytes of its log files (see `log_sizes`); None keeps all of them.
        """
        self.folder = Path(opt.checkpoints_dir) / opt.name
        self.log_file = self.folder / LOSS_LOG
        self.history = self._open_history(opt.continue_train, sizes)
        self.run = RunContext(
            opt, options, self.folder, self.history, length, self.log, epoch, total_iters=done
        )
        self.previous_warnings: list[str] = []
        self.bar = tqdm(
            total=length.epochs * length.images,
            initial=done,
            unit=" images",
            disable=None,
            leave=False,
        )

        self.loggers: dict[str, Logger] = {}  # by flag
        for flag, logger in enabled_loggers(opt).items():
            with self._drop_on_failure(flag):
                self.loggers[flag] = logger(self.run)

        with self.run.tolerate_write_errors():
            started = f"================ Training Loss ({time.strftime('%c')}) ================"
            append_line(self.log_file, started)

    def _open_history(self, resumed: bool, sizes: dict[str, int] | None) -> History:
        """Truncate the log files to ``sizes`` for a ``resumed`` run, else start anew."""
        if not resumed:
            for logger in LOGGERS.values():
                for name in logger.state_files:
                    (self.folder / name).unlink(missing_ok=True)
            return History(self.folder / HISTORY_FILE)

        kept = self.log_sizes() if sizes is None else sizes
        truncate_file(self.log_file, kept.get(LOSS_LOG, 0))
        return History(self.folder / HISTORY_FILE, kept.get(HISTORY_FILE, 0))

    def log_sizes(self) -> dict[str, int]:
        """Return the sizes of the log files in bytes, for the state that a run resumes from."""
        files = [self.folder / name for name in (HISTORY_FILE, LOSS_LOG)]
        return {file.name: file.stat().st_size for file in files if file.is_file()}

    @property
    def shows_images(self) -> bool:
        """Whether `show_images` has an effect, so that the images are worth computing."""
        return any(logger.images_freq == "display_freq" for logger in self.loggers.values())

    def log(self, text: str) -> None:
        """Print a line above the progress bar."""
        tqdm.write(text)

    def advance(self, images: int) -> None:
        """Advance the progress bar."""
        self.bar.update(images)

    def show_losses(self, record: Record) -> None:
        """Print the losses, write them to the log files and pass them to the loggers."""
        self.log(str(record))
        with self.run.tolerate_write_errors():
            append_line(self.log_file, str(record))
            self.history.add(record)

        losses = {name: f"{value:.3f}" for name, value in record.losses.items()}
        self.bar.set_postfix(losses, refresh=False)
        self._for_each_logger(lambda logger: logger.scalars(record))

    def show_evaluation(self, evaluation: Evaluation) -> None:
        """Print the metrics, write them to the log files and pass them to the loggers."""
        self.log(str(evaluation))
        with self.run.tolerate_write_errors():
            append_line(self.log_file, str(evaluation))
            self.history.add_evaluation(evaluation)
        self._for_each_logger(lambda logger: logger.evaluation(evaluation))

    def show_images(self, samples: list[Visuals]) -> None:
        """Show the fixed images everywhere but on the page (every ``--display_freq`` images)."""
        self._show_samples("display_freq", samples)

    def update_page(self, epoch: int, samples: list[Visuals], pairs: Pairs) -> None:
        """Show the fixed images on the page (every ``--update_html_freq``) and look for problems.

        A problem is reported if two consecutive updates find it: early in training, all
        translations look alike.
        """
        found = find_warnings(samples, pairs, self.history.records)
        self.run.warnings = [text for text in found if text in self.previous_warnings]
        self.previous_warnings = found
        for text in self.run.warnings:
            self.run.warn_once(text)

        self.run.epoch = epoch
        self._show_samples("update_html_freq", samples)

    def _show_samples(self, images_freq: str, samples: list[Visuals]) -> None:
        """Pass the fixed images to the loggers with this ``images_freq``."""

        def show(logger: Logger) -> None:
            if logger.images_freq == images_freq:
                logger.images(samples)

        self._for_each_logger(show)

    def _for_each_logger(self, action: Callable[[Logger], None]) -> None:
        for flag, logger in list(self.loggers.items()):
            with self._drop_on_failure(flag):
                action(logger)

    @contextlib.contextmanager
    def _drop_on_failure(self, flag: str) -> Iterator[None]:
        """Report any exception in one line and drop the logger of this flag."""
        try:
            yield
        except Exception as error:
            self.loggers.pop(flag, None)
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            self.log(f"warning: --{flag}: {reason}; training continues without it")

    def __enter__(self) -> "Visualizer":
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()
        self._for_each_logger(lambda logger: logger.close())
