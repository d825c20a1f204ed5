"""``--bit_depth 16`` through the commands: gray images of 65536 levels, from file to file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import TINY, TINY_TRAIN, call_in, ok
from helpers.high_bit_depth import FILES, GRAY, deep, make_gray_set, read
from helpers.refusals import failures
from PIL import Image
from torch import nn

from data.transforms import PREPROCESS
from translator import Translator
from util.images import resize_pil


@pytest.fixture(scope="module")
def grays(tmp_path_factory) -> Path:
    return make_gray_set(tmp_path_factory.mktemp("grays"))


class Identity(nn.Module):
    """The generator that changes nothing."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))  # models look at it for place and type

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.fixture
def identity(tmp_path, monkeypatch) -> list[str]:
    """The words for test.py with a run ``same``, of which the generator changes nothing."""
    monkeypatch.setattr("models.base_model.define_G", lambda *_, **options: Identity())
    folder = tmp_path / "checkpoints" / "same"
    folder.mkdir(parents=True)
    torch.save(Identity().state_dict(), folder / "latest_net_G.pth")
    return ["--name", "same", "--gpu_ids", "-1", "--num_threads", "0", *GRAY]


@pytest.mark.parametrize("preprocess", PREPROCESS)
def test_an_identity_generator_gives_back_the_file(preprocess, identity, tmp_path):
    (tmp_path / "in").mkdir()
    for name, (make, _) in FILES.items():
        Image.fromarray(make()).save(tmp_path / "in" / name)
    words = ["--dataroot", tmp_path / "in", "--preprocess", preprocess, "--crop_size", "256"]
    done = ok(call_in(tmp_path, "test.py", *identity, *words))
    assert "computing on the CPU (fp32" in done.stdout
    images = tmp_path / "results" / "same" / "test_latest" / "images"
    for name, (_, expected) in FILES.items():
        for label in ("real", "fake"):
            found = read(images / f"{Path(name).stem}_{label}.png")
            assert np.abs(found - expected).max() <= 1, (name, label)


def test_the_size_is_kept_with_all_levels(identity, tmp_path):
    levels = deep(5, 60, 90)
    Image.fromarray(levels).save(tmp_path / "a.png")
    words = ["--dataroot", tmp_path / "a.png", "--load_size", "120", "--keep_size"]
    ok(call_in(tmp_path, "test.py", *identity, *words))
    found = read(tmp_path / "results" / "same" / "test_latest" / "images" / "a_fake.png")
    assert found.shape == (90, 60)
    assert np.abs(found - levels).mean() < 2000  # twice scaled: the noise is smoothed
    assert len(np.unique(found)) > 2000


@pytest.fixture(scope="module")
def deep_run(grays, tmp_path_factory) -> Path:
    """A folder with a run ``deep`` on 16-bit images, with its page."""
    root = tmp_path_factory.mktemp("deep")
    words = [word for word in TINY_TRAIN if word != "--no_html"]
    words += ["--dataroot", grays, "--name", "deep", *GRAY]
    ok(call_in(root, "train.py", *words))
    return root


def test_the_page_of_a_training_shows_them_rightly(grays, deep_run):
    file = deep_run / "checkpoints" / "deep" / "web" / "images" / "epoch001_real_A.png"
    with Image.open(file) as shown:
        assert shown.mode == "L"
        expected = resize_pil(Image.fromarray(read(grays / "testA" / "0.png").astype(np.uint16)),
                           shown.size)  # fmt: skip
        assert np.abs(np.asarray(shown) - np.asarray(expected) / 257).max() <= 1


def test_a_test_remembers_the_depth(grays, deep_run, tmp_path):
    words = ["--name", "deep", "--gpu_ids", "-1", "--num_threads", "0", "--dataroot", grays]
    done = ok(call_in(deep_run, "test.py", *words, "--model", "cycle_gan", "--contact_sheet"))
    assert "computing on the CPU (fp32" in done.stdout
    results = deep_run / "results" / "deep" / "test_latest"
    files = list((results / "images").iterdir())
    assert len(files) == 3 * 6
    for file in files:
        assert read(file).shape == (32, 32)
        assert len(np.unique(read(file))) > 500 or "real" not in file.name
    with Image.open(results / "contact_sheet.png") as sheet:
        real = np.asarray(sheet)[3:99, 3:99].mean()
    assert abs(real - read(results / "images" / "0_real_A.png").mean() / 257) < 3


def test_the_translator_is_the_command(grays, deep_run):
    file = grays / "testA" / "1.png"
    words = ["--name", "deep", "--gpu_ids", "-1", "--num_threads", "0", "--dataroot", file]
    ok(call_in(deep_run, "test.py", *words))
    expected = read(deep_run / "results" / "deep" / "test_latest" / "images" / "1_fake.png")
    translate = Translator("deep", checkpoints_dir=deep_run / "checkpoints", gpu_ids=-1)
    with Image.open(file) as image:
        for given in (file, image):
            found = translate(given)
            assert found.mode == "I;16"
            assert np.array_equal(np.asarray(found), expected)


def test_the_depth_may_change_on_the_way(grays, deep_run, tmp_path):
    """Weights do not depend on it: a run may go on in 8 bits, and in 16 again."""
    shutil.copytree(deep_run / "checkpoints", tmp_path / "checkpoints")
    for epochs, depth in (("2", "8"), ("3", "16")):
        words = ["--name", "deep", "--continue_train", "--n_epochs", epochs, "--bit_depth", depth]
        done = ok(call_in(tmp_path, "train.py", *words))
        assert f"End of epoch {epochs} / {epochs}" in done.stdout


def test_pairs_train_and_translate(grays, tmp_path):
    words = ["--dataroot", grays, "--name", "p", "--model", "pix2pix", *TINY_TRAIN, *GRAY]
    ok(call_in(tmp_path, "train.py", *words))
    words = ["--name", "p", "--gpu_ids", "-1", "--num_threads", "0", "--dataroot", grays]
    ok(call_in(tmp_path, "test.py", *words, "--model", "pix2pix", "--preprocess", "none"))
    images = tmp_path / "results" / "p" / "test_latest" / "images"
    assert np.array_equal(read(images / "0_real_A.png"), deep(0))
    assert np.array_equal(read(images / "0_real_B.png"), 65535 - deep(0))
    assert read(images / "0_fake_B.png").shape == (40, 40)


@pytest.mark.parametrize("nc", [("3", "3"), ("1", "3"), ("3", "1")], ids=str)
@pytest.mark.parametrize("script", ["train.py", "test.py"])
def test_color_is_refused(script, nc, dataset, tmp_path):
    words = ["--dataroot", dataset, *TINY, "--bit_depth", "16"]
    done = call_in(tmp_path, script, *words, "--input_nc", nc[0], "--output_nc", nc[1],
                   *(["--lambda_identity", "0"] if script == "train.py" else []))  # fmt: skip
    failures(done, ("--bit_depth 16", "--input_nc 1 --output_nc 1"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["12", "deep"])
def test_other_depths_are_refused(text, dataset, tmp_path):
    done = call_in(tmp_path, "train.py", "--dataroot", dataset, *TINY, "--bit_depth", text)
    failures(done, ("--bit_depth", text))
