"""A background thread that runs one job at a time."""

import threading
from collections.abc import Callable


class BackgroundWorker:
    """Run jobs in a thread, never two at once.

    An exception of a job is kept for `pop_error`; the caller continues.
    """

    def __init__(self):
        self.thread: threading.Thread | None = None
        self.error: Exception | None = None

    def start(self, job: Callable[[], None]) -> None:
        """Start ``job`` after the previous one has finished."""
        self.wait()
        self.thread = threading.Thread(target=self._run, args=(job,), name="background")
        self.thread.start()

    def wait(self) -> None:
        """Wait until no job is running."""
        if self.thread is not None:
            self.thread.join()
            self.thread = None

    def pop_error(self) -> Exception | None:
        """Return and clear the exception of the last failed job."""
        error = self.error
        self.error = None
        return error

    def _run(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:
            self.error = error
