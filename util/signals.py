"""Requests to stop, from the keyboard (Ctrl-C), the system or a scheduler."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGUSR1": 143}
FIRST = b"\nstopping after this step; once more stops at once\n"
PATIENT = b"\nstopping after this step\n"
SECOND = b"\nstopped at once; what was saved before is whole\n"


class StopRequest:
    """As a context manager, notes the first signal in ``received``; the second ends the process.

    So a step is never cut in two, and whoever asks can do so between steps. A ``patient`` one
    takes further signals for the same request: torchrun passes on what a terminal has sent, and
    ends all processes when one has ended. After an error it goes on doing so, unless it is
    ``quiet``: what happened is told before the process ends.
    """

    def __init__(self, patient: bool = False, quiet: bool = False):
        self.patient, self.quiet = patient, quiet
        self.received: str | None = None  # the name of the signal
        self.before: dict[int, object] = {}

    def agree(self, largest: Callable[[list[int]], list[int]], *others: bool) -> list[bool]:
        """Receive what any process has received; ``largest`` asks all of them.

        So are the ``others``, yes where any process says yes.
        """
        names = [None, *EXIT_CODES]
        number, *answers = largest([names.index(self.received), *map(int, others)])
        self.received = names[number]
        return list(map(bool, answers))

    @property
    def exit_code(self) -> int:
        """What the process should end with."""
        return EXIT_CODES[self.received] if self.received else 0

    def __enter__(self) -> "StopRequest":
        for name in EXIT_CODES:
            number = getattr(signal, name, None)  # Windows has no SIGUSR1
            if number is not None:
                with contextlib.suppress(ValueError):  # not in the main thread: no signals here
                    self.before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type | None, *_) -> None:
        if kind is not None and self.patient and not self.quiet:
            return
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.received and self.patient:
            return
        if self.received:
            os.write(2, SECOND)
            os._exit(EXIT_CODES[name])
        self.received = name
        if not self.quiet:
            os.write(2, PATIENT if self.patient else FIRST)


def ignore_sigterm() -> None:
    """For a process that is about to end: whoever asks it to end lets it tell why first."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def ignore_job_signals() -> None:
    """For worker processes: Ctrl-C in a terminal and a scheduler's signals reach all of them.

    Only when the parent itself sends SIGTERM, as it does in the end, they obey.
    """
    for name in ("SIGINT", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # macOS has none: there SIGTERM ends a worker
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey_the_parent, daemon=True).start()


def _obey_the_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
