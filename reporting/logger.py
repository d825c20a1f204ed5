"""Interface of a logger, and what it may know of the run."""

import contextlib
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from torch import Tensor

from reporting.history import Evaluation, History, Record
from util.flags import Flag
from util.progress import Length

Visuals = dict[str, Tensor]  # images (1, C, H, W) in [-1, 1] by label


@dataclass
class RunContext:
    """The run that loggers show; the visualizer keeps ``epoch`` and ``warnings`` up to date."""

    opt: Namespace
    options: dict[str, object]  # those of ``opt`` that a user can set
    folder: Path
    history: History
    length: Length
    log: Callable[[str], None] = print
    epoch: int = 1
    total_iters: int = 0  # images seen before this start
    warnings: list[str] = field(default_factory=list)
    reported: set[str] = field(default_factory=set)

    def warn_once(self, text: str, key: str = "") -> None:
        """Log a warning unless one with the same ``key``, by default the text, was logged."""
        if (key or text) not in self.reported:
            self.reported.add(key or text)
            self.log(f"warning: {text}")

    @contextlib.contextmanager
    def tolerate_write_errors(self) -> Iterator[None]:
        """Log an OSError once for each cause instead of raising it: a full disk may be freed."""
        try:
            yield
        except OSError as error:
            reason = str(error.strerror or error)
            path = error.filename or self.folder
            self.warn_once(f"{path}: {reason}; training continues without it", key=reason)


class Logger(Protocol):
    """Destination of the losses and images of a training run; `LOGGERS` lists them all.

    Subclasses override what they need and import optional packages in ``__init__``. A logger that
    raises an exception is dropped with a warning, and training continues. Training waits for every
    method: what may take long belongs in a thread.
    """

    flags: ClassVar[Mapping[str, Flag]] = {}  # options of train.py, its key in `LOGGERS` included
    packages: ClassVar[tuple[str, ...]] = ()  # must be installed before the run starts
    state_files: ClassVar[tuple[str, ...]] = ()  # in the run's folder, deleted by a new run
    images_freq: ClassVar[str] = "display_freq"  # option: training images between `images`

    def __init__(self, run: RunContext) -> None:
        """Open the logger; a resumed run continues after ``run.total_iters`` images."""

    @staticmethod
    def is_enabled(value: object) -> bool:
        """Return whether this ``value`` of the flag in `LOGGERS` switches the logger on."""
        return bool(value)

    def scalars(self, record: Record) -> None:
        """Log the losses, learning rate and speed of one moment (every ``--print_freq``)."""

    def evaluation(self, evaluation: Evaluation) -> None:
        """Show the metrics of an epoch."""

    def images(self, samples: list[Visuals]) -> None:
        """Show a fixed set of images, translated by the current networks (``images_freq``)."""

    def close(self) -> None:
        """Write what is pending and release all resources."""
