"""Small zip and tar archives of images."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

from PIL import Image

from helpers.dataset_scripts import SPLITS

RED = (255, 0, 0, 255)


def png(color=RED, size=64, hole=True) -> bytes:
    """A square of `color`, with a transparent left half if `hole`."""
    image = Image.new("RGBA", (size, size), color)
    if hole:
        image.paste((0, 0, 0, 0), (0, 0, size // 2, size))
    file = io.BytesIO()
    image.save(file, format="png")
    return file.getvalue()


def tar_up(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    """Write a tar file; a `TarInfo` is added without content (for links)."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def zip_up(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def link(name: str, target: str, kind=tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def dataset_members(top: str = "", counts=(2, 3, 1, 1), side: int = 8) -> dict[str, bytes]:
    """Return names and content of the members of a small dataset."""
    content = png(size=side)
    return {
        f"{top}{split}/{i}.png": content
        for split, number in zip(SPLITS, counts, strict=True)
        for i in range(number)
    }
