"""A lock per run: no two trainings write to the same folder at a time."""

import contextlib
import os
from pathlib import Path

from filelock import FileLock, Timeout

from util.errors import UserError


class RunLock:
    """Context manager that locks the folder of a run; released at the latest when the process ends.

    Raises `UserError` with the process ID of the owner if it is locked. Folders created for the
    lock are removed on exit if nothing else was written to them.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.pid_file = folder / ".pid"
        self.lock = FileLock(folder / ".lock", timeout=0)
        self.created: list[Path] = []  # folders that did not exist before, innermost first

    def __enter__(self) -> "RunLock":
        self.created = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self.lock.acquire()
        except Timeout:
            raise UserError(
                f"--name {self.folder.name}: process {self._owner()} is training it; wait for it, "
                "stop it, or choose another --name"
            ) from None
        self.pid_file.write_text(str(os.getpid()), encoding="ascii")
        return self

    def __exit__(self, *_) -> None:
        self.pid_file.unlink(missing_ok=True)
        self.lock.release()

        lock_file = Path(self.lock.lock_file)
        if self.created and all(path == lock_file for path in self.folder.iterdir()):
            lock_file.unlink(missing_ok=True)
            for folder in self.created:
                with contextlib.suppress(OSError):  # another process uses it
                    folder.rmdir()

    def _owner(self) -> str:
        try:
            return self.pid_file.read_text(encoding="ascii").strip()
        except OSError:
            return "(unknown)"
