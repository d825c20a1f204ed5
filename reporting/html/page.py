"""What the pages have in common. dominate escapes every text that is put into them."""

from functools import cache
from pathlib import Path

from util.files import write_text

WEB = Path(__file__).parent / "assets"  # styles and scripts inlined into each page


def new_page(title: str):
    """An empty `dominate` document with our style; it needs nothing from the network."""
    import dominate
    from dominate import tags, util

    page = dominate.document(title=title, lang="en")
    with page.head:
        tags.meta(charset="utf-8")
        tags.meta(name="viewport", content="width=device-width, initial-scale=1")
        tags.style(util.raw(part("style.css")))
    return page


@cache
def part(name: str) -> str:
    """A file of the folder ``web``."""
    return (WEB / name).read_text(encoding="utf-8")


def add_script(name: str) -> None:
    """Put a script of the folder ``web`` into the element that is open."""
    from dominate import tags, util

    tags.script(util.raw(part(name)))


def save_page(page, path: Path) -> None:
    """Write a document, atomically."""
    write_text(path, page.render(pretty=False))


def image_row(images: dict[str, str], width: int):
    """A row of images side by side: caption → address; at most ``width`` pixels each."""
    from dominate import tags

    row = tags.div(
        cls="row", style=f"grid-template-columns: repeat({len(images)}, minmax(0, {width}px))"
    )
    for caption, address in images.items():
        with row, tags.figure():
            with tags.a(href=address):
                tags.img(src=address, alt=caption, loading="lazy", data_label=caption)
            tags.figcaption(caption)
    return row
