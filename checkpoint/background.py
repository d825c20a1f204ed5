"""One thing at a time beside the training."""

import threading
from collections.abc import Callable


class Background:
    """Runs jobs in a thread, never two at once: `start` waits for the one before.

    What a job raises is kept for `failure`; the training goes on.
    """

    def __init__(self):
        self.thread: threading.Thread | None = None
        self.error: Exception | None = None

    def start(self, job: Callable[[], None]) -> None:
        """Begin ``job``, when the one before has ended."""
        self.wait()
        self.thread = threading.Thread(target=self._run, args=(job,), name="background")
        self.thread.start()

    def wait(self) -> None:
        """Return when nothing is running any more."""
        if self.thread is not None:
            self.thread.join()
            self.thread = None

    def failure(self) -> Exception | None:
        """What the last failed job raised, once."""
        error, self.error = self.error, None
        return error

    def _run(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:
            self.error = error
