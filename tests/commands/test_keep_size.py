"""``--keep_size``: images come back whole, in the size of the original."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import TINY, call_in, draw_image, ok, sizes_in, write_weights
from helpers.orientation import ORIENTATION
from helpers.refusals import failures
from PIL import Image, ImageOps

from data.transforms import PREPROCESS
from reporting.html.results_page import ResultsPage
from translator import Translator

#: file → size of the image in it, as seen; phone.jpg lies on its side in the file
ORIGINALS = {"phone.jpg": (60, 90), "wide.jpg": (1001, 533), "small.png": (37, 51)}


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> Path:
    """``testA`` and ``testB`` with different images of the sizes `ORIGINALS`, alone and A|B."""
    root = tmp_path_factory.mktemp("originals")
    for folder in ("testA", "testB", "test"):
        (root / folder).mkdir()
        for name, (width, height) in ORIGINALS.items():
            seen = draw_image(f"{folder} {name}", (width * (2 if folder == "test" else 1), height))
            turned = seen.transpose(Image.Transpose.ROTATE_90) if name == "phone.jpg" else seen
            exif = Image.Exif()
            exif[ORIENTATION] = 6 if name == "phone.jpg" else 1
            turned.save(root / folder / name, exif=exif)
    return root


#: model → what it reads below the data set, its networks, and the labels of what it writes
MODELS = {
    "test": ("testA", ["G"], ("real", "fake")),
    "cycle_gan": (
        "", ["G_A", "G_B"], ("real_A", "fake_B", "rec_A", "real_B", "fake_A", "rec_B")
    ),
    "pix2pix": ("", ["G"], ("real_A", "fake_B", "real_B")),
}  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("preprocess", PREPROCESS)
def test_keep_size_gives_the_sizes_of_the_originals(preprocess, model, originals, tmp_path):
    where, networks, labels = MODELS[model]
    words = [*write_weights(tmp_path, "resnet_6blocks", *networks), "--model", model, "--keep_size"]
    words += ["--dataroot", originals / where, "--preprocess", preprocess, "--crop_size", "64"]
    ok(call_in(tmp_path, "test.py", *words, "--load_size", "48"))
    assert sizes_in(tmp_path) == {
        f"{Path(name).stem}_{label}.png": size
        for name, size in ORIGINALS.items()
        for label in labels
    }


def test_images_of_other_sizes_share_a_batch_and_each_gets_its_own_back(originals, tmp_path):
    """Nothing is cut off, and nobody gets the image or the size of another."""
    words = [*write_weights(tmp_path, "resnet_6blocks", "G"), "--dataroot", originals / "testA"]
    words += ["--crop_size", "64", "--load_size", "96", "--batch_size", "3", "--keep_size"]
    ok(call_in(tmp_path, "test.py", *words))
    images = tmp_path / "results" / "new" / "test_latest" / "images"
    for name, size in ORIGINALS.items():
        with Image.open(originals / "testA" / name) as image:
            expected = np.asarray(ImageOps.exif_transpose(image), dtype=float)
        with Image.open(images / f"{Path(name).stem}_real.png") as image:
            assert image.size == size
            assert np.abs(np.asarray(image, dtype=float) - expected).mean() < 12


def test_sides_that_differ_are_shown_in_their_own_shapes(tmp_path):
    """A row of unpaired data holds images of two sizes; each slider has that of its own."""
    pairs = {"fake_B": "real_A", "fake_A": "real_B"}
    sizes = {"a.png": (20, 10), "b.png": (7, 30)}
    words = {"roots": [], "pairs": pairs, "width": 64, "aspect_ratio": 1.0, "sizes": sizes}
    with ResultsPage(tmp_path, "t", **words) as page:
        labels = {"real_A": "a.png", "fake_B": "a.png", "real_B": "b.png", "fake_A": "b.png"}
        page.add(
            {label: torch.zeros(1, 3, 8, 8) for label in labels},
            {label: [file] for label, file in labels.items()},
        )
    tags = re.findall(r"<img[^>]*>", page.index.read_text("utf-8"))
    for label, file in labels.items():
        (tag,) = (tag for tag in tags if f"_{label}.png" in tag)
        width, height = sizes[file]
        assert f'width="{width}"' in tag
        assert f'height="{height}"' in tag


def test_keep_size_changes_nothing_where_the_size_is_kept(originals, tmp_path):
    words = [*write_weights(tmp_path, "resnet_6blocks", "G"), "--dataroot", originals / "testA"]
    written = []
    for flags in ([], ["--keep_size"]):
        ok(call_in(tmp_path, "test.py", *words, "--preprocess", "none", *flags))
        written.append({file: file.read_bytes() for file in tmp_path.rglob("images/*.png")})
    assert len(written[0]) == 6
    assert written[0] == written[1]


def test_the_aspect_ratio_comes_after_the_size(originals, tmp_path):
    words = [*write_weights(tmp_path, "resnet_6blocks", "G"), "--crop_size", "32", "--keep_size"]
    words += ["--dataroot", originals / "testA" / "small.png", "--aspect_ratio", "2"]
    ok(call_in(tmp_path, "test.py", *words))
    assert set(sizes_in(tmp_path).values()) == {(74, 51)}


@pytest.mark.parametrize("preprocess", PREPROCESS)
def test_the_translator_keeps_sizes_too(preprocess, originals, tmp_path):
    words = [*write_weights(tmp_path, "resnet_6blocks", "G"), "--crop_size", "32", "--keep_size"]
    words += ["--preprocess", preprocess, "--dataroot", originals / "testA"]
    ok(call_in(tmp_path, "test.py", *words))
    translate = Translator(
        "new", checkpoints_dir=tmp_path / "checkpoints", netG="resnet_6blocks", ngf=1,
        no_dropout=True, gpu_ids=-1, crop_size=32, preprocess=preprocess, keep_size=True,
        precision="fp32",
    )  # fmt: skip
    for name, size in ORIGINALS.items():
        found = translate(originals / "testA" / name)
        assert found.size == size
        with Image.open(next(tmp_path.rglob(f"{Path(name).stem}_fake.png"))) as written:
            assert np.abs(np.asarray(written, dtype=int) - np.asarray(found)).max() <= 1


def test_a_training_has_no_such_switch(dataset, tmp_path):
    done = call_in(tmp_path, "train.py", "--dataroot", dataset, *TINY, "--keep_size")
    failures(done, ("--keep_size",))
