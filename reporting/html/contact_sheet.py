"""Many images before and after, in one image: for a README, or a look from afar."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from util.files import write_atomically
from util.images import to_rgb8

GAP, PAPER = 6, "white"  # pixels between pairs
MOST = 48  # pairs, spread evenly over all there are


def contact_sheet(rows: Iterable[list[Path]], side: int = 96, columns: int = 0) -> Image.Image:
    """Images as wide as high, ``side`` pixels; each row of files stands together as a group.

    There are about as many rows as groups side by side unless ``columns`` says how many.
    """
    groups = list(rows)
    groups = groups[:: max(1, -(-len(groups) // MOST))]
    width = max(len(group) for group in groups) * side
    columns = columns or max(1, round((len(groups) * side / width) ** 0.5))
    lines = -(-len(groups) // columns)
    size = (columns * (width + GAP) + GAP, lines * (side + GAP) + GAP)
    sheet = Image.new("RGB", size, PAPER)
    for number, group in enumerate(groups):
        left = GAP + number % columns * (width + GAP)
        top = GAP + number // columns * (side + GAP)
        for i, file in enumerate(group):
            with Image.open(file) as image:
                small = to_rgb8(image).resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(small, (left + i * side, top))
    return sheet


def save_contact_sheet(rows: Iterable[list[Path]], path: Path) -> None:
    """Write `contact_sheet` as PNG."""
    sheet = contact_sheet(rows)
    write_atomically(path, lambda file: sheet.save(file, format="PNG", optimize=True))
