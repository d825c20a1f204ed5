"""Combine the two images of each pair into one file, A left and B right: data for --model pix2pix.

    python datasets/combine_A_and_B.py --fold_A photos --fold_B drawings --fold_AB pairs

fold_A and fold_B contain the splits (train, test, val, …), each of which becomes a folder in
fold_AB. Images of equal names are a pair, regardless of their extensions: 12.jpg and 12.png are
combined to 12.png. With --use_AB they are called 12_A.jpg in A and 12_B.jpg in B. Images without a
counterpart are left out and counted; different sizes in a pair are an error.

Images are read in the same way as for training (upright, opaque, 8 bits per channel; two gray
images of which one has a higher bit depth with 16 bits, for --bit_depth 16) and written as PNG,
which is lossless.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.contrib.concurrent import thread_map

from common import (
    Parser,
    UserError,
    atomic_folder,
    integer,
    refuse_file,
    refuse_non_empty,
    run,
)
from data.image_io import image_sizes, is_high_bit_depth, list_images, read_image

REMEDY = "fix or remove both files of the pair"


@dataclass(frozen=True)
class Pair:
    """Two images that belong together, and the path of the combined image below its split."""

    name: str  # without extension
    A: Path
    B: Path


def main() -> None:
    options = parse_args()
    pairs: dict[str, list[Pair]] = {}
    left_out = 0
    for split in find_splits(options):
        found, unpaired = find_pairs(options, split)
        left_out += unpaired
        if found:
            pairs[split] = found[: options.num_imgs]

    if not pairs:
        raise UserError(
            f"--fold_A {options.fold_A} and --fold_B {options.fold_B} contain no pairs in train, "
            "test, …: give the images of a pair equal names, or pass --use_AB for 12_A.jpg and "
            "12_B.jpg"
        )
    refuse_file(options.fold_AB, "--fold_AB")
    for split in pairs:
        refuse_non_empty(options.fold_AB / split, "--fold_AB")
    check_sizes([pair for found in pairs.values() for pair in found])
    write_pairs(options.fold_AB, pairs, workers=1 if options.no_multiprocessing else os.cpu_count())

    counts = "/".join(str(len(found)) for found in pairs.values())
    note = f"; images without a counterpart left out: {left_out}" if left_out else ""
    print(f"{options.fold_AB}: {counts} pairs in {'/'.join(pairs)}{note}")


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description="Combine the two images of each pair into one file, A left and B right."
    )
    add = parser.add_argument
    add("--fold_A", type=Path, required=True, metavar="DIR", help="left images, in train, test, …")
    add("--fold_B", type=Path, required=True, metavar="DIR", help="right images, in train, test, …")
    add("--fold_AB", type=Path, required=True, metavar="DIR", help="output folder")
    add("--num_imgs", type=integer(1), help="maximum number of pairs per split [no limit]")
    add("--use_AB", action="store_true", help="images are called 12_A.jpg in A and 12_B.jpg in B")
    add("--no_multiprocessing", action="store_true", help="write one image at a time")
    return parser.parse_args()


def find_splits(options: argparse.Namespace) -> list[str]:
    """Return the names of the folders in fold_A and fold_B; `UserError` if one does not exist."""
    for flag in ("fold_A", "fold_B"):
        folder = vars(options)[flag]
        if not folder.is_dir():
            problem = "is a file" if folder.exists() else "does not exist"
            raise UserError(f"--{flag} {folder} {problem}: pass the folder with train, test, …")

    if options.fold_A.resolve() == options.fold_B.resolve() and not options.use_AB:
        raise UserError(
            f"--fold_A and --fold_B are both {options.fold_A}: pass two folders, or pass --use_AB "
            "for 12_A.jpg and 12_B.jpg in one folder"
        )

    content = [*options.fold_A.iterdir(), *options.fold_B.iterdir()]
    return sorted({path.name for path in content if path.is_dir() and path.name[0] != "."})


def find_pairs(options: argparse.Namespace, split: str) -> tuple[list[Pair], int]:
    """Return the pairs of a split, by name, and the number of images without a counterpart."""
    suffix_A, suffix_B = ("_A", "_B") if options.use_AB else ("", "")
    files_A = list_images(options.fold_A / split)
    files_B = list_images(options.fold_B / split)

    A = index_by_name(files_A, options.fold_A / split, suffix_A)
    B = index_by_name(files_B, options.fold_B / split, suffix_B)
    pairs = [Pair(name, A[name], B[name]) for name in A if name in B]

    # A set, as fold_A and fold_B may be the same folder.
    unpaired = len({*files_A, *files_B}) - 2 * len(pairs)
    return pairs, unpaired


def index_by_name(files: Iterable[Path], folder: Path, suffix: str) -> dict[str, Path]:
    """Map the files whose stems end in `suffix` by path below `folder`, without that suffix."""
    found: dict[str, Path] = {}
    for path in files:
        if not path.stem.endswith(suffix) or path.stem == suffix:
            continue
        name = path.relative_to(folder).with_name(path.stem.removesuffix(suffix)).as_posix()
        if name in found:
            raise UserError(
                f"{found[name]} and {path} have the same name: rename or remove one of them"
            )
        found[name] = path
    return found


def check_sizes(pairs: list[Pair]) -> None:
    """Raise `UserError` for an unreadable image and for a pair of different sizes."""
    sizes_A = image_sizes([pair.A for pair in pairs])
    sizes_B = image_sizes([pair.B for pair in pairs])
    for pair, A, B in zip(pairs, sizes_A, sizes_B, strict=True):
        for size in (A, B):
            if isinstance(size, UserError):
                raise UserError(f"{size}: {REMEDY}")
        if A != B:
            raise UserError(
                f"{pair.A} is {A[0]}×{A[1]} and {pair.B} is {B[0]}×{B[1]}: "
                "scale one of them to the size of the other"
            )


def write_pairs(out: Path, pairs: dict[str, list[Pair]], workers: int | None) -> None:
    """Write the folders of all splits in `out`; they appear when all pairs are written."""
    with ExitStack() as stack:
        folders = {split: stack.enter_context(atomic_folder(out / split)) for split in pairs}
        jobs = [(pair, folders[split]) for split, found in pairs.items() for pair in found]
        progress = {"desc": "combining", "leave": False, "disable": None}
        thread_map(lambda job: write_pair(*job), jobs, max_workers=workers, **progress)


def write_pair(pair: Pair, folder: Path) -> None:
    """Write `pair` as one PNG in `folder`, gray if both images are; `UserError` if unreadable."""
    try:
        A = read_image(pair.A)
        B = read_image(pair.B)
        if A.mode == B.mode == "L" and (has_16_bits(pair.A) or has_16_bits(pair.B)):
            A = read_image(pair.A, bit_depth=16)
            B = read_image(pair.B, bit_depth=16)
    except UserError as error:
        raise UserError(f"{error}: {REMEDY}") from error

    mode = A.mode if A.mode == B.mode else "RGB"
    combined = np.hstack([np.asarray(image.convert(mode)) for image in (A, B)])
    path = folder / f"{pair.name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(combined).save(path)


def has_16_bits(path: Path) -> bool:
    with Image.open(path) as image:
        return is_high_bit_depth(image)


if __name__ == "__main__":
    run(main)
