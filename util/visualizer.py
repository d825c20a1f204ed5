"""Everything a run shows: lines on the console, the loss log, the page, the live view."""

import time
from argparse import Namespace
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from util.history import History, Record


class Visualizer:
    """Shows one run; use it as a context manager, so that everything is closed at the end.

    ``pictures`` is the length of the whole run, ``done`` how many of them are behind it. On a
    terminal a bar shows losses, pictures/s and the time left; elsewhere there are plain lines.
    """

    def __init__(self, opt: Namespace, options: dict, *, pictures: int, done: int):
        self.folder = Path(opt.checkpoints_dir) / opt.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.history = History(self.folder / "losses.jsonl", opt.continue_train)
        self.log = self.folder / "loss_log.txt"
        self._append(f"================ Training Loss ({time.strftime('%c')}) ================")
        self.bar = tqdm(total=pictures, initial=done, unit=" pictures", disable=None, leave=False)
        self.page = None if opt.no_html else self._open_page(options, opt.continue_train)
        self.live = None if opt.display_id < 1 else self._open_live_view(opt)

    def say(self, text: str) -> None:
        """A line on the console, above the bar."""
        tqdm.write(text)

    def advance(self, pictures: int) -> None:
        """Move the bar."""
        self.bar.update(pictures)

    def show_losses(self, record: Record) -> None:
        """Print a record, log it and draw it."""
        self.say(str(record))
        self._append(str(record))
        self.history.add(record)
        losses = {name: f"{value:.3f}" for name, value in record.losses.items()}
        self.bar.set_postfix(losses, refresh=False)
        if self.live:
            self.live.losses(record)

    def show_pictures(self, samples: list[dict[str, Tensor]]) -> None:
        """Show the fixed set on the live view."""
        if self.live:
            self.live.pictures(samples[0])

    def update_page(self, epoch: int, samples: list[dict[str, Tensor]]) -> None:
        """Put the fixed set and the curves on the page."""
        if self.page:
            self.page.update(epoch, samples, self.history)

    def _append(self, line: str) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _open_page(self, options: dict, continued: bool):
        from util.training_page import TrainingPage

        return TrainingPage(self.folder / "web", options, continued)

    def _open_live_view(self, opt: Namespace):
        from util.live_view import LiveView

        return LiveView(
            opt.display_server, opt.display_port, opt.display_env, opt.display_id,
            opt.display_ncols, tell=self.say,
        )  # fmt: skip

    def __enter__(self) -> "Visualizer":
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()
        if self.live:
            self.live.close()
