"""Stop requests: Ctrl-C, SIGTERM, and the signals of job schedulers."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGUSR1": 143}
SIGNALS: list[str | None] = [None, *EXIT_CODES]  # by the number that processes exchange
FIRST = b"\nstopping after this step; press Ctrl-C or send the signal again to stop immediately\n"
FIRST_PATIENT = b"\nstopping after this step\n"
SECOND = b"\nstopped immediately; the last saved state is intact\n"


class StopRequest:
    """Context manager that records the first signal in ``received``; the second ends the process.

    The caller checks it between steps, so no step is interrupted. A ``patient`` request
    ignores further signals: torchrun forwards what a terminal has sent, and signals all processes
    when one has ended. After an error it keeps ignoring them, unless it is ``quiet``, so that the
    error is reported before the process ends. A ``quiet`` request prints nothing.
    """

    def __init__(self, patient: bool = False, quiet: bool = False):
        self.patient = patient
        self.quiet = quiet
        self.received: str | None = None  # name of the signal
        self.previous_handlers: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        for name in EXIT_CODES:
            number = getattr(signal, name, None)  # Windows has no SIGUSR1
            if number is not None:
                with contextlib.suppress(ValueError):  # only the main thread can handle signals
                    self.previous_handlers[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type | None, *_) -> None:
        if kind is not None and self.patient and not self.quiet:
            return
        for number, handler in self.previous_handlers.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.received and self.patient:
            return
        if self.received:
            os.write(2, SECOND)
            os._exit(EXIT_CODES[name])

        self.received = name
        if not self.quiet:
            os.write(2, FIRST_PATIENT if self.patient else FIRST)


@contextlib.contextmanager
def delay_sigterm(seconds: float) -> Iterator[None]:
    """Let SIGTERM end the process only after ``seconds``, in which it can report an error.

    When one process dies, torchrun sends SIGTERM to the others before they notice.
    """

    def end_later(number: int, frame: FrameType | None) -> None:
        timer = threading.Timer(seconds, os._exit, [EXIT_CODES["SIGTERM"]])
        timer.daemon = True
        timer.start()

    previous = signal.signal(signal.SIGTERM, end_later)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def ignore_sigterm() -> None:
    """Ignore SIGTERM, in a process that is about to report an error and end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def ignore_job_signals() -> None:
    """Ignore, in a worker process, signals that a terminal or scheduler sends to all processes.

    Only SIGTERM from the parent process ends the worker.
    """
    for name in ("SIGINT", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # not on macOS, where any SIGTERM ends a worker
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_exit_on_parent_sigterm, daemon=True).start()


def _exit_on_parent_sigterm() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
