"""Puts pictures that belong together into one file, A left and B right: data for --model pix2pix.

    python datasets/combine_A_and_B.py --fold_A photos --fold_B drawings --fold_AB pairs

Below fold_A and fold_B lie the splits (train, test, val, …), each of which becomes a folder in
fold_AB. Pictures of equal names belong together, whatever their endings: 12.jpg and 12.png make
12.png. With --use_AB they are called 12_A.jpg in A and 12_B.jpg in B. Those without a partner are
left out and counted; two sizes in a pair are an error. Pictures are read as a training reads them
(upright, opaque, 8 bits; two grey ones of which one is deeper with 16 bits, for --bit_depth 16) and
written as PNG, which loses nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

sys.path.insert(1, str(Path(__file__).resolve().parent.parent))

from data.pictures import is_deep, list_pictures, picture_sizes, read_picture
from dataset_tools import Parser, UserError, refuse_filled, replacing, run, whole_number
from util.errors import UserError as UnreadableError

REMEDY = "mend both files of the pair, or remove them"


@dataclass(frozen=True)
class Pair:
    """Two files that belong together, and what both are called below their split."""

    name: str
    A: Path
    B: Path


def main() -> None:
    options = parse()
    splits = {split: find_pairs(options, split) for split in find_splits(options)}
    alone = sum(left_out for _, left_out in splits.values())
    pairs = {split: found[: options.num_imgs] for split, (found, _) in splits.items() if found}
    if not pairs:
        raise UserError(f"--fold_A {options.fold_A} and --fold_B {options.fold_B} hold no pairs in "
                        "train, test, …: give pictures that belong together equal names, or "
                        "pass --use_AB for 12_A.jpg and 12_B.jpg")  # fmt: skip
    for split in pairs:
        refuse_filled(options.fold_AB / split, "--fold_AB")
    check_sizes([pair for found in pairs.values() for pair in found])
    write(options.fold_AB, pairs, workers=1 if options.no_multiprocessing else os.cpu_count())
    numbers = "/".join(str(len(found)) for found in pairs.values())
    print(f"{options.fold_AB}: {numbers} pairs in {'/'.join(pairs)}"
          + (f"; pictures without a partner left out: {alone}" if alone else ""))  # fmt: skip


def parse():
    parser = Parser(description="Puts pictures that belong together into one file, A left.")
    for name, what in (("A", "left"), ("B", "right"), ("AB", "both")):
        parser.add_argument(f"--fold_{name}", type=Path, required=True, metavar="DIR",
                            help=f"folder with train, test, … of the pictures: {what}")  # fmt: skip
    parser.add_argument("--num_imgs", type=whole_number(1),
                        help="pairs of a split at most; all unless given")  # fmt: skip
    parser.add_argument("--use_AB", action="store_true",
                        help="pictures are called 12_A.jpg in A and 12_B.jpg in B")  # fmt: skip
    parser.add_argument("--no_multiprocessing", action="store_true",
                        help="write one pair after the other; the result is the same")  # fmt: skip
    return parser.parse_args()


def find_splits(options) -> list[str]:
    """The names of the folders in fold_A and fold_B; UserError if one of these is no folder."""
    for flag in ("fold_A", "fold_B"):
        folder = vars(options)[flag]
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist"
            raise UserError(f"--{flag} {folder} {what}: pass the folder that holds train, test, …")
    if options.fold_A.resolve() == options.fold_B.resolve() and not options.use_AB:
        raise UserError(f"--fold_A and --fold_B are both {options.fold_A}: name two folders, or "
                        "pass --use_AB for 12_A.jpg and 12_B.jpg in one")  # fmt: skip
    inside = [*options.fold_A.iterdir(), *options.fold_B.iterdir()]
    return sorted({path.name for path in inside if path.is_dir() and path.name[0] != "."})


def find_pairs(options, split: str) -> tuple[list[Pair], int]:
    """The pairs of a split, by name, and how many of its pictures have no partner."""
    files = [list_pictures(folder / split) for folder in (options.fold_A, options.fold_B)]
    marks = ("_A", "_B") if options.use_AB else ("", "")
    A = by_name(files[0], options.fold_A / split, marks[0])
    B = by_name(files[1], options.fold_B / split, marks[1])
    pairs = [Pair(name, A[name], B[name]) for name in A if name in B]
    return pairs, len({*files[0], *files[1]}) - 2 * len(pairs)  # both may lie in one folder


def by_name(files: Iterable[Path], folder: Path, mark: str) -> dict[str, Path]:
    """The files whose names end in `mark`, by path below `folder` without it and the ending."""
    found: dict[str, Path] = {}
    for path in files:
        if not path.stem.endswith(mark) or path.stem == mark:
            continue
        name = path.relative_to(folder).with_name(path.stem.removesuffix(mark)).as_posix()
        if name in found:
            raise UserError(f"{found[name]} and {path} have one name: rename or remove one of them")
        found[name] = path
    return found


def check_sizes(pairs: list[Pair]) -> None:
    """Raises UserError for a file that is no picture and for a pair of two sizes."""
    sizes = [picture_sizes([pair.A for pair in pairs]), picture_sizes([pair.B for pair in pairs])]
    for pair, A, B in zip(pairs, *sizes, strict=True):
        for size in (A, B):
            if isinstance(size, UnreadableError):
                raise UserError(f"{size}: {REMEDY}")
        if A != B:
            raise UserError(f"{pair.A} is {A[0]}×{A[1]} and {pair.B} is {B[0]}×{B[1]}: "
                            "scale one of them to the size of the other")  # fmt: skip


def write(out: Path, pairs: dict[str, list[Pair]], workers: int | None) -> None:
    """Makes the folders of all splits in `out`; they appear when the last pair is written."""
    with ExitStack() as stack:
        folders = {split: stack.enter_context(replacing(out / split)) for split in pairs}
        jobs = [(pair, folders[split]) for split, found in pairs.items() for pair in found]
        with ThreadPoolExecutor(workers) as pool:
            written = pool.map(lambda job: write_pair(*job), jobs)
            for _ in tqdm(written, total=len(jobs), desc="joining", leave=False, disable=None):
                pass


def write_pair(pair: Pair, folder: Path) -> None:
    """Writes `pair` as one PNG in `folder`, grey if both sides are; UserError if one is broken."""
    try:
        A, B = read_picture(pair.A), read_picture(pair.B)
        if A.mode == B.mode == "L" and (has_16_bits(pair.A) or has_16_bits(pair.B)):
            A, B = read_picture(pair.A, bit_depth=16), read_picture(pair.B, bit_depth=16)
    except UnreadableError as trouble:
        raise UserError(f"{trouble}: {REMEDY}") from trouble
    mode = A.mode if A.mode == B.mode else "RGB"
    both = np.hstack([np.asarray(side.convert(mode)) for side in (A, B)])
    file = folder / f"{pair.name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(both).save(file)


def has_16_bits(path: Path) -> bool:
    with Image.open(path) as file:
        return is_deep(file)


if __name__ == "__main__":
    run(main)
