"""``results/<name>/<phase>_<epoch>/index.html``: pictures before and after."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from torch import Tensor

from util.images import save_picture, to_8_bits
from util.pages import new_page, picture_row, save_page


class ResultsPage:
    """Writes translated pictures as they come and, when it is closed, the page that shows them.

    Encoding and writing happen in threads, while the next pictures are translated. Sub-folders of
    ``roots``, where the pictures come from, appear in ``images/`` too.
    """

    def __init__(
        self, folder: Path, title: str, *, roots: list[Path], width: int, aspect_ratio: float
    ):
        self.folder, self.title, self.roots = folder, title, roots
        self.width, self.aspect_ratio = width, aspect_ratio
        self.index = folder / "index.html"
        self.rows: dict[str, dict[str, str]] = {}  # name of a row → label → file
        self.done: set[tuple[str, str]] = set()
        self.writers = ThreadPoolExecutor(max_workers=2)
        self.writing: list[Future] = []

    def add(self, visuals: dict[str, Tensor], sources: dict[str, list[str]]) -> None:
        """Write a batch of ``visuals``, (N, C, H, W) by label, and what they are made from.

        A row is named after the source of its first picture. Where one side of unpaired data
        comes round again it is not written twice.
        """
        batches = {label: to_8_bits(pictures) for label, pictures in visuals.items()}
        for i in range(len(next(iter(batches.values())))):
            new = [label for label in batches if (label, sources[label][i]) not in self.done]
            if not new:
                continue
            self.done |= {(label, sources[label][i]) for label in new}
            name = self._unused_name(Path(sources[new[0]][i]))
            self.rows[name] = {label: f"images/{name}_{label}.png" for label in new}
            for label, file in self.rows[name].items():
                self._write(batches[label][i], self.folder / file)

    def _write(self, pixels: Tensor, path: Path) -> None:
        self.writing.append(self.writers.submit(save_picture, pixels, path, self.aspect_ratio))

    def __enter__(self) -> "ResultsPage":
        return self

    def __exit__(self, kind, *_) -> None:
        self.writers.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            for written in self.writing:
                written.result()  # raises what went wrong in a thread
            save_page(self._page(), self.index)

    def _page(self):
        from dominate import tags

        page = new_page(self.title)
        columns = max((len(files) for files in self.rows.values()), default=1)
        # As many rows side by side as fit; each one as wide as its pictures.
        layout = f"repeat(auto-fill, minmax(min(100%, {columns * self.width}px), 1fr))"
        with page:
            tags.h1(self.title)
            tags.p(f"{len(self.rows)} pictures", cls="sub")
            with tags.div(cls="gallery", style=f"grid-template-columns: {layout}"):
                for name, files in sorted(self.rows.items()):
                    with tags.section():
                        tags.h2(name)
                        addresses = {label: quote(file) for label, file in files.items()}
                        picture_row(addresses, self.width)
        return page

    def _unused_name(self, source: Path) -> str:
        """Path below the root without ending; kept, as a_jpg, where only the ending differs."""
        roots = [root for root in self.roots if root in source.parents]
        base = source.relative_to(roots[0] if roots else source.parent).with_suffix("")
        name, number = base.as_posix(), 2
        if name in self.rows:
            name = f"{name}_{source.suffix[1:]}"
        while name in self.rows:
            name, number = f"{base.as_posix()}_{number}", number + 1
        return name
