"""``train.py`` on a machine where things go wrong: kills, delays and full disks at chosen moments.

    python tests/helpers/faulty_train.py '{"kill": 7, "delay": 0.02}' --dataroot … --name …

The moments are counted: before and after every tensor file written, every fsync and every rename.
``kill`` ends the process by SIGKILL at that one, a tensor file being half written then; ``full``
lets all of them from that one on fail as on a full disk; ``delay`` makes each last longer.
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
    """Counts the moments at which files change."""

    def __init__(self, kill: int = 0, full: int = 0, delay: float = 0.0):
        self.kill, self.full, self.delay, self.count = kill, full, delay, 0

    def watch(self, owner, name: str) -> None:
        real = getattr(owner, name)

        def watched(*args, **kwargs):
            self.pass_one()
            result = real(*args, **kwargs)
            self.pass_one(args[1] if name == "save" else None)
            return result

        setattr(owner, name, watched)

    def pass_one(self, written: Path | None = None) -> None:
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
