"""Losses and evaluations of a run, kept in ``losses.jsonl``."""

import contextlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from util.files import truncate_file


@dataclass(frozen=True)
class Record:
    """Losses at one moment of the training.

    ``iters`` and ``total_iters`` count the images seen in the epoch and in the run. ``time`` is in
    seconds per image; ``data`` is the part of it spent waiting for the data loader.
    """

    epoch: int
    iters: int
    total_iters: int
    learning_rate: float
    time: float
    data: float
    losses: dict[str, float]

    def __str__(self) -> str:
        """The line on the console and in ``loss_log.txt``, whose format is fixed."""
        head = f"epoch: {self.epoch}, iters: {self.iters}"
        rates = f"time: {self.time:.3f}, data: {self.data:.3f}"
        losses = " ".join(f"{name}: {value:.3f}" for name, value in self.losses.items())
        return f"({head}, {rates}) {losses}"

    def curves(self) -> dict[str, float]:
        """All values that loggers plot, by the name of the curve."""
        losses = {f"loss/{name}": value for name, value in self.losses.items()}
        return {**losses, "learning rate": self.learning_rate, "seconds per image": self.time}


@dataclass(frozen=True)
class Evaluation:
    """Metrics of the translated test images after an epoch, by name (``kid_fake_B``)."""

    epoch: int
    total_iters: int
    metrics: dict[str, float]
    best: dict[str, int]  # name → the epoch with the best value so far

    def __str__(self) -> str:
        """The line on the console and in ``loss_log.txt``."""
        metrics = " ".join(f"{name}: {value:.4f}" for name, value in self.metrics.items())
        return f"(epoch: {self.epoch}, evaluation) {metrics}"


class History:
    """Records of a run, appended to a file; a thinned copy in memory serves for plotting.

    The copy holds at most ``keep`` records: when it is full every second one is removed, so that
    plotting takes as long in the last epoch as in the first.
    """

    def __init__(self, path: Path, size: int = 0, keep: int = 1000):
        """Continue after the first ``size`` bytes of the file; 0 starts a new one."""
        self.path = path
        self.keep = keep
        self.stride = 1  # of `seen` records one in `stride` is kept
        self.seen = 0
        self.records: list[Record] = []
        self.evaluations: list[Evaluation] = []

        truncate_file(path, size)
        if path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                # A crash may leave an incomplete line.
                with contextlib.suppress(ValueError, TypeError):
                    self._load(json.loads(line))

    def _load(self, values: dict) -> None:
        if "metrics" in values:
            self.evaluations.append(Evaluation(**values))
        else:
            self._remember(Record(**values))

    def add(self, record: Record) -> None:
        """Append a record to the file and to the copy."""
        append_line(self.path, json.dumps(asdict(record)))
        self._remember(record)

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Append an evaluation to the file and to the copy, which keeps all of them."""
        append_line(self.path, json.dumps(asdict(evaluation)))
        self.evaluations.append(evaluation)

    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Loss name → points (images seen, value); NaN and infinity are left out."""
        lines: dict[str, list[tuple[int, float]]] = {}
        for record in self.records:
            for name, value in record.losses.items():
                if math.isfinite(value):
                    lines.setdefault(name, []).append((record.total_iters, value))
        return lines

    def metric_curves(self) -> dict[str, list[tuple[int, float]]]:
        """Metric → points (images seen, value) of all evaluations."""
        lines: dict[str, list[tuple[int, float]]] = {}
        for evaluation in self.evaluations:
            for name, value in evaluation.metrics.items():
                if math.isfinite(value):
                    lines.setdefault(name, []).append((evaluation.total_iters, value))
        return lines

    def _remember(self, record: Record) -> None:
        if self.seen % self.stride == 0:
            self.records.append(record)
        self.seen += 1

        if len(self.records) > self.keep:
            self.records = self.records[::2]
            self.stride *= 2


def append_line(path: Path, line: str) -> None:
    """Append a line to a file. On failure nothing is added: half a line would spoil the next one.

    Raises OSError if the file cannot be written.
    """
    size = path.stat().st_size if path.is_file() else 0
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError:
        truncate_file(path, size)
        raise
