"""``--bit_depth 16``: reading, transforming and writing gray images keeps all 65536 levels."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import TINY, draw_image
from helpers.high_bit_depth import ALL_LEVELS, FILES, GRAY, deep, make_gray_set, read
from helpers.orientation import ORIENTATION, UPRIGHT
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from data import create_dataset
from data.image_io import read_image, to_rgb_or_gray
from data.image_reader import crop_half
from data.transforms import PREPROCESS, apply, get_transform
from engine.precision import select_precision
from options import TrainOptions
from reporting.html.contact_sheet import contact_sheet
from util.images import resize_pil, save_image, to_uint16


def test_all_65536_levels_survive_saving(tmp_path):
    how = {"preprocess": "none", "load_size": 1, "crop_size": 1, "grayscale": True}
    tensor = apply(Image.fromarray(ALL_LEVELS), **how)
    assert tensor.dtype == torch.float32
    assert (tensor.min(), tensor.max()) == (-1, 1)
    for same in (tensor, tensor.double() + 1e-5):  # a third of a level: rounded, not truncated
        save_image(to_uint16(same), tmp_path / "same.png")
        assert np.array_equal(read(tmp_path / "same.png"), ALL_LEVELS)


def test_values_out_of_range_are_clipped():
    levels = to_uint16(torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0]))
    assert levels.tolist() == [0, 0, 32768, 65535, 65535]


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_8_bit_images_stay_8_bit(mode):
    opt = Namespace(preprocess="none", load_size=1, crop_size=1, no_flip=True)
    image = get_transform(opt, grayscale=mode == "L", convert=False)(draw_image("x", (9, 5), mode))
    assert image.mode == mode
    assert pil_to_tensor(image).dtype == torch.uint8


@pytest.mark.parametrize("name", FILES)
def test_all_gray_formats_become_16_bits(name, tmp_path):
    make, expected = FILES[name]
    Image.fromarray(make()).save(tmp_path / name)
    found = read_image(tmp_path / name, 16)
    assert found.mode == "I;16"
    assert np.array_equal(np.asarray(found), expected)


@pytest.mark.parametrize("ending", [".png", ".tiff"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_16_bit_images_are_rotated_upright(orientation, ending, tmp_path):
    path = tmp_path / f"scan{ending}"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(deep(0, 7, 4)).save(path, exif=exif)
    assert np.array_equal(np.asarray(read_image(path, 16)), UPRIGHT[orientation](deep(0, 7, 4)))


def test_halves_crops_and_flips_are_exact():
    levels = deep(1, 41, 12)
    right = crop_half(to_rgb_or_gray(Image.fromarray(levels), 16), 1)
    assert np.array_equal(np.asarray(right), levels[:, 21:])
    how = {"preprocess": "crop", "load_size": 0, "crop_size": 8, "grayscale": True}
    tensor = apply(right, crop_pos=(5, 3), flip=True, **how)
    assert np.array_equal(to_uint16(tensor)[0], levels[3:11, 26:34][:, ::-1])


@pytest.mark.parametrize("size", [(100, 80), (23, 31)], ids=str)
def test_scaling_agrees_with_that_of_8_bits(size):
    fine = np.asarray(resize_pil(Image.fromarray(deep(2)), size)).astype(float)
    coarse = Image.fromarray((deep(2) / 257).round().astype(np.uint8))
    difference = fine / 257 - np.asarray(coarse.resize(size, Image.Resampling.BICUBIC))
    assert np.abs(difference).max() <= 1.5
    assert len(np.unique(fine)) > 400  # of 713 pixels


def test_scaling_clips_overshoot():
    steps = np.zeros((16, 16), np.uint16)
    steps[:, 8:] = 65535
    found = np.asarray(resize_pil(Image.fromarray(steps), (40, 40)))
    assert (found[:, :18] < 3000).all() and (found[:, 22:] > 62000).all()
    assert found.min() == 0 and found.max() == 65535


@pytest.mark.parametrize("grayscale", [False, True])
def test_apply_rescales_16_bits_instead_of_clipping(grayscale):
    """Also in the mode of older versions of Pillow; to 8 bits where color is requested."""
    how = {"preprocess": "none", "load_size": 1, "crop_size": 1, "grayscale": grayscale}
    expected = torch.from_numpy(deep(3) / 32767.5 - 1)
    for levels in (deep(3), deep(3).astype(np.int32)):
        found = apply(Image.fromarray(levels), **how)
        assert found.shape == (1 if grayscale else 3, 40, 40)
        assert (found - expected).abs().max() <= (1e-6 if grayscale else 1 / 255 + 1e-6)


def test_auto_precision_is_fp32_for_16_bits(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    cpu = torch.device("cpu")
    assert select_precision("auto", cpu) == select_precision("auto", cpu, 8) == "bf16"
    assert select_precision("auto", cpu, 16) == "fp32"
    assert select_precision("bf16", cpu, 16) == "bf16"


@pytest.mark.parametrize(("mode", "top"), [("I;16", 65535), ("L", 255)])
def test_contact_sheet_shows_16_bits_like_8_bits(mode, top, tmp_path):
    levels = np.full((8, 8), top * 0.4, dtype=np.uint16 if top > 255 else np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png")
    sheet = contact_sheet([[tmp_path / "a.png"]], side=8)
    assert sheet.getpixel((10, 10)) == (102, 102, 102)


# --- datasets -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grays(tmp_path_factory) -> Path:
    return make_gray_set(tmp_path_factory.mktemp("grays"))


def three_epochs(root: Path, *words) -> list[dict]:
    opt = TrainOptions().parse(["--dataroot", str(root), *TINY, *GRAY, *words])
    batches = create_dataset(opt)
    found = []
    for epoch in (1, 2, 3):
        batches.set_epoch(epoch)
        found += list(batches)
    batches.close()
    return found


@pytest.mark.parametrize("words", [["--num_threads", "2"], ["--cache", "off"]], ids=str)
def test_batches_do_not_depend_on_workers_or_cache(words, grays):
    for one, other in zip(three_epochs(grays), three_epochs(grays, *words), strict=True):
        assert torch.equal(one["A"], other["A"]) and torch.equal(one["B"], other["B"])


def test_batches_hold_the_levels_of_the_files(grays):
    for batch in three_epochs(grays, "--preprocess", "none", "--no_flip", "--num_threads", "1"):
        for side in "AB":
            (path,) = batch[f"{side}_paths"]
            assert np.array_equal(to_uint16(batch[side])[0, 0], read(Path(path)))


@pytest.mark.parametrize("preprocess", PREPROCESS)
def test_both_halves_of_a_pair_get_the_same_transform(preprocess, grays):
    words = ["--model", "pix2pix", "--preprocess", preprocess]
    for batch in three_epochs(grays, *words):
        assert batch["A"].shape == batch["B"].shape
        assert (
            batch["A"] + batch["B"]
        ).abs().max() <= 1.01 / 32767.5  # B is A inverted; one level of rounding
