"""Where the time of a run goes."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

NOTICEABLE = 0.25  # share of the time
DATA = "waits for data; raise --num_threads, or make images smaller on disk"
DISPLAY = "goes into pages, displays and saves; raise --update_html_freq and --display_freq"


@dataclass
class Rates:
    """Seconds per image: in all, and waiting for the data."""

    time: float
    data: float


class StepTimer:
    """Times the steps of a run. What is not a step (pages, saves, displays) is left out.

    ``synchronize`` waits until the device has done all it was given; it is called at each reading
    only, so that the device never runs dry because somebody looks at the clock.
    """

    def __init__(self, synchronize: Callable[[], None]):
        self.synchronize = synchronize
        self.readings = 0
        self.complaints: list[str] = []  # not told yet
        self.made: set[str] = set()
        self.images = 0
        self.waited = self.paused = 0.0
        self.since = time.perf_counter()

    def waits(self, batches: Iterable[dict]) -> Iterator[dict]:
        """The same batches; the wait for each one is counted as data time."""
        iterator = iter(batches)
        while True:
            start = time.perf_counter()
            batch = next(iterator, None)
            self.waited += time.perf_counter() - start
            if batch is None:
                return
            yield batch

    def add(self, images: int) -> None:
        """That many images have been trained on."""
        self.images += images

    def read(self) -> Rates:
        """The rates since the last reading."""
        self.synchronize()
        now = time.perf_counter()
        span, images = now - self.since, max(1, self.images)
        rates = Rates((span - self.paused) / images, self.waited / images)
        self._judge(span)
        self.images, self.waited, self.paused, self.since = 0, 0.0, 0.0, now
        return rates

    def advice(self) -> str | None:
        """What slows the run down and which flag helps, once; None where nothing does."""
        return self.complaints.pop() if self.complaints else None

    def _judge(self, span: float) -> None:
        """The first reading does not count: workers and compilers start."""
        self.readings += 1
        shares = {DATA: self.waited / span, DISPLAY: self.paused / span}
        for complaint, share in shares.items():
            if self.readings > 1 and share > NOTICEABLE and complaint not in self.made:
                self.made.add(complaint)
                self.complaints.append(f"{share:.0%} of the time {complaint}")

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """What happens inside is not a step."""
        self.synchronize()
        start = time.perf_counter()
        yield
        self.paused += time.perf_counter() - start
