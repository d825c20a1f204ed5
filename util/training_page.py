"""``web/index.html``: what a run has learned so far, on a fixed set of pictures."""

import re
import time
from pathlib import Path
from urllib.parse import quote

from torch import Tensor

from util.curves import draw_curves
from util.files import write_text
from util.history import History
from util.images import save_picture, to_8_bits
from util.pages import new_page, picture_row, save_page

# Shows the pictures of another epoch: their names differ by the number of the epoch only.
SLIDER = """
const slider = document.getElementById("epoch"), shown = document.getElementById("shown");
slider.max = epochs.length - 1; slider.value = slider.max;
slider.oninput = () => {
  const number = String(epochs[slider.value]).padStart(3, "0");
  shown.textContent = epochs[slider.value];
  document.querySelectorAll("figure img").forEach(img => {
    img.src = img.parentNode.href = img.getAttribute("src").replace(/epoch\\d+/, "epoch" + number);
  });
};
"""


class TrainingPage:
    """The page of one run. An update costs the same in every epoch: it writes the pictures of the
    current one, a page that shows these, and appends the epoch to a list for the slider."""

    def __init__(self, folder: Path, options: dict, epoch: int):
        """``epoch`` is the first one to come; what the page knows of later ones is forgotten."""
        self.folder, self.options = folder, options
        self.epochs = folder / "epochs.js"
        self.last_epoch = 0
        (folder / "images").mkdir(parents=True, exist_ok=True)
        shown = [number for number in self._shown_before() if number < epoch]
        write_text(self.epochs, "const epochs = [];\n" + "".join(map(_entry, shown)))

    def update(self, epoch: int, samples: list[dict[str, Tensor]], history: History) -> None:
        """Show ``samples``, pictures (1, C, H, W) by label of the fixed set, made in ``epoch``."""
        rows = [self._save(epoch, i, sample) for i, sample in enumerate(samples)]
        draw_curves(history.curves()).save(self.folder / "losses.png")
        if epoch != self.last_epoch:
            with self.epochs.open("a", encoding="utf-8") as file:
                file.write(_entry(epoch))
            self.last_epoch = epoch
        save_page(self._page(epoch, rows, history), self.folder / "index.html")

    def _shown_before(self) -> list[int]:
        if not self.epochs.is_file():
            return []
        found = re.findall(r"push\((\d+)\)", self.epochs.read_text(encoding="utf-8"))
        return sorted(set(map(int, found)))

    def _save(self, epoch: int, index: int, sample: dict[str, Tensor]) -> dict[str, str]:
        """The first sample has the classic names, ``epoch007_fake_B.png``; others a number."""
        mark = f"_{index}" if index else ""
        names = {label: f"images/epoch{epoch:03d}_{label}{mark}.png" for label in sample}
        for label, picture in sample.items():
            save_picture(to_8_bits(picture[0]), self.folder / names[label])
        return names

    def _page(self, epoch: int, rows: list[dict[str, str]], history: History):
        from dominate import tags, util

        name = self.options["name"]
        page = new_page(f"{name}: epoch {epoch}")
        with page:
            tags.h1(name)
            record = history.records[-1] if history.records else ""
            tags.p(f"epoch {epoch}, {time.strftime('%Y-%m-%d %H:%M')} {record}", cls="sub")
            with tags.p("Pictures of epoch "):
                tags.span(str(epoch), id="shown")
                tags.br()
                tags.input_(type="range", id="epoch", min="0", aria_label="epoch")
            for row in rows:
                picture_row(
                    {label: quote(file) for label, file in row.items()},
                    self.options["display_winsize"],
                )
            if history.records:
                tags.h2("Losses")
                tags.img(src="losses.png", cls="curves", alt="loss curves")
            tags.h2("Options")
            with tags.table(), tags.tbody():
                for option, value in sorted(self.options.items()):
                    tags.tr(tags.td(option), tags.td(str(value)))
            tags.script(src="epochs.js")
            tags.script(util.raw(SLIDER))
        return page


def _entry(epoch: int) -> str:
    """A line of the list of epochs."""
    return f"if (epochs.at(-1) !== {epoch}) epochs.push({epoch});\n"
