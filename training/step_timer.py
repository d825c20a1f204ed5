"""Measure the time of a run: steps, waiting for data, displays and saves."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

ADVICE_THRESHOLD = 0.25  # fraction of the time
DATA_ADVICE = "waiting for data; raise --num_threads, or make images smaller on disk"
DISPLAY_ADVICE = "spent on pages, displays and saves; raise --update_html_freq and --display_freq"


@dataclass
class StepTimes:
    """Seconds per image: in total, and waiting for data."""

    time: float
    data: float


class StepTimer:
    """Time training steps, without pages, saves and displays.

    ``synchronize`` waits for the device. It is called at each reading only, so that timing does
    not slow down the device.
    """

    def __init__(self, synchronize: Callable[[], None]):
        self.synchronize = synchronize
        self.readings = 0
        self.pending_advice: list[str] = []
        self.given_advice: set[str] = set()
        self._reset()

    def _reset(self) -> None:
        self.images = 0
        self.data_time = 0.0
        self.paused_time = 0.0
        self.start = time.perf_counter()

    def time_data(self, batches: Iterable[dict]) -> Iterator[dict]:
        """Yield the same batches; count the wait for each as data time."""
        iterator = iter(batches)
        while True:
            start = time.perf_counter()
            batch = next(iterator, None)
            self.data_time += time.perf_counter() - start
            if batch is None:
                return
            yield batch

    def add(self, images: int) -> None:
        """Count the images of a step."""
        self.images += images

    def read(self) -> StepTimes:
        """Return the times per image since the last reading."""
        self.synchronize()
        elapsed = time.perf_counter() - self.start
        images = max(1, self.images)
        times = StepTimes((elapsed - self.paused_time) / images, self.data_time / images)
        self._update_advice(elapsed)
        self._reset()
        return times

    def pop_advice(self) -> str | None:
        """Return what slows the run down and which flag helps, once; None if nothing does."""
        return self.pending_advice.pop() if self.pending_advice else None

    def _update_advice(self, elapsed: float) -> None:
        """The first reading is ignored: it includes the start of workers and compilers."""
        self.readings += 1
        fractions = {
            DATA_ADVICE: self.data_time / elapsed,
            DISPLAY_ADVICE: self.paused_time / elapsed,
        }
        for advice, fraction in fractions.items():
            is_new = advice not in self.given_advice
            if self.readings > 1 and fraction > ADVICE_THRESHOLD and is_new:
                self.given_advice.add(advice)
                self.pending_advice.append(f"{fraction:.0%} of the time is {advice}")

    @contextlib.contextmanager
    def pause(self, is_display: bool = True) -> Iterator[None]:
        """Exclude the block from the step time, and unless ``is_display`` from the advice too."""
        self.synchronize()
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            if is_display:
                self.paused_time += seconds
            else:
                self.start += seconds
