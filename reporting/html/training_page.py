"""``web/index.html``: what a run has learned so far, on a fixed set of images."""

import json
import platform
import re
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import torch
from torch import Tensor

from reporting.history import History, Record
from reporting.html.curves import draw_curves
from reporting.html.page import add_script, image_row, new_page, save_page
from util.errors import printable
from util.files import write_text
from util.images import save_image, to_uint8
from util.progress import Length


class TrainingPage:
    """The page of one run.

    An update costs the same in every epoch: it writes the images of the current one, a page that
    shows them, and ``data.js``, from which an open page learns what is new. `History` thins the
    curves, so that they never grow beyond a thousand points.
    """

    def __init__(self, folder: Path, options: dict, epoch: int, length: Length):
        """``epoch`` is the first one to come; what the page knows of later ones is forgotten."""
        self.folder, self.options, self.length = folder, options, length
        self.versions = versions()
        (folder / "images").mkdir(parents=True, exist_ok=True)
        self.epochs = [number for number in self._shown_before() if number < epoch]
        self.news: dict = {}

    def update(
        self, epoch: int, samples: list[dict[str, Tensor]], history: History, warnings: list[str]
    ) -> None:
        """Show ``samples``, images (1, C, H, W) by label of the fixed set, made in ``epoch``."""
        rows = [self._save(epoch, i, sample) for i, sample in enumerate(samples)]
        draw_curves(history.curves()).save(self.folder / "losses.png")
        self.epochs = sorted({*self.epochs, epoch})
        self.news = {
            "name": self.options["name"], "live": True, "epoch": epoch,
            "status": self._status(epoch, history.records[-1] if history.records else None),
            "updated": int(time.time()), "epochs": self.epochs, "length": self.length.images,
            "curves": history.curves(), "warnings": warnings,
        }  # fmt: skip
        self._tell()
        save_page(self._page(epoch, rows, warnings), self.folder / "index.html")

    def close(self) -> None:
        """The run has ended: open pages stop looking for news."""
        if self.news:
            status = re.sub(r"about [^,]* left", "ended", self.news["status"])
            self.news |= {"live": False, "status": status}
            self._tell()

    def _tell(self) -> None:
        write_text(self.folder / "data.js", f"run({json.dumps(self.news)});\n")

    def _status(self, epoch: int, record: Record | None) -> str:
        parts = [f"epoch {epoch} of {self.length.epochs}"]
        if record:
            left = self.length.epochs * self.length.images - record.total_iters
            parts += [
                f"{record.time:.3g} s an image", f"about {in_words(left * record.time)} left",
                f"learning rate {record.learning_rate:.3g}",
            ]  # fmt: skip
        return ", ".join([*parts, f"updated {time.strftime('%Y-%m-%d %H:%M')}"])

    def _shown_before(self) -> set[int]:
        names = (path.name for path in (self.folder / "images").glob("epoch*.png"))
        return {int(match[1]) for name in names if (match := re.match(r"epoch(\d+)_", name))}

    def _save(self, epoch: int, index: int, sample: dict[str, Tensor]) -> dict[str, str]:
        """The first sample has the classic names, ``epoch007_fake_B.png``; others a number."""
        mark = f"_{index}" if index else ""
        names = {label: f"images/epoch{epoch:03d}_{label}{mark}.png" for label in sample}
        for label, image in sample.items():
            save_image(to_uint8(image[0]), self.folder / names[label])
        return names

    def _page(self, epoch: int, rows: list[dict[str, str]], warnings: list[str]):
        from dominate import tags

        page = new_page(f"{self.options['name']}: epoch {epoch}")
        with page:
            tags.h1(self.options["name"])
            tags.p(self.news["status"], cls="sub", id="status")
            tags.div(*(tags.span(text, cls="badge") for text in warnings), id="badges")
            with tags.p("Images of epoch "):
                tags.span(str(epoch), id="shown")
                tags.br()
                tags.input_(type="range", id="epoch", min="0", aria_label="epoch")
            for row in rows:
                addresses = {label: quote(file) for label, file in row.items()}
                image_row(addresses, self.options["display_winsize"])
            tags.h2("Losses")
            still = tags.img(src="losses.png", cls="still", id="still", alt="loss curves")
            if not self.news["curves"]:
                still["hidden"] = True
            tags.div(cls="curves", id="curves")
            self._tables()
            add_script("training.js")
            tags.script(src="data.js")
        return page

    def _tables(self) -> None:
        from dominate import tags

        for title, rows in (("Options", self.options), ("Versions", self.versions)):
            with tags.details():
                tags.summary(title)
                with tags.table(), tags.tbody():
                    for name, value in sorted(rows.items()):
                        tags.tr(tags.td(name), tags.td(printable(str(value))))


def versions() -> dict[str, str]:
    """What the run is made with; the commit is that of this program, where git knows it."""
    found = {"python": platform.python_version(), "torch": str(torch.__version__)}
    if git := shutil.which("git"):
        words = [git, "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode == 0:
            found["commit"] = done.stdout.strip()
    return found


def in_words(seconds: float) -> str:
    """A time that is left, no more precise than anybody could know it."""
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
