"""Makes a data set folder from a published archive: fetches it, unpacks it safely, checks it.

    python datasets/archive.py NAME [--from FILE] [--out datasets/NAME] [--any-count]

The folder appears only when all checks have passed; until then nothing is left in its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from PIL import Image
from tqdm import tqdm

from dataset_tools import SPLITS, Parser, UserError, refuse_filled, replacing, run
from download import fetch_any
from known_sets import SETS, KnownSet, find_set
from unpack import UselessArchiveError, opened

_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"}


def main() -> None:
    options = parse()
    known = find_set(options.name)
    out = options.out or Path("datasets", known.name)
    refuse_filled(out)
    strict = not options.any_count
    if options.source:
        summary = make_set(options.source, out, known, strict)
    else:
        summary = make_set_from(obtain(known, out, options.url), out, known, strict)
    print(f"{out}: {summary}")


def parse():
    parser = Parser(prog="download_cyclegan_dataset.sh", description="Fetches a published set.")
    parser.add_argument("name", metavar="NAME", help=", ".join(SETS))
    parser.add_argument("--out", type=Path, help="its folder; default: datasets/NAME")
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE",
                        help="a zip or tar archive already at hand")  # fmt: skip
    parser.add_argument("--url", help="another address of the archive, such as a mirror")
    parser.add_argument("--any-count", action="store_true",
                        help="accept other numbers and sizes of pictures")  # fmt: skip
    return parser.parse_args()


def obtain(known: KnownSet, out: Path, url: str | None) -> Path:
    """Downloads the archive beside `out` unless it is there; UserError if there is no address."""
    archive = out.resolve().parent / f"{out.resolve().name}.download"
    urls = (url,) if url else known.urls
    if not urls:
        raise UserError(f"{known.name} has no direct link: get the archive from {known.by_hand}, "
                        "then pass --from FILE")  # fmt: skip
    if not archive.exists():
        fetch_any(urls, archive)
    return archive


def make_set_from(download: Path, out: Path, known: KnownSet, strict: bool) -> str:
    """As `make_set`, and removes the download when it is used up, or useless.

    One that is whole but holds other pictures than expected stays, for a run with --any-count.
    """
    try:
        summary = make_set(download, out, known, strict)
    except UselessArchiveError:
        download.unlink()
        raise
    download.unlink()
    return summary


def make_set(archive: Path, out: Path, known: KnownSet, strict: bool) -> str:
    """Unpacks `archive` to `out` and says what it holds.

    Raises UserError if one of the four folders has no pictures or, if `strict`, if the numbers
    or sizes of the pictures are not those of `known`.
    """
    with opened(archive) as content:
        counts = count(content.files)
        check_counts(counts, known, strict)
        with replacing(out) as folder:
            content.unpack(folder)
            sizes = check_sizes(folder, known.side if strict else None)
    return f"{_slashed(counts.values())} images, {sizes}"


def count(paths: Iterable[PurePosixPath]) -> dict[str, int]:
    """How many pictures lie directly in each of the four folders."""
    found = Counter(str(path.parent) for path in paths if path.suffix.lower() in _PICTURES)
    return {split: found[split] for split in SPLITS}


def check_counts(counts: dict[str, int], known: KnownSet, strict: bool) -> None:
    missing = [split for split in SPLITS if not counts[split]]
    if missing:
        raise UselessArchiveError(f"the archive holds no pictures in {', '.join(missing)}: "
                                  f"it needs the folders {', '.join(SPLITS)}")  # fmt: skip
    if strict and tuple(counts.values()) != known.counts:
        raise UserError(
            f"{known.name} has {_slashed(known.counts)} images, this archive holds "
            f"{_slashed(counts.values())}: get it again, or pass --any-count"
        )


def check_sizes(folder: Path, side: int | None) -> str:
    """Reads the size of every picture from its header; returns "256×256" or "various sizes".

    Raises UserError if one is no picture or, with a `side`, is not `side` × `side` pixels.
    """
    pictures = [p for split in SPLITS for p in sorted((folder / split).iterdir())
                if p.suffix.lower() in _PICTURES]  # fmt: skip
    sizes = set()
    for path in tqdm(pictures, desc="checking", leave=False, disable=None):
        size = _header_size(path)
        if side and size != f"{side}×{side}":
            raise UserError(f"{_short(path)} is {size}, not {side}×{side}: get the archive again, "
                            "or pass --any-count")  # fmt: skip
        sizes.add(size)
    return sizes.pop() if len(sizes) == 1 else "various sizes"


def _header_size(path: Path) -> str:
    try:
        with Image.open(path) as picture:
            return "{}×{}".format(*picture.size)
    except (OSError, SyntaxError, Image.DecompressionBombError) as trouble:
        message = f"{_short(path)} is not a picture: get the archive again"
        raise UselessArchiveError(message) from trouble


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _slashed(numbers: Iterable[int]) -> str:
    return "/".join(map(str, numbers))


if __name__ == "__main__":
    run(main)
