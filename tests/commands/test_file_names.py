"""Files may have any name: it is data, no part of a page, a line or a terminal's commands."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from helpers.commands import make_images, ok
from helpers.odd_images import png
from helpers.refusals import TRAIN
from helpers.wrong_folders import NAMES
from PIL import Image

from util.errors import printable

ALL_NAMES = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)


class Page(HTMLParser):
    """What a browser finds in a page: tags, addresses of images, all text and attributes."""

    def __init__(self, file: Path):
        super().__init__()
        self.tags: list[str] = []
        self.images: list[Path] = []
        self.text = ""
        self.feed(file.read_text(encoding="utf-8"))
        assert self.images

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.images += [value for name, value in attrs if tag == "img" and name == "src"]

    def handle_data(self, data):
        self.text += data


@ALL_NAMES
def test_names_are_no_part_of_the_page(name, call, tiny, here, tmp_path):
    plain = Page(results_of(call, tiny, make_images(tmp_path / "plain", 1), tmp_path))
    (here / name).write_bytes((tmp_path / "plain" / "00.png").read_bytes())
    index = results_of(call, tiny, here, tmp_path)
    page = Page(index)
    assert page.tags == plain.tags
    assert printable(Path(name).stem)[:90] in page.text
    for address in page.images:
        with Image.open(index.parent / unquote(address, errors="surrogateescape")) as image:
            image.load()


def results_of(call, tiny, folder: Path, tmp_path: Path) -> Path:
    ok(call(*tiny, "--dataroot", folder))
    return tmp_path / "results" / "tiny" / "test_latest" / "index.html"


@ALL_NAMES
def test_a_warning_is_one_line_whatever_the_name(name, call, tiny, here):
    (make_images(here, 10) / name).write_text("no image")
    done = ok(call(*tiny, "--dataroot", here))
    lines = [line for line in done.stdout.splitlines() if "cannot be read" in line]
    assert lines == [f"warning: {printable(str(here / name))} cannot be read as an image: "
                     "it is not an image; it is left out"]  # fmt: skip
    assert "\x1b" not in done.stdout


@ALL_NAMES
def test_an_error_is_one_line_whatever_the_name(name, call, tiny, here):
    (here / name).write_text("no image")
    done = call(*tiny, "--dataroot", here / name)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"error: {printable(str(here / name))} cannot be read as "
                                        "an image: it is not an image; fix or replace the file"
                                        ]  # fmt: skip


def test_two_long_names_stay_two(call, tiny, here, tmp_path):
    for ending in "ab":
        (make_images(here, 1) / "00.png").rename(here / ("n" * 250 + ending + ".png"))
    page = Page(results_of(call, tiny, here, tmp_path))
    assert len(set(page.images)) == 4


@pytest.mark.slow
def test_no_name_stops_the_real_command(run, here, tmp_path):
    """Nor does a terminal that knows ASCII only, nor what Pillow thinks of large images."""
    root = here / os.fsdecode(b"\xff")
    for side in ("trainA", "trainB"):
        make_images(root / side, 20)
    (root / "trainA" / os.fsdecode(b"\xfe.png")).write_text("no image")
    (root / "trainA" / "10x.png").write_bytes(png(10000, 9000))
    words = [word for word in TRAIN if word != "--no_html"]
    done = ok(run(*words, "--dataroot", root, env={"PYTHONIOENCODING": "ascii"}))
    assert done.stderr == ""
    assert "\\udcfe.png cannot be read" in done.stdout
    assert "10x.png cannot be read as an image: image file is truncated" in done.stdout
    (options,) = (tmp_path / "checkpoints").rglob("train_opt.txt")
    assert "/here/\\udcff" in options.read_text(encoding="utf-8")
