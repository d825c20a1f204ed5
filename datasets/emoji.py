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

import re
from pathlib import Path

from common import run
from emoji_packages import (
    Package,
    create_dataset,
    decode,
    find_package,
    parse_args,
    read_tar,
    version_in,
)

VERSION = "16.0.0"  # fixed, so that the dataset stays the same
VENDORS = {"A": "google", "B": "twitter"}
ARTWORK = {
    "google": "Noto Emoji, (c) Google, Apache License 2.0, github.com/googlefonts/noto-emoji",
    "twitter": "Twemoji, (c) Twitter and other contributors, CC-BY 4.0, github.com/jdecked/twemoji",
}
# Skin tones, the letters and tags that spell flags, and the joiner of sequences.
EXCLUDED = re.compile(r"1f3f[b-f]|1f1e[6-9a-f]|1f1f[0-9a-f]|e00[0-9a-f]{2}|200d")


def main() -> None:
    options = parse_args(
        "download_emoji.sh",
        "Create a dataset of emoji in the designs of Google (A) and of Twitter (B).",
        "emoji",
        test=100,
    )
    names = [f"emoji-datasource-{vendor}@{VERSION}" for vendor in VENDORS.values()]
    create_dataset(options, names, 130, read_packages, EXCLUDED, license_text)


def read_packages(folder: Path) -> dict[str, Package]:
    """Read the packages of both vendors; raise `UserError` if one is missing or damaged."""
    return {domain: read_package(folder, vendor) for domain, vendor in VENDORS.items()}


def read_package(folder: Path, vendor: str) -> Package:
    name = f"emoji-datasource-{vendor}"
    path = find_package(folder, name)
    prefix = f"img/{vendor}/64/"
    code_points = "[0-9a-f]+(?:-[0-9a-f]+)*"
    files = read_tar(path, re.compile(rf"{prefix}{code_points}\.png|package\.json"))
    images = {Path(file).stem: data for file, data in files.items() if file.startswith(prefix)}

    def render(emoji: str):
        return decode(images[emoji], path, emoji)

    return Package(name, version_in(files, path), frozenset(images), render)


def license_text(packages: dict[str, Package]) -> str:
    lines = [
        f"{domain}: {ARTWORK[VENDORS[domain]]}\n   from the npm package {package.name} "
        f"{package.version} (packaging: MIT, (c) Cal Henderson)\n"
        for domain, package in packages.items()
    ]
    return "".join(lines) + "Changed here: put on white, resized, sorted into four folders.\n"


if __name__ == "__main__":
    run(main)
