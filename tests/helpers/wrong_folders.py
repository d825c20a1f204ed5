"""Invalid image folders, and file names that are hard to handle."""

from __future__ import annotations

import os
from pathlib import Path

from helpers.commands import draw_image, make_images


def one_side(here: Path) -> Path:
    """Create trainA with images; return the path of trainB, which does not exist yet."""
    make_images(here / "trainA", 2)
    return here / "trainB"


def with_file(here: Path, name: str, content: bytes) -> None:
    """Create both sides with a valid image, and another file in trainB."""
    side = make_images(one_side(here), 1)
    (side / name).write_bytes(content)


def only(here: Path, name: str) -> None:
    """Create trainB with a single file that must not be read as an image."""
    side = one_side(here)
    side.mkdir()
    (side / name).write_bytes(b"no image")


def fake_side(make):
    """Return a function that creates something else in place of the folder trainB."""
    return lambda here: make(one_side(here))


def small(here: Path) -> None:
    """Create trainB with one image that is smaller than the others."""
    side = make_images(one_side(here), 2)
    draw_image("small", (30, 50)).save(side / "bad.png")


FOLDERS = {
    "nothing": lambda here: None,
    "one side": one_side,
    "empty side": lambda here: one_side(here).mkdir(),
    "only hidden": lambda here: only(here, ".hidden.png"),
    "only texts": lambda here: only(here, "readme.txt"),
    "file for a side": fake_side(Path.touch),
    "link to nothing": fake_side(lambda side: side.symlink_to("nowhere")),
    "link to itself": fake_side(lambda side: side.symlink_to(side)),
    "one image": lambda here: draw_image("a").save(here / "a.png"),
    "empty file": lambda here: with_file(here, "bad.jpg", b""),
    "text alone": lambda here: (here / "a.png").write_text("no image"),
    "small": small,
}

#: file names that must not change the meaning of the text or HTML around them
NAMES = {
    "space": "a  b.png",
    "quotes": "a\"b'c.png",
    "line end": "two\nlines.png",
    "script": "<script>alert(1)<script>.png",
    "tag": "<img src=x onerror=alert(1)>.png",
    "entity": "&lt;b&gt;.png",
    "address": "%41#b?c&d;e.png",
    "terminal": "\x1b[31mred.png",
    "dots": "a.b..c.png",
    "other letters": "写真 é.png",
    "longest": "n" * 251 + ".png",
    "longest of two bytes": "é" * 125 + ".png",
    "no UTF-8": os.fsdecode(b"\xff\xfe.png"),
}
