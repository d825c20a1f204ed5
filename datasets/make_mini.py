"""Draws the mini set: "photo" faces (A) and "anime" faces (B), the same on every run.

    python datasets/make_mini.py [--out datasets/mini] [--size 64] [--train 200] [--test 20]
                                 [--layout unaligned | aligned | colorization]

trainA and trainB show different faces (unpaired); testA and testB show the same ones, and an
equal file name tells the true counterpart, so that a translation can be measured as the mean
absolute difference to it. The other layouts have the folders train and test: `aligned` with photo
and anime of a face side by side in one file, `colorization` with photos alone.

A face depends on --seed, its split and its number alone: more pictures do not change the earlier
ones, and another --size draws the same faces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from PIL import Image, PngImagePlugin, UnidentifiedImageError
from tqdm import tqdm

from dataset_tools import SPLITS, Parser, UserError, replacing, run, whole_number
from mini_face import Face
from mini_styles import anime, photo

SIGNATURE = ("Software", "make_mini.py")  # inside every picture: what we drew we may overwrite


def side_by_side(face: Face, size: int) -> Image.Image:
    """Photo and anime of one face: twice as wide as high."""
    pair = Image.new("RGB", (2 * size, size))
    pair.paste(photo(face, size), (0, 0))
    pair.paste(anime(face, size), (size, 0))
    return pair


#: --layout → what is drawn in which folder
LAYOUTS: dict[str, dict[str, Callable[[Face, int], Image.Image]]] = {
    "unaligned": dict(zip(SPLITS, (photo, anime, photo, anime), strict=True)),
    "aligned": {"train": side_by_side, "test": side_by_side},
    "colorization": {"train": photo, "test": photo},
}


def main() -> None:
    options = parse()
    refuse_foreign(options.out)
    counts = {"train": options.train, "test": options.test}
    with replacing(options.out) as folder:
        draw_set(folder, options.size, counts, options.seed, options.layout)
    folders = LAYOUTS[options.layout]
    numbers = "/".join(str(counts[split.rstrip("AB")]) for split in folders)
    width = 2 * options.size if options.layout == "aligned" else options.size
    print(f"{options.out}: {numbers} images in {'/'.join(folders)}, {width}×{options.size}")


def parse():
    parser = Parser(description="Draws the mini set of photo and anime faces.")
    parser.add_argument("--out", type=Path, default=Path("datasets/mini"), help="its folder")
    parser.add_argument("--size", type=whole_number(16), default=64, help="pixels, 16 or more")
    parser.add_argument("--train", type=whole_number(1), default=200, help="faces per train set")
    parser.add_argument("--test", type=whole_number(1), default=20, help="faces per test set")
    parser.add_argument("--layout", choices=LAYOUTS, default="unaligned", help="who stands where")
    parser.add_argument("--seed", type=whole_number(0), default=0, help="another one: other faces")
    return parser.parse_args()


def face_of(split: str, index: int, seed: int = 0) -> Face:
    """The face of picture `index` of `split`; testA and testB share theirs."""
    people = "test" if split.startswith("test") else split
    return Face.draw(Random(f"{seed}/{people}/{index}"))


def draw_set(
    folder: Path, size: int, counts: dict[str, int], seed: int, layout: str = "unaligned"
) -> None:
    """Draws all splits into `folder`; `counts` gives the pictures per "train" and "test"."""
    painters = LAYOUTS[layout]
    jobs = [(split, i) for split in painters for i in range(counts[split.rstrip("AB")])]
    signature = PngImagePlugin.PngInfo()
    signature.add_text(*SIGNATURE)
    for split in painters:
        (folder / split).mkdir()
    for split, i in tqdm(jobs, desc="drawing", unit="face", leave=False, disable=None):
        picture = painters[split](face_of(split, i, seed), size)
        picture.save(folder / split / f"{i:04d}.png", pnginfo=signature)


def refuse_foreign(out: Path) -> None:
    """Raises UserError if `out` holds anything that an earlier run did not draw."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file: pass a folder")
    for path in _files(out):
        if not _is_ours(path):
            raise UserError(f"--out {out} holds other files, such as {path}: pass another --out")


def _files(out: Path) -> Iterator[Path]:
    return (path for path in sorted(out.rglob("*")) if not _is_split(path, out))


def _is_split(path: Path, out: Path) -> bool:
    known = {split for painters in LAYOUTS.values() for split in painters}
    return path.is_dir() and path.parent == out and path.name in known


def _is_ours(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            return picture.info.get(SIGNATURE[0]) == SIGNATURE[1]
    except (UnidentifiedImageError, OSError):
        return False


if __name__ == "__main__":
    run(main)
