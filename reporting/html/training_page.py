"""``web/index.html``: the progress of a training run on a fixed set of images."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from reporting.history import Record
from reporting.html.page import add_script, new_page, save_page
from reporting.logger import Logger, RunContext, Visuals
from util.errors import printable
from util.files import write_text
from util.flags import Flag, int_range, switch
from util.images import save_image, to_uint8
from util.versions import versions


class TrainingPage(Logger):
    """The HTML page of one run.

    An update takes as long in every epoch: it writes the images of the current epoch, a page that
    shows them, and ``data.js``, which an open page reloads. The curves are those of `History`, at
    most a thousand points each. A disk that is full skips an update and does not drop the page.
    """

    flags = {
        "no_html": switch("do not write an HTML page"),
        "update_html_freq": Flag(1000, int_range(1), "images between page updates"),
    }
    packages = ("dominate",)
    images_freq = "update_html_freq"

    def __init__(self, run: RunContext):
        self.run = run
        self.name = printable(run.opt.name)
        self.folder = run.folder / "web"
        self.versions = {**versions(), **_commit()}
        (self.folder / "images").mkdir(parents=True, exist_ok=True)
        # A resumed run may have shown later epochs, which it now repeats.
        self.epochs = {number for number in self._written_epochs() if number < run.epoch}
        self.data: dict = {}  # content of data.js

    @staticmethod
    def is_enabled(value: object) -> bool:
        """Return whether ``--no_html`` is absent."""
        return not value

    def images(self, samples: list[Visuals]) -> None:
        """Write images, page and data with the fixed ``samples`` and all losses so far."""
        with self.run.tolerate_write_errors():
            rows = [self._save_sample(index, sample) for index, sample in enumerate(samples)]
            self.epochs.add(self.run.epoch)
            self._write_data(live=True)
            save_page(self._page(rows), self.folder / "index.html")

    def close(self) -> None:
        """Mark the run as ended, so that open pages stop to look for new data."""
        if self.data:
            with self.run.tolerate_write_errors():
                self._write_data(live=False)

    def _write_data(self, *, live: bool) -> None:
        records = self.run.history.records
        self.data = {
            "name": self.name,
            "live": live,
            "status": self._status(records[-1] if records else None, live),
            "updated": int(time.time()),
            "epoch": self.run.epoch,
            "epochs": sorted(self.epochs),
            "images_per_epoch": self.run.length.images,
            "curves": self.run.history.curves(),
            "metrics": self.run.history.metric_curves(),
            "best": self.run.history.evaluations[-1].best if self.run.history.evaluations else {},
            "warnings": self.run.warnings,
        }
        write_text(self.folder / "data.js", f"run({json.dumps(self.data)});\n")

    def _status(self, record: Record | None, live: bool) -> str:
        """The line below the title."""
        length = self.run.length
        parts = [f"epoch {self.run.epoch} of {length.epochs}"]
        if not live:
            parts.append("ended")
        if record:
            remaining = length.epochs * length.images - record.total_iters
            if live:
                parts.append(f"about {format_duration(remaining * record.time)} left")
            parts.append(f"{record.time:.3g} s per image")
            parts.append(f"learning rate {record.learning_rate:.3g}")
        return ", ".join([*parts, f"updated {time.strftime('%Y-%m-%d %H:%M')}"])

    def _written_epochs(self) -> set[int]:
        names = (path.name for path in (self.folder / "images").glob("epoch*.png"))
        return {int(match[1]) for name in names if (match := re.match(r"epoch(\d+)_", name))}

    def _save_sample(self, index: int, sample: Visuals) -> dict[str, str]:
        """Write the images and return their addresses by label.

        Files of the first sample have no number: ``epoch007_fake_B.png``, those of the second are
        ``epoch007_fake_B_1.png``.
        """
        number = f"_{index}" if index else ""
        names = {label: f"images/epoch{self.run.epoch:03d}_{label}{number}.png" for label in sample}
        for label, batch in sample.items():
            save_image(to_uint8(batch[0]), self.folder / names[label])
        return {label: quote(name) for label, name in names.items()}

    def _page(self, rows: list[dict[str, str]]):
        from dominate import tags

        epoch = str(self.run.epoch)
        page = new_page(f"{self.name}: epoch {epoch}")
        with page:
            tags.h1(self.name)
            tags.p(self.data["status"], cls="sub", id="status")
            badges = [tags.span(text, cls="badge") for text in self.data["warnings"]]
            tags.div(*badges, id="badges")

            with tags.p("Images of epoch "):
                tags.span(epoch, id="shown")
                tags.br()
                tags.input_(type="range", id="epoch", min="0", aria_label="epoch")
            for row in rows:
                _image_row(row, self.run.opt.display_winsize)

            for section, title in (("metrics", "Metrics of test images"), ("losses", "Losses")):
                with tags.section(id=section, hidden=True):
                    tags.h2(title)
                    tags.div(cls="curves")
            _table("Options", self.run.options)
            _table("Versions", self.versions)

            add_script("training.js")
            tags.script(src="data.js")
        return page


def _image_row(images: dict[str, str], width: int) -> None:
    """Add images (label → address) side by side, each at most ``width`` pixels wide."""
    from dominate import tags

    with tags.div(cls="row", style=f"--columns: {len(images)}; --width: {width}px"):
        for label, address in images.items():
            with tags.figure():
                with tags.a(href=address):
                    tags.img(src=address, alt=label, loading="lazy")
                tags.figcaption(label)


def _table(title: str, rows: dict) -> None:
    """Add a table, sorted by its first column, that opens with a click on the title."""
    from dominate import tags

    with tags.details():
        tags.summary(title)
        with tags.table(), tags.tbody():
            for name, value in sorted(rows.items()):
                tags.tr(tags.td(name), tags.td(printable(str(value))))


def _commit() -> dict[str, str]:
    """The commit of this program, if it is in a git repository."""
    git = shutil.which("git")
    if git is None:
        return {}
    command = [git, "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True)
    return {"commit": done.stdout.strip()} if done.returncode == 0 else {}


def format_duration(seconds: float) -> str:
    """A duration in minutes, hours and minutes, or days and hours."""
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
