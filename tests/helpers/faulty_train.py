"""``train.py`` with injected faults: kills, delays and full disks at chosen file operations.

    python tests/helpers/faulty_train.py '{"kill": 7, "delay": 0.02}' --dataroot … --name …

Moments before and after each `torch.save`, fsync and rename are counted. ``kill`` ends the process
with SIGKILL at the moment of that number (with a file half written if it is after `torch.save`);
``full`` lets every operation from that moment on fail as on a full disk; ``delay`` (seconds) slows
each one down.
"""

from __future__ import annotations

import errno
import json
import os
import runpy
import signal
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]


class Moments:
    """Count the moments at which files change, and inject faults."""

    def __init__(self, kill: int = 0, full: int = 0, delay: float = 0.0):
        self.kill = kill
        self.full = full
        self.delay = delay
        self.count = 0

    def watch(self, owner, name: str) -> None:
        """Count a moment before and after each call of ``owner.name``."""
        real = getattr(owner, name)

        def watched(*args, **kwargs):
            self.count_moment()
            result = real(*args, **kwargs)
            self.count_moment(args[1] if name == "save" else None)
            return result

        setattr(owner, name, watched)

    def count_moment(self, written: Path | None = None) -> None:
        self.count += 1
        time.sleep(self.delay)
        if self.full and self.count >= self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.count == self.kill:
            if written:
                os.truncate(written, written.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    moments = Moments(**json.loads(sys.argv.pop(1)))
    moments.watch(torch, "save")
    moments.watch(os, "fsync")
    moments.watch(Path, "replace")
    sys.argv[0] = "train.py"
    sys.path.insert(0, str(ROOT))
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")


if __name__ == "__main__":
    main()
