"""What the pages have in common. dominate escapes every text that is put into them."""

from pathlib import Path

from util.files import write_text

STYLE = """
:root { color-scheme: light dark;
  --ink: #222; --faint: #767676; --paper: #fafafa; --card: #fff; --line: #e2e2e2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --faint: #9a9a9a; --paper: #161616; --card: #212121; --line: #383838; }
}
body { margin: 0 auto; max-width: 1400px; padding: 1.5rem;
  background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
.sub { color: var(--faint); margin: .2rem 0 1rem; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; overflow: hidden; }
figure img { display: block; width: 100%; height: auto; image-rendering: auto; }
figcaption { padding: .25rem .6rem; font-size: .85rem; color: var(--faint);
  overflow-wrap: anywhere; }
.gallery { display: grid; gap: 1rem; }
.row { display: grid; gap: .6rem; margin-bottom: 1rem; }
.curves { max-width: 100%; border-radius: 6px; border: 1px solid var(--line); }
table { border-collapse: collapse; font-size: .85rem; }
td { padding: .1rem 1rem .1rem 0; vertical-align: top; overflow-wrap: anywhere; }
input[type=range] { width: min(100%, 40rem); }
"""


def new_page(title: str):
    """An empty `dominate` document with our style; it needs nothing from the network."""
    import dominate
    from dominate import tags, util

    page = dominate.document(title=title, lang="en")
    with page.head:
        tags.meta(charset="utf-8")
        tags.meta(name="viewport", content="width=device-width, initial-scale=1")
        tags.style(util.raw(STYLE))
    return page


def save_page(page, path: Path) -> None:
    """Write a document, atomically."""
    write_text(path, page.render())


def picture_row(pictures: dict[str, str], width: int):
    """A row of pictures side by side: caption → address; at most ``width`` pixels each."""
    from dominate import tags

    row = tags.div(
        cls="row", style=f"grid-template-columns: repeat({len(pictures)}, minmax(0, {width}px))"
    )
    for caption, address in pictures.items():
        with row, tags.figure():
            with tags.a(href=address):
                tags.img(src=address, alt=caption, loading="lazy", data_label=caption)
            tags.figcaption(caption)
    return row
