"""One training at a time for every name."""

import contextlib
import os
from pathlib import Path

from filelock import FileLock, Timeout

from util.errors import UserError


class RunLock:
    """As a context manager, holds the folder of a run until the process ends, however it ends.

    Raises `UserError` with the number of the process that has it. A folder in which nothing was
    written meanwhile is not left behind.
    """

    def __init__(self, folder: Path):
        self.folder, self.owner = folder, folder / ".pid"
        self.lock = FileLock(folder / ".lock", timeout=0)
        self.made: list[Path] = []  # the folders that were not there before, inner ones first

    def __enter__(self) -> "RunLock":
        self.made = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self.lock.acquire()
        except Timeout:
            raise UserError(
                f"--name {self.folder.name}: process {self._pid()} is training it; wait for it, "
                "stop it, or choose another --name"
            ) from None
        self.owner.write_text(str(os.getpid()), encoding="ascii")
        return self

    def __exit__(self, *_) -> None:
        self.owner.unlink(missing_ok=True)
        self.lock.release()
        if self.made and not _content(self.folder):
            Path(self.lock.lock_file).unlink(missing_ok=True)
            for folder in self.made:
                with contextlib.suppress(OSError):  # somebody else uses it
                    folder.rmdir()

    def _pid(self) -> str:
        try:
            return self.owner.read_text(encoding="ascii").strip()
        except OSError:
            return "(unknown)"


def _content(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name != ".lock"]
