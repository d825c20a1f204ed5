"""Create a dataset of emoji: the designs of Google (A) and of Twitter (B).

    python datasets/emoji.py [--size 64] [--out datasets/emoji] [--from DIR] [--test 100]

The images come from the npm packages emoji-datasource-google and emoji-datasource-twitter
(64×64, transparent) and are put on a white background. trainA and trainB contain different emoji
(unpaired); testA and testB contain the same emoji under the same file names, the code points. The
split depends on a hash of these names: it is the same on every run and mixes all types of emoji.

Flags and skin tones (hundreds of near duplicates) and joined sequences (woman + rocket, …: mostly
one person with different tools) are excluded, so that the images are diverse and no training image
of B is almost the counterpart of one of A.
"""

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
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from common import MAX_SIDE, Parser, UserError, atomic_folder, integer, refuse_non_empty, run

VERSION = "16.0.0"  # fixed, so that the dataset stays the same
VENDORS = {"A": "google", "B": "twitter"}
ARTWORK = {
    "google": "Noto Emoji, (c) Google, Apache License 2.0, github.com/googlefonts/noto-emoji",
    "twitter": "Twemoji, (c) Twitter and other contributors, CC-BY 4.0, github.com/jdecked/twemoji",
}
# Skin tones, the letters and tags that spell flags, and the joiner of sequences.
_EXCLUDED = re.compile(r"1f3f[b-f]|1f1e[6-9a-f]|1f1f[0-9a-f]|e00[0-9a-f]{2}|200d")


@dataclass(frozen=True)
class Package:
    """The content of one npm package: its version, and PNG files by code points ("1f600")."""

    name: str
    version: str
    images: dict[str, bytes]


def main() -> None:
    options = parse_args()
    refuse_non_empty(options.out)

    with tempfile.TemporaryDirectory() as scratch:
        folder = options.source or npm_pack(Path(scratch))
        packages = {domain: read_package(folder, vendor) for domain, vendor in VENDORS.items()}
    splits = split_emoji(packages, options.test)

    with atomic_folder(options.out) as folder:
        write_images(folder, packages, splits, options.size)
        (folder / "LICENSES.txt").write_text(license_text(packages), encoding="utf-8")

    counts = "/".join(str(len(names)) for names in splits.values())
    print(f"{options.out}: {counts} images, {options.size}×{options.size}")


def parse_args() -> argparse.Namespace:
    parser = Parser(
        prog="download_emoji.sh",
        description="Create a dataset of emoji in the designs of Google (A) and of Twitter (B).",
    )
    source_help = "folder of the two .tgz files, instead of downloading them with npm"
    add = parser.add_argument
    add("--out", type=Path, default=Path("datasets/emoji"), help="output folder [%(default)s]")
    add(
        "--size", type=integer(16, MAX_SIDE), default=64, help="side length in pixels [%(default)s]"
    )
    add("--test", type=integer(1), default=100, help="emoji per test split [%(default)s]")
    add("--from", dest="source", type=Path, metavar="DIR", help=source_help)
    return parser.parse_args()


def npm_pack(folder: Path) -> Path:
    """Download both packages into `folder`; raise `UserError` without npm or network."""
    npm = shutil.which("npm")
    if not npm:
        raise UserError("npm is not installed: install it, or pass --from DIR with the .tgz files")

    names = [f"emoji-datasource-{vendor}@{VERSION}" for vendor in VENDORS.values()]
    print(f"downloading {' and '.join(names)} with npm (130 MB) …", file=sys.stderr)
    command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", folder, *names]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if done.returncode:
        raise UserError(
            f"npm could not download {' '.join(names)}: check the network, "
            "or pass --from DIR with the .tgz files"
        )
    return folder


def read_package(folder: Path, vendor: str) -> Package:
    """Read the package of `vendor` in `folder`; raise `UserError` if it is missing or damaged."""
    name = f"emoji-datasource-{vendor}"
    found = sorted(folder.glob(f"{name}-*.tgz"))
    if len(found) != 1:
        raise UserError(
            f"--from {folder} contains {len(found)} files {name}-*.tgz: put one of them there"
        )
    try:
        return _read_tar(found[0], name, vendor)
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, KeyError) as error:
        raise UserError(f"{found[0]} is not an intact {name} package: get it again") from error


def _read_tar(path: Path, name: str, vendor: str) -> Package:
    """Read the members with known names into memory; nothing is written to the disk."""
    image_name = re.compile(rf"package/img/{vendor}/64/([0-9a-f]+(?:-[0-9a-f]+)*)\.png")
    images = {}
    package_json = {}
    with tarfile.open(path) as archive:
        for member in archive:
            match = image_name.fullmatch(member.name)
            if match and member.isfile():
                images[match[1]] = archive.extractfile(member).read()
            elif member.name == "package/package.json" and member.isfile():
                package_json = json.load(archive.extractfile(member))
    return Package(name, str(package_json["version"]), images)


def split_emoji(packages: dict[str, Package], test: int) -> dict[str, list[str]]:
    """Return the names of the emoji in each split, `test` of them in testA and testB.

    Raises `UserError` if too few are left for training.
    """
    shared = set(packages["A"].images) & set(packages["B"].images)
    kept = [name for name in shared if not _EXCLUDED.search(name)]
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
    for split, name in tqdm(jobs, desc="resizing", unit="emoji", leave=False, disable=None):
        image = render(packages[split[-1]], name, size)
        image.save(folder / split / f"{name}.png")


def render(package: Package, name: str, size: int) -> Image.Image:
    """Return the emoji on white, as RGB, `size` × `size` pixels; `UserError` if unreadable."""
    try:
        emoji = Image.open(io.BytesIO(package.images[name])).convert("RGBA")
    except (OSError, SyntaxError) as error:
        raise UserError(f"{package.name}: {name}.png is damaged: get it again") from error

    background = Image.new("RGBA", emoji.size, "white")
    image = Image.alpha_composite(background, emoji).convert("RGB")
    return image.resize((size, size), Image.Resampling.LANCZOS)


def license_text(packages: dict[str, Package]) -> str:
    lines = [
        f"{domain}: {ARTWORK[VENDORS[domain]]}\n   from the npm package {package.name} "
        f"{package.version} (packaging: MIT, (c) Cal Henderson)\n"
        for domain, package in packages.items()
    ]
    return "".join(lines) + "Changed here: put on white, resized, sorted into four folders.\n"


if __name__ == "__main__":
    run(main)
