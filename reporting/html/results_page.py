"""``results/<name>/<phase>_<epoch>/index.html``: translated images beside their inputs."""

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
Card = tuple[str, Row, str, str]  # name of the row, row, label of the input, of the translation

WRITER_THREADS = 2
MAX_PENDING_IMAGES = 64  # that wait to be written
MAX_PENDING_BYTES = 2**29
MAX_NAME_BYTES = 200  # file systems allow 255; "_real_B_rgb.png" is appended


class ResultsPage:
    """Write translated images as they arrive and, when closed, the page that shows them.

    Images are encoded and written in threads, while the next ones are translated. In a distributed
    test each process writes its own images, and the main one the page of all.
    """

    def __init__(
        self,
        folder: Path,
        title: str,
        *,
        roots: list[Path],
        pairs: dict[str, str],
        width: int,
        aspect_ratio: float,
        contact_sheet: bool = False,
        sizes: ImageSizes | None = None,
        bit_depth: int = 8,
    ):
        """Open the page in ``folder``; files are written by `add`.

        Args:
            roots: folders of the input images; their sub-folders appear in ``images/`` too.
            pairs: label of each translation → label of its input.
            width: width of an image on the page, in pixels.
            aspect_ratio: factor for the width of the written images.
            contact_sheet: whether to write ``contact_sheet.png`` too.
            sizes: source file → size to which images made from it are scaled.
            bit_depth: of the written files, 8 or 16.
        """
        self.folder = folder
        self.title = title
        self.roots = roots
        self.pairs = pairs
        self.width = width
        self.aspect_ratio = aspect_ratio
        self.target_sizes = sizes or {}
        self.quantize = QUANTIZERS[bit_depth]
        self.world = get_world()
        self.index = folder / "index.html"
        self.sheet = folder / "contact_sheet.png" if contact_sheet else None

        self.rows: dict[str, Row] = {}  # written by this process
        self.sizes: ImageSizes = {}  # of the written files
        self.names: set[str] = set()  # of all rows, those of other processes included
        self.written: set[tuple[str, str]] = set()  # (label, source) of all images
        self.writers = ThreadPoolExecutor(max_workers=WRITER_THREADS)
        self.pending: deque[Future] = deque()

    def add(self, visuals: dict[str, Tensor], sources: dict[str, list[str]]) -> None:
        """Write a batch.

        ``visuals`` are (N, C, H, W) in [-1, 1] by label, ``sources`` the N files that each of them
        is made from. A row is named after the source of its first image. The smaller side of
        unpaired data, whose images are repeated, is written once. Raises `UserError` if an earlier
        image could not be written.
        """
        used = {label: sources[label] for label in visuals}
        for index, labels, name in self._new_rows(used):
            self.rows[name] = {label: f"images/{name}_{label}.png" for label in labels}
            for label, file in self.rows[name].items():
                image = visuals[label][index]
                size = self.target_sizes.get(sources[label][index])
                pixels = self.quantize(resize_tensor(image, size) if size else image)

                height, width = pixels.shape[-2:]
                self.sizes[file] = (max(1, round(width * self.aspect_ratio)), height)
                self._write(pixels, self.folder / file)

    def pass_over(self, sources: dict[str, list[str]]) -> None:
        """Reserve the names of a batch that another process writes."""
        for _ in self._new_rows(sources):
            pass

    def _new_rows(self, sources: dict[str, list[str]]) -> Iterator[tuple[int, list[str], str]]:
        """(index in the batch, labels not written before, name) of each new row."""
        for index in range(len(next(iter(sources.values())))):
            files = {label: sources[label][index] for label in sources}
            new = [label for label, file in files.items() if (label, file) not in self.written]
            if new:
                self.written |= {(label, files[label]) for label in new}
                yield index, new, self._unused_name(Path(files[new[0]]))

    def _unused_name(self, source: Path) -> str:
        """Path of ``source`` below its root, without suffix: ``a/cat``.

        If that is taken the suffix is kept (``a/cat_jpg``), then a number is appended.
        """
        roots = [root for root in self.roots if root in source.parents]
        path = source.relative_to(roots[0] if roots else source.parent)
        stem = path.with_name(_truncate(path.stem)).as_posix()

        name = stem
        if name in self.names:
            name = f"{stem}_{source.suffix[1:]}"
        number = 2
        while name in self.names:
            name = f"{stem}_{number}"
            number += 1
        self.names.add(name)
        return name

    # --- writing ------------------------------------------------------------------------------

    def _write(self, pixels: Tensor, path: Path) -> None:
        """Write an image in a thread; wait while too much is pending."""
        self.pending.append(self.writers.submit(self._save, pixels, path))
        while len(self.pending) > min(MAX_PENDING_IMAGES, MAX_PENDING_BYTES // pixels.nbytes):
            self.pending.popleft().result()  # raises the error of the thread

    def _save(self, pixels: Tensor, path: Path) -> None:
        with _report_write_errors(path):
            save_image(pixels, path, self.aspect_ratio)

    def __enter__(self) -> "ResultsPage":
        return self

    def __exit__(self, kind, *_) -> None:
        self.writers.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is not None:
            return

        for future in self.pending:
            future.result()
        for rows, sizes in self.world.gather((self.rows, self.sizes)):
            self.rows |= rows
            self.sizes |= sizes
        if self.world.is_main:
            self._write_page()

    def _write_page(self) -> None:
        with _report_write_errors(self.index):
            save_page(self._page(), self.index)
        if self.sheet and self.rows:
            groups = [
                [self.folder / row[before], self.folder / row[after]]
                for _, row, before, after in self._cards()
            ]
            with _report_write_errors(self.sheet):
                save_contact_sheet(groups, self.sheet)

    # --- the page -----------------------------------------------------------------------------

    def _cards(self) -> list[Card]:
        """All translations, sorted by name."""
        return [
            (name, row, before, after)
            for name, row in sorted(self.rows.items())
            for after, before in self.pairs.items()
            if after in row and before in row
        ]

    def _target(self, row: Row, after: str) -> str | None:
        """Label of the target of a paired translation: the real image of the same domain.

        In unpaired data that image is the input of another translation and not a target.
        """
        target = after.replace("fake", "real")
        is_target = target in row and target not in self.pairs.values()
        return target if is_target and target != after else None

    def _page(self):
        from dominate import tags

        page = new_page(self.title)
        cards = self._cards()
        targets = [self._target(row, after) for _, row, _, after in cards]
        explanation = (
            "move the line in an image: the input on its left, the translation on its right"
        )
        if any(targets):
            explanation += "; the target beside it"
        width = self.width * (2 if any(targets) else 1)
        columns = f"repeat(auto-fill, minmax(min(100%, {width}px), 1fr))"

        with page:
            tags.h1(self.title)
            tags.p(f"{len(self.rows)} images; {explanation}", cls="sub")
            _tools(len(cards))
            with tags.div(cls="gallery", style=f"grid-template-columns: {columns}"):
                for card, target in zip(cards, targets, strict=True):
                    self._card(card, target)
            dialog = type("dialog", (tags.html_tag,), {})  # a tag that dominate does not have
            with dialog(id="view"):
                tags.div(id="large")
                tags.p(id="caption")
            add_script("results.js")
        return page

    def _card(self, card: Card, target: str | None) -> None:
        """Add one translation: the images, links to their files, a button for the full size."""
        from dominate import tags

        name, row, before, after = card
        name = printable(name)
        width, height = self.sizes[row[after]]

        def image(label: str, **attributes) -> None:
            tags.img(
                src=_address(row[label]),
                alt=f"{name}, {label}",
                width=str(width),
                height=str(height),
                loading="lazy",
                decoding="async",
                **attributes,
            )

        with tags.figure(data_name=name):
            with tags.div(cls="images", style=f"--width: {width}; --height: {height}"):
                with tags.div(cls="compare"):
                    image(after)
                    image(before, cls="before")
                    label = f"{name}: from input to translation"
                    tags.input_(type="range", min="0", max="100", value="50", aria_label=label)
                if target:
                    with tags.div(cls="target"):
                        image(target)

            with tags.figcaption(f"{name}: "):
                tags.a(before, href=_address(row[before]))
                tags.span(" → ")
                tags.a(after, href=_address(row[after]))
                tags.span(" · ")
                if target:
                    tags.span("target ")
                    tags.a(target, href=_address(row[target]))
                    tags.span(" · ")
                tags.button("full size", type="button", cls="plain enlarge")


def _tools(count: int) -> None:
    """Add the filter by name and the slider that moves all lines."""
    from dominate import tags

    with tags.div(cls="tools"):
        label = "filter by name"
        tags.input_(type="search", id="filter", placeholder=label, aria_label=label)
        tags.span(f"{count} of {count}", id="count")
        with tags.label("all: "):
            tags.input_(type="range", id="all", min="0", max="100", value="50")


def _truncate(name: str) -> str:
    """``name`` cut to `MAX_NAME_BYTES`."""
    while len(os.fsencode(name)) > MAX_NAME_BYTES:
        name = name[:-1]
    return name


def _address(file: str) -> str:
    """A file name as a URL; bytes that are no UTF-8 are kept."""
    return quote(file, errors="surrogateescape")


@contextlib.contextmanager
def _report_write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError while ``path`` is written into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror or error}; "
            "free some space there or choose another --results_dir"
        ) from None
