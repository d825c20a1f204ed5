"""Create a dataset folder from a published archive: download, unpack and check it.

    python datasets/archive.py NAME [--from FILE] [--out datasets/NAME] [--any-count]

The folder appears only after all checks have passed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from common import SPLITS, Parser, UserError, atomic_folder, refuse_non_empty, run
from download import download_any
from known_datasets import DATASETS, KnownDataset, find_dataset
from unpack import UnusableArchiveError, unpack

_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"}


def main() -> None:
    options = parse_args()
    known = find_dataset(options.name)
    out = options.out or Path("datasets", known.name)
    refuse_non_empty(out)

    strict = not options.any_count
    if options.source:
        summary = make_dataset(options.source, out, known, strict)
    else:
        archive = fetch_archive(known, out, options.url)
        summary = use_download(archive, out, known, strict)
    print(f"{out}: {summary}")


def parse_args() -> argparse.Namespace:
    parser = Parser(
        prog="download_cyclegan_dataset.sh",
        description="Download, unpack and check a published dataset.",
    )
    source_help = "zip or tar archive to use, instead of downloading one"
    add = parser.add_argument
    add("name", metavar="NAME", help=", ".join(DATASETS))
    add("--out", type=Path, help="output folder [datasets/NAME]")
    add("--from", dest="source", type=Path, metavar="FILE", help=source_help)
    add("--url", help="download the archive from this address, such as a mirror")
    add("--any-count", action="store_true", help="accept other numbers and sizes of images")
    return parser.parse_args()


def fetch_archive(known: KnownDataset, out: Path, url: str | None) -> Path:
    """Return the archive next to `out`, downloaded unless it exists.

    Raises `UserError` if there is no address to download from.
    """
    archive = out.resolve().parent / f"{out.resolve().name}.download"
    urls = (url,) if url else known.urls
    if not urls:
        raise UserError(
            f"{known.name} has no direct link: get the archive from {known.manual_source}, "
            "then pass --from FILE"
        )

    if not archive.exists():
        download_any(urls, archive)
    return archive


def use_download(archive: Path, out: Path, known: KnownDataset, strict: bool) -> str:
    """Call `make_dataset`, then remove the archive if it was unpacked or is unusable.

    An intact archive with unexpected images is kept, for another run with ``--any-count``.
    """
    try:
        summary = make_dataset(archive, out, known, strict)
    except UnusableArchiveError:
        archive.unlink()
        raise
    archive.unlink()
    return summary


def make_dataset(archive: Path, out: Path, known: KnownDataset, strict: bool) -> str:
    """Unpack `archive` to `out` and return a summary of its content.

    Raises `UserError` if one of the four folders contains no images or, if `strict`, if the
    numbers or sizes of the images are not those of `known`.
    """
    with atomic_folder(out) as folder:
        unpack(archive, folder)
        images = [list_images(folder / split) for split in SPLITS]
        counts = tuple(map(len, images))

        check_counts(counts, known, strict)
        sizes = check_sizes([*chain(*images)], known.side if strict else None)
    return f"{_join(counts)} images, {sizes}"


def list_images(folder: Path) -> list[Path]:
    """Return the images directly in `folder`, sorted by name."""
    return [path for path in sorted(folder.glob("*")) if path.suffix.lower() in _IMAGE_SUFFIXES]


def check_counts(counts: tuple[int, ...], known: KnownDataset, strict: bool) -> None:
    """Raise `UserError` if a split is empty or, if `strict`, if the numbers are unexpected."""
    empty = [split for split, count in zip(SPLITS, counts, strict=True) if not count]
    if empty:
        raise UnusableArchiveError(
            f"the archive contains no images in {', '.join(empty)}: "
            f"pass one with the folders {', '.join(SPLITS)}"
        )
    if strict and counts != known.counts:
        raise UserError(
            f"{known.name} has {_join(known.counts)} images, this archive contains "
            f"{_join(counts)}: get it again, or pass --any-count"
        )


def check_sizes(images: list[Path], side: int | None) -> str:
    """Read the size of every image from its header; return "256×256" or "various sizes".

    Raises `UserError` for an unreadable file and, given a `side`, for an image that is not
    `side` × `side` pixels.
    """
    sizes = set()
    for path in tqdm(images, desc="checking", leave=False, disable=None):
        size = _read_size(path)
        if side and size != f"{side}×{side}":
            raise UserError(
                f"{_short(path)} is {size}, not {side}×{side}: get the archive again, "
                "or pass --any-count"
            )
        sizes.add(size)
    return sizes.pop() if len(sizes) == 1 else "various sizes"


def _read_size(path: Path) -> str:
    try:
        with Image.open(path) as image:
            return "{}×{}".format(*image.size)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        message = f"{_short(path)} is not a readable image: get the archive again"
        raise UnusableArchiveError(message) from error


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _join(numbers: Iterable[int]) -> str:
    return "/".join(map(str, numbers))


if __name__ == "__main__":
    run(main)
