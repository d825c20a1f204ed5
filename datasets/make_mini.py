"""Draw the mini dataset: "photo" faces (A) and "anime" faces (B), the same on every run.

    python datasets/make_mini.py [--out datasets/mini] [--size 64] [--train 200] [--test 20]
                                 [--layout unaligned | aligned | colorization]

trainA and trainB contain different faces (unpaired). testA and testB contain the same faces under
the same file names, so that a translation can be compared with its true counterpart, for example
by the mean absolute error. The other layouts have the folders train and test: `aligned` with photo
and anime of a face side by side in one file, `colorization` with photos only.

A face depends only on --seed, its split and its number: a larger dataset starts with the same
faces, and another --size draws the same faces.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from random import Random

from PIL import Image, PngImagePlugin
from tqdm import tqdm

from common import MAX_SIDE, SPLITS, Parser, UserError, atomic_folder, integer, refuse_file, run
from mini_face import Face
from mini_styles import render_anime, render_photo

SIGNATURE = ("Software", "make_mini.py")  # marks our own images, which may be overwritten
MAX_SEED = 2**32 - 1


def render_pair(face: Face, size: int) -> Image.Image:
    """Draw photo and anime of one face side by side."""
    pair = Image.new("RGB", (2 * size, size))
    pair.paste(render_photo(face, size), (0, 0))
    pair.paste(render_anime(face, size), (size, 0))
    return pair


#: --layout → split → function that draws its images
LAYOUTS: dict[str, dict[str, Callable[[Face, int], Image.Image]]] = {
    "unaligned": {
        "trainA": render_photo,
        "trainB": render_anime,
        "testA": render_photo,
        "testB": render_anime,
    },
    "aligned": {"train": render_pair, "test": render_pair},
    "colorization": {"train": render_photo, "test": render_photo},
}


def main() -> None:
    options = parse_args()
    refuse_foreign_files(options.out)

    counts = {"train": options.train, "test": options.test}
    with atomic_folder(options.out) as folder:
        draw_set(folder, options.size, counts, options.seed, options.layout)

    splits = LAYOUTS[options.layout]
    numbers = "/".join(str(counts[split.rstrip("AB")]) for split in splits)
    width = 2 * options.size if options.layout == "aligned" else options.size
    print(f"{options.out}: {numbers} images in {'/'.join(splits)}, {width}×{options.size}")


def parse_args() -> argparse.Namespace:
    parser = Parser(description="Draw a small dataset of photo faces (A) and anime faces (B).")
    add = parser.add_argument
    add("--out", type=Path, default=Path("datasets/mini"), help="output folder [%(default)s]")
    add(
        "--size", type=integer(16, MAX_SIDE), default=64, help="side length in pixels [%(default)s]"
    )
    add("--train", type=integer(1), default=200, help="images per training split [%(default)s]")
    add("--test", type=integer(1), default=20, help="images per test split [%(default)s]")
    add("--layout", choices=LAYOUTS, default="unaligned", help="dataset mode [%(default)s]")
    add("--seed", type=integer(0, MAX_SEED), default=0, help="seed of the faces [%(default)s]")
    return parser.parse_args()


def sample_face(split: str, index: int, seed: int = 0) -> Face:
    """Sample the face of image `index` of `split`; testA and testB have the same faces."""
    group = "test" if split.startswith("test") else split
    return Face.sample(Random(f"{seed}/{group}/{index}"))


def draw_set(
    folder: Path, size: int, counts: dict[str, int], seed: int, layout: str = "unaligned"
) -> None:
    """Draw all splits into `folder`; `counts` gives the images per "train" and "test" split."""
    splits = LAYOUTS[layout]
    for split in splits:
        (folder / split).mkdir()

    signature = PngImagePlugin.PngInfo()
    signature.add_text(*SIGNATURE)
    jobs = [(split, i) for split in splits for i in range(counts[split.rstrip("AB")])]
    for split, i in tqdm(jobs, desc="drawing", unit="face", leave=False, disable=None):
        image = splits[split](sample_face(split, i, seed), size)
        image.save(folder / split / f"{i:04d}.png", pnginfo=signature)


def refuse_foreign_files(out: Path) -> None:
    """Raise `UserError` if `out` contains anything that this script did not draw."""
    refuse_file(out)
    for path in sorted(out.rglob("*")):
        if not (_is_split(path, out) or _has_signature(path)):
            raise UserError(f"--out {out} contains other files, such as {path}: pass another --out")


def _is_split(path: Path, out: Path) -> bool:
    return path.is_dir() and path.parent == out and path.name in (*SPLITS, "train", "test")


def _has_signature(path: Path) -> bool:
    key, value = SIGNATURE
    try:
        with Image.open(path) as image:
            return image.info.get(key) == value
    except OSError:
        return False


if __name__ == "__main__":
    run(main)
