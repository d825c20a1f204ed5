"""Parts shared by the pages. dominate escapes every text that is inserted."""

from functools import cache
from pathlib import Path

from util.files import write_text

ASSETS = Path(__file__).parent / "assets"  # styles and scripts, copied into each page


def new_page(title: str):
    """Return an empty `dominate` document with our style; it loads nothing from the network."""
    import dominate
    from dominate import tags, util

    page = dominate.document(title=title, lang="en")
    with page.head:
        tags.meta(charset="utf-8")
        tags.meta(name="viewport", content="width=device-width, initial-scale=1")
        tags.style(util.raw(read_asset("style.css")))
    return page


@cache
def read_asset(name: str) -> str:
    """The text of a file in ``assets/``."""
    return (ASSETS / name).read_text(encoding="utf-8")


def add_script(name: str) -> None:
    """Insert a script of ``assets/`` into the open element."""
    from dominate import tags, util

    tags.script(util.raw(read_asset(name)))


def save_page(page, path: Path) -> None:
    """Write a document atomically."""
    write_text(path, page.render(pretty=False))
