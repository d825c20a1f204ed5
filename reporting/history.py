"""The numbers of a run: one record for every line of losses, kept in ``losses.jsonl``."""

import contextlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from util.files import truncate_file


@dataclass(frozen=True)
class Record:
    """Losses at one moment. ``iters`` counts images in the epoch, ``total_iters`` in the run;
    ``time`` and ``data`` are seconds per image, the latter waiting for the batch."""

    epoch: int
    iters: int
    total_iters: int
    learning_rate: float
    time: float
    data: float
    losses: dict[str, float]

    def __str__(self) -> str:
        """As the log has always looked."""
        head = f"epoch: {self.epoch}, iters: {self.iters}"
        rates = f"time: {self.time:.3f}, data: {self.data:.3f}"
        losses = " ".join(f"{name}: {value:.3f}" for name, value in self.losses.items())
        return f"({head}, {rates}) {losses}"


def append_line(path: Path, line: str) -> None:
    """Add a line to the file, or nothing: after half a line the next one would be lost too."""
    size = path.stat().st_size if path.is_file() else 0
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError:
        truncate_file(path, size)
        raise


class History:
    """Records, appended to a file as they come; a thinned copy in memory for the curves.

    The copy never holds more than ``keep`` records: when it is full every second one goes, so
    that drawing costs the same in the last epoch as in the first.
    """

    def __init__(self, path: Path, size: int = 0, keep: int = 1000):
        """Go on after the first ``size`` bytes of the file; 0 begins a new one."""
        self.path, self.keep, self.stride, self.seen = path, keep, 1, 0
        self.records: list[Record] = []
        truncate_file(path, size)
        if path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, TypeError):  # half a line, from a crash
                    self._remember(Record(**json.loads(line)))

    def add(self, record: Record) -> None:
        """Append to the file and to the copy."""
        append_line(self.path, json.dumps(asdict(record)))
        self._remember(record)

    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """Loss name → points (images seen, value); what is not finite is left out."""
        lines: dict[str, list[tuple[float, float]]] = {}
        for record in self.records:
            for name, value in record.losses.items():
                if math.isfinite(value):
                    lines.setdefault(name, []).append((record.total_iters, value))
        return lines

    def _remember(self, record: Record) -> None:
        if self.seen % self.stride == 0:
            self.records.append(record)
        self.seen += 1
        if len(self.records) > self.keep:
            self.records, self.stride = self.records[::2], self.stride * 2
