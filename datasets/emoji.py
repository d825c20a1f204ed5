"""Lays out an emoji set: Google's drawings (A) and Twitter's (B) of the same little pictures.

    python datasets/emoji.py [--size 64] [--out datasets/emoji] [--from DIR] [--test 100]

The drawings come from the npm packages emoji-datasource-google and emoji-datasource-twitter,
which hold them at 64×64; they are put on white. trainA and trainB show different emoji, so that
nothing is paired; testA and testB show the same ones under the same names, the code points. The
split follows a hash of these names: it is the same on every run and mixes all kinds of emoji.

Left out are flags and skin tones, which are hundreds of near copies, and the joined sequences
(woman + rocket, …), most of which repeat one person with another tool. What remains is varied,
and no training picture of B is almost the counterpart of one of A.
"""

from __future__ import annotations

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

from dataset_tools import Parser, UserError, refuse_filled, replacing, run, whole_number

VERSION = "16.0.0"  # what npm is asked for, so that the set is the same next year
VENDORS = {"A": "google", "B": "twitter"}
ARTWORK = {
    "google": "Noto Emoji, (c) Google, Apache License 2.0, github.com/googlefonts/noto-emoji",
    "twitter": "Twemoji, (c) Twitter and other contributors, CC-BY 4.0, github.com/jdecked/twemoji",
}
# Skin tones, the letters that flags are spelt with, their tags, and the joiner of sequences.
_LEFT_OUT = re.compile(r"1f3f[b-f]|1f1e[6-9a-f]|1f1f[0-9a-f]|e00[0-9a-f]{2}|200d")


@dataclass(frozen=True)
class Package:
    """One archive as read: its version, and PNG bytes by code points, such as "1f600"."""

    name: str
    version: str
    drawings: dict[str, bytes]


def main() -> None:
    options = parse()
    refuse_filled(options.out)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.source or npm_pack(Path(scratch))
        packages = {side: read_package(folder, vendor) for side, vendor in VENDORS.items()}
    sets = choose(packages, options.test)
    with replacing(options.out) as fresh:
        lay_out(fresh, packages, sets, options.size)
        (fresh / "LICENSES.txt").write_text(licences(packages), encoding="utf-8")
    counts = "/".join(str(len(names)) for names in sets.values())
    print(f"{options.out}: {counts} images, {options.size}×{options.size}")


def parse():
    parser = Parser(prog="download_emoji.sh", description="Makes a set of Google/Twitter emoji.")
    parser.add_argument("--out", type=Path, default=Path("datasets/emoji"), help="its folder")
    parser.add_argument("--size", type=whole_number(16), default=64, help="pixels, stored are 64")
    parser.add_argument("--test", type=whole_number(1), default=100, help="emoji per test set")
    parser.add_argument("--from", dest="source", type=Path, metavar="DIR",
                        help="folder of both .tgz files; without it npm fetches them")  # fmt: skip
    return parser.parse_args()


def npm_pack(folder: Path) -> Path:
    """Fetches both packages into `folder`; raises UserError without npm or network."""
    npm = shutil.which("npm")
    if not npm:
        raise UserError("npm is not installed: install it, or pass --from DIR with the .tgz files")
    names = [f"emoji-datasource-{vendor}@{VERSION}" for vendor in VENDORS.values()]
    print(f"fetching {' and '.join(names)} with npm (130 MB) …", file=sys.stderr)
    command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", folder, *names]
    if subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        raise UserError(f"npm could not fetch {' '.join(names)}: check the network, or pass "
                        "--from DIR with the .tgz files")  # fmt: skip
    return folder


def read_package(folder: Path, vendor: str) -> Package:
    """Reads the one archive of `vendor` in `folder`; UserError if there is none or it is broken."""
    name = f"emoji-datasource-{vendor}"
    found = sorted(folder.glob(f"{name}-*.tgz"))
    if len(found) != 1:
        raise UserError(f"--from {folder} holds {len(found)} files {name}-*.tgz: put one there")
    try:
        return _read_tar(found[0], name, vendor)
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, KeyError) as trouble:
        raise UserError(f"{found[0]} is not a whole {name} package: fetch it again") from trouble


def _read_tar(path: Path, name: str, vendor: str) -> Package:
    """Takes what is known by name and nothing else, so no member can write anywhere."""
    drawing = re.compile(rf"package/img/{vendor}/64/([0-9a-f]+(?:-[0-9a-f]+)*)\.png")
    drawings, about = {}, {}
    with tarfile.open(path) as archive:
        for member in archive:
            match = drawing.fullmatch(member.name)
            if match and member.isfile():
                drawings[match[1]] = archive.extractfile(member).read()
            elif member.name == "package/package.json" and member.isfile():
                about = json.load(archive.extractfile(member))
    return Package(name, str(about["version"]), drawings)


def choose(packages: dict[str, Package], test: int) -> dict[str, list[str]]:
    """The emoji of each of the four splits; UserError if `test` leaves none for training."""
    shared = set(packages["A"].drawings) & set(packages["B"].drawings)
    kept = [name for name in shared if not _LEFT_OUT.search(name)]
    shuffled = sorted(kept, key=lambda name: hashlib.sha256(name.encode()).digest())
    if len(shuffled) < test + 2:
        raise UserError(f"--test {test} is too many: both packages share {len(shuffled)} emoji")
    tests, rest = shuffled[:test], shuffled[test:]
    return {"trainA": rest[0::2], "trainB": rest[1::2], "testA": tests, "testB": tests}


def lay_out(folder: Path, packages: dict[str, Package], sets: dict[str, list], size: int) -> None:
    """Writes the pictures of the four splits, `size` pixels wide, below `folder`."""
    for split in sets:
        (folder / split).mkdir()
    jobs = [(split, name) for split, names in sets.items() for name in names]
    for split, name in tqdm(jobs, desc="drawing", unit="emoji", leave=False, disable=None):
        picture = on_white(packages[split[-1]], name, size)
        picture.save(folder / split / f"{name}.png")


def on_white(package: Package, name: str, size: int) -> Image.Image:
    """The drawing as an opaque RGB picture of `size` pixels; UserError if it is no picture."""
    try:
        drawing = Image.open(io.BytesIO(package.drawings[name])).convert("RGBA")
    except (OSError, SyntaxError) as trouble:
        raise UserError(f"{package.name}: {name}.png is broken: fetch it again") from trouble
    paper = Image.new("RGBA", drawing.size, "white")
    picture = Image.alpha_composite(paper, drawing).convert("RGB")
    return picture.resize((size, size), Image.Resampling.LANCZOS)


def licences(packages: dict[str, Package]) -> str:
    lines = [
        f"{side}: {ARTWORK[VENDORS[side]]}\n   from the npm package {package.name} "
        f"{package.version} (packaging: MIT, (c) Cal Henderson)\n"
        for side, package in packages.items()
    ]
    return "".join(lines) + "Changed here: put on white, resized, sorted into four folders.\n"


if __name__ == "__main__":
    run(main)
