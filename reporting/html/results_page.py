"""``results/<name>/<phase>_<epoch>/index.html``: images before and after."""

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from torch import Tensor

from distributed.context import get_world
from reporting.html.contact_sheet import save_contact_sheet
from reporting.html.page import add_script, new_page, save_page
from util.errors import UserError, printable
from util.images import QUANTIZERS, resize_tensor, save_image

Row = dict[str, str]  # label → file, relative to the page
ImageSizes = dict[str, tuple[int, int]]  # file → width and height in pixels
PREFETCH_FACTOR = 64  # images that may wait to be written
ROOM = 2**29  # bytes that they may take meanwhile
LONGEST = 200  # bytes of a name; "_real_A.png" comes behind it, and file systems allow 255


class ResultsPage:
    """Writes translated images as they come and, when it is closed, the page that shows them.

    Encoding and writing happen in threads, while the next images are translated. ``pairs`` says
    which label is the translation of which. Sub-folders of ``roots``, where the images come
    from, appear in ``images/`` too. What is made from a file in ``sizes`` is scaled to that size.
    Of several processes each writes its images, the first one the page of all of them.
    """

    def __init__(
        self, folder: Path, title: str, *, roots: list[Path], pairs: dict[str, str], width: int,
        aspect_ratio: float, contact_sheet: bool = False, sizes: ImageSizes | None = None,
        bit_depth: int = 8,
    ):  # fmt: skip
        self.folder, self.title, self.roots, self.pairs = folder, title, roots, pairs
        self.width, self.aspect_ratio, self.kept_sizes = width, aspect_ratio, sizes or {}
        self.to_levels, self.world = QUANTIZERS[bit_depth], get_world()
        self.index = folder / "index.html"
        self.sheet = folder / "contact_sheet.png" if contact_sheet else None
        self.rows: dict[str, Row] = {}
        self.sizes: ImageSizes = {}  # of the files written
        self.done: set[tuple[str, str]] = set()
        self.names: set[str] = set()  # of rows, those of other processes included
        self.writers = ThreadPoolExecutor(max_workers=2)
        self.writing: deque[Future] = deque()

    def add(self, visuals: dict[str, Tensor], sources: dict[str, list[str]]) -> None:
        """Write a batch of ``visuals``, (N, C, H, W) by label, and what they are made from.

        A row is named after the source of its first image. Where one side of unpaired data
        comes round again it is not written twice.
        """
        for i, new, name in self._new_rows({label: sources[label] for label in visuals}):
            self.rows[name] = {label: f"images/{name}_{label}.png" for label in new}
            for label, file in self.rows[name].items():
                pixels = self._pixels(visuals[label][i], sources[label][i])
                height, width = pixels.shape[-2:]
                self.sizes[file] = (max(1, round(width * self.aspect_ratio)), height)
                self._write(pixels, self.folder / file)

    def _pixels(self, image: Tensor, source: str) -> Tensor:
        size = self.kept_sizes.get(source)
        return self.to_levels(resize_tensor(image, size) if size else image)

    def pass_over(self, sources: dict[str, list[str]]) -> None:
        """The same batch in the hands of another process, which will write it."""
        for _ in self._new_rows(sources):
            pass

    def _new_rows(self, sources: dict[str, list[str]]) -> Iterator[tuple[int, list[str], str]]:
        """(place in the batch, labels not seen before, name) of each image that has any."""
        for i in range(len(next(iter(sources.values())))):
            new = [label for label in sources if (label, sources[label][i]) not in self.done]
            if new:
                self.done |= {(label, sources[label][i]) for label in new}
                yield i, new, self._unused_name(Path(sources[new[0]][i]))

    def _write(self, pixels: Tensor, path: Path) -> None:
        self.writing.append(self.writers.submit(self._save, pixels, path))
        while len(self.writing) > min(PREFETCH_FACTOR, ROOM // pixels.nbytes):
            self.writing.popleft().result()  # raises what went wrong in a thread

    def _save(self, pixels: Tensor, path: Path) -> None:
        with _told(path):
            save_image(pixels, path, self.aspect_ratio)

    def __enter__(self) -> "ResultsPage":
        return self

    def __exit__(self, kind, *_) -> None:
        self.writers.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is not None:
            return
        for written in self.writing:
            written.result()  # raises, as above
        for rows, sizes in self.world.gather((self.rows, self.sizes)):
            self.rows |= rows
            self.sizes |= sizes
        if self.world.is_main:
            with _told(self.index):
                save_page(self._page(), self.index)
            if self.sheet and self.rows:
                groups = [[row[before], row[after]] for _, row, before, after in self._cards()]
                with _told(self.sheet):
                    save_contact_sheet(
                        [[self.folder / file for file in group] for group in groups], self.sheet
                    )

    def _cards(self) -> list[tuple[str, Row, str, str]]:
        """(name of the row, row, label before, label after), sorted by name."""
        return [
            (name, row, before, after)
            for name, row in sorted(self.rows.items())
            for after, before in self.pairs.items()
            if after in row and before in row
        ]

    def _page(self):
        from dominate import tags

        page = new_page(self.title)
        cards = self._cards()
        with page:
            tags.h1(self.title)
            tags.p(f"{len(self.rows)} images; the line in each moves: before on its left, "
                   "after on its right", cls="sub")  # fmt: skip
            with tags.div(cls="tools"):
                tags.input_(type="search", id="filter", placeholder="filter by name",
                            aria_label="filter by name")  # fmt: skip
                tags.span(f"{len(cards)} of {len(cards)}", id="count")
                with tags.label("all: "):
                    tags.input_(type="range", id="all", min="0", max="100", value="50")
            columns = f"repeat(auto-fill, minmax(min(100%, {self.width}px), 1fr))"
            with tags.div(cls="gallery", style=f"grid-template-columns: {columns}"):
                for card in cards:
                    self._card(*card)
            dialog = type("dialog", (tags.html_tag,), {})  # dominate does not know it
            with dialog(id="view"):
                tags.div(id="large")
                tags.p(id="caption")
            add_script("results.js")
        return page

    def _card(self, name: str, row: Row, before: str, after: str) -> None:
        from dominate import tags

        width, height = map(str, self.sizes[row[after]])
        name = printable(name)
        size = {"width": width, "height": height, "loading": "lazy", "decoding": "async"}
        with tags.figure(data_name=name):
            with tags.div(cls="compare"):
                tags.img(src=_address(row[after]), alt=f"{name}, {after}", **size)
                tags.img(src=_address(row[before]), alt=f"{name}, {before}", cls="before", **size)
                tags.input_(type="range", min="0", max="100", value="50",
                            aria_label=f"{name}: from before to after")  # fmt: skip
            with tags.figcaption(f"{name}: "):
                tags.a(before, href=_address(row[before]))
                tags.span(" → ")
                tags.a(after, href=_address(row[after]))
                tags.span(" · ")
                tags.button("full size", type="button", cls="plain enlarge")

    def _unused_name(self, source: Path) -> str:
        """Path below the root without ending; kept, as a_jpg, where only the ending differs.

        A very long file name is cut: what is put behind it must fit too.
        """
        roots = [root for root in self.roots if root in source.parents]
        base = source.relative_to(roots[0] if roots else source.parent)
        base = base.with_name(_cut(base.stem))
        name, number = base.as_posix(), 2
        if name in self.names:
            name = f"{name}_{source.suffix[1:]}"
        while name in self.names:
            name, number = f"{base.as_posix()}_{number}", number + 1
        self.names.add(name)
        return name


def _cut(name: str) -> str:
    while len(os.fsencode(name)) > LONGEST:
        name = name[:-1]
    return name


def _address(file: str) -> str:
    """A file's name in a link; names that are no UTF-8 keep their bytes."""
    return quote(file, errors="surrogateescape")


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the system says while ``path`` is written into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror or error}; "
            "make room there or choose another --results_dir"
        ) from None
