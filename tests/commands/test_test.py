"""Whole tests through the command: which weights it takes, which images it writes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import (
    SIDES,
    TINY,
    TINY_TRAIN,
    assert_complete,
    call_in,
    draw_image,
    make_images,
    ok,
    run_in,
)
from PIL import Image

from data.transforms import PREPROCESS
from models.networks import define_G
from translator import Translator

TEST = ["test.py", *TINY, "--name", "tiny"]


def read(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


@pytest.fixture
def translate(trained, tmp_path):
    """``translate("testA", …)``: test.py on the tiny run, results in ``tmp_path``."""

    def command(dataroot, *words):
        return ok(call_in(tmp_path, *TEST, "--dataroot", dataroot, *words))

    (tmp_path / "checkpoints").symlink_to(trained)
    return command


@pytest.mark.parametrize(("direction", "net"), [("AtoB", "G_A"), ("BtoA", "G_B")])
def test_the_direction_finds_its_network(direction, net, translate, dataset, trained, tmp_path):
    side = dataset / f"test{direction[0]}"
    done = translate(side, "--direction", direction)
    assert f"latest_net_{net}.pth" in done.stdout
    count = len(list(side.iterdir()))
    folder = tmp_path / "results" / "tiny" / "test_latest"
    assert len(list((folder / "images").iterdir())) == 2 * count
    assert re.search(rf"^{count} of {count} images written to .*index\.html$", done.stdout, re.M)
    assert_complete(folder / "index.html")
    generator = define_G(3, 3, 2, "resnet_6blocks", "instance")
    generator.load_state_dict(torch.load(trained / "tiny" / f"latest_net_{net}.pth"))
    real = torch.from_numpy(read(folder / "images" / "00_real.png").copy()).permute(2, 0, 1)
    with torch.no_grad():
        fake = (generator(real[None] / 127.5 - 1)[0] + 1) * 127.5
    difference = np.abs(read(folder / "images" / "00_fake.png") - fake.permute(1, 2, 0).numpy())
    assert difference.max() <= 0.51


@pytest.fixture(scope="module")
def backwards(tmp_path_factory) -> tuple[Path, Path]:
    """Where a run is that was trained from B, gray, to A, in color; and its images."""
    root = tmp_path_factory.mktemp("backwards")
    for side, mode in (("A", "RGB"), ("B", "L")):
        for phase in ("train", "test"):
            (root / "data" / (phase + side)).mkdir(parents=True)
            draw_image(f"{phase}{side}", (40, 40), mode).save(
                root / "data" / (phase + side) / "0.png"
            )
    words = ["--name", "tiny", "--direction", "BtoA", "--input_nc", "1", "--lambda_identity", "0"]
    ok(call_in(root, "train.py", *TINY_TRAIN, *words, "--dataroot", root / "data"))
    return root, root / "data"


@pytest.mark.parametrize(("direction", "net", "channels"),
                         [("AtoB", "G_B", (3, 1)), ("BtoA", "G_A", (1, 3))])  # fmt: skip
def test_a_run_from_b_to_a_translates_both_ways(direction, net, channels, backwards):
    root, data = backwards
    side = data / f"test{direction[0]}"
    done = ok(call_in(root, *TEST, "--dataroot", side, "--direction", direction))
    assert f"latest_net_{net}.pth" in done.stdout
    images = root / "results" / "tiny" / "test_latest" / "images"
    shapes = [read(images / f"0_{label}.png").shape for label in ("real", "fake")]
    assert [len(shape) for shape in shapes] == [2 if count == 1 else 3 for count in channels]
    how = {"checkpoints_dir": root / "checkpoints", "gpu_ids": -1, "precision": "fp32"}
    translate = Translator("tiny", direction=direction, load_size=36, **how)
    assert np.array_equal(np.asarray(translate(side / "0.png")), read(images / "0_fake.png"))


def test_both_ways_at_once_are_those_of_the_training(backwards):
    root, data = backwards
    done = ok(call_in(root, *TEST, "--model", "cycle_gan", "--dataroot", data))
    assert re.search(r" direction: BtoA", done.stdout)
    images = root / "results" / "tiny" / "test_latest" / "images"
    assert read(images / "0_real_A.png").ndim == 2  # the gray ones of B


def test_a_lone_generator_goes_the_way_it_was_trained(tmp_path):
    (tmp_path / "data" / "train").mkdir(parents=True)
    draw_image("pair", (80, 40)).save(tmp_path / "data" / "train" / "0.png")
    words = [
        "--name",
        "tiny",
        "--model",
        "pix2pix",
        "--netG",
        "resnet_6blocks",
        "--norm",
        "instance",
    ]
    words += ["--direction", "BtoA", "--input_nc", "1", "--dataroot", tmp_path / "data"]
    ok(call_in(tmp_path, "train.py", *TINY_TRAIN, *words))
    draw_image("one", (40, 40), "L").save(tmp_path / "one.png")
    words = [*TEST, "--dataroot", tmp_path / "one.png"]
    done = ok(call_in(tmp_path, *words))
    assert re.search(r" direction: BtoA", done.stdout)
    assert read(tmp_path / "results/tiny/test_latest/images/one_fake.png").shape == (32, 32, 3)
    done = call_in(tmp_path, *words, "--direction", "AtoB")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --direction AtoB: ")
    assert "latest_net_G.pth translates BtoA only" in done.stderr


@pytest.mark.parametrize("preprocess", PREPROCESS)
def test_the_pages_of_training_show_what_test_writes(preprocess, tmp_path):
    data, checkpoints = tmp_path / "data", tmp_path / "checkpoints"
    for side in SIDES:
        make_images(data / side, 2, (60, 44))
    words = [*TINY_TRAIN[:-1], "--name", "tiny", "--preprocess", preprocess]
    ok(call_in(tmp_path, "train.py", *words, "--dataroot", data))
    ok(call_in(tmp_path, "test.py", "--name", "tiny", "--dataroot", data / "testA", *TINY[-6:]))
    for i, shown in enumerate(["epoch001_fake_B.png", "epoch001_fake_B_1.png"]):
        written = read(tmp_path / f"results/tiny/test_latest/images/0{i}_fake.png")
        assert np.array_equal(written, read(checkpoints / "tiny/web/images" / shown))


def test_a_lone_generator_goes_first(call, dataset, trained, tmp_path):
    folder = tmp_path / "checkpoints" / "tiny"
    folder.mkdir(parents=True)
    for name in ("G", "G_A"):
        source = trained / "tiny" / "latest_net_G_A.pth"
        (folder / f"latest_net_{name}.pth").write_bytes(source.read_bytes())
    words = [*TEST, "--no_dropout", "--dataroot", dataset / "testA"]
    assert "latest_net_G.pth" in ok(call(*words)).stdout
    assert "latest_net_G_A.pth" in ok(call(*words, "--model_suffix", "_A")).stdout


@pytest.mark.parametrize("batch_size", ["1", "2"])
def test_cycle_gan_writes_six_files_a_image(batch_size, translate, dataset, tmp_path):
    words = ["--model", "cycle_gan", "--num_test", "2", "--batch_size", batch_size]
    done = translate(dataset, *words)
    images = tmp_path / "results" / "tiny" / "test_latest" / "images"
    labels = ("real_A", "fake_B", "rec_A", "real_B", "fake_A", "rec_B")
    expected = {f"{i:02d}_{label}.png" for i in range(2) for label in labels}
    assert {file.name for file in images.iterdir()} == expected
    assert re.search(r"^2 of 3 images written to .*limited by --num_test", done.stdout, re.M)


@pytest.mark.parametrize("batch_size", ["1", "2"])
def test_every_image_is_translated(batch_size, translate, tmp_path):
    done = translate(make_images(tmp_path / "five", 5), "--batch_size", batch_size)
    images = tmp_path / "results" / "tiny" / "test_latest" / "images"
    expected = {f"{i:02d}_{label}.png" for i in range(5) for label in ("real", "fake")}
    assert {file.name for file in images.iterdir()} == expected
    assert "5 of 5 images written" in done.stdout


def test_num_test_is_a_limit_that_is_told(translate, dataset, tmp_path):
    done = translate(dataset / "testB", "--num_test", "1")
    assert re.search(r"^1 of 3 images written to .*limited by --num_test", done.stdout, re.M)
    assert len(list((tmp_path / "results").rglob("*_fake.png"))) == 1


def test_one_image_of_an_odd_size_keeps_it(translate, tmp_path):
    draw_image("odd", (37, 51)).save(tmp_path / "me.jpg")
    translate(tmp_path / "me.jpg", "--preprocess", "none")
    images = tmp_path / "results" / "tiny" / "test_latest" / "images"
    assert read(images / "me_fake.png").shape == (51, 37, 3)
    with Image.open(tmp_path / "me.jpg") as image:
        assert np.array_equal(read(images / "me_real.png"), np.asarray(image))


def test_equal_names_do_not_overwrite_each_other(translate, tmp_path):
    for name in ("a.png", "a.bmp", "more/a.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        draw_image(name).save(tmp_path / "in" / name)
    translate(tmp_path / "in")
    results = list((tmp_path / "results").rglob("*_fake.png"))
    assert len({read(file).tobytes() for file in results}) == len(results) == 3


@pytest.mark.slow
def test_the_real_command_tests_what_the_real_command_trained(full, dataset):
    done = run_in(
        full[1].parents[1], "test.py", "--dataroot", dataset / "testA", "--name", "full",
        "--gpu_ids", "-1", "--epoch", "1",
    )  # fmt: skip
    assert ok(done).stderr == ""
    assert "1_net_G_A.pth" in done.stdout
    assert (full[1] / "test_opt.txt").is_file()
    results = full[1].parents[1] / "results" / "full" / "test_1"
    assert (results / "images" / "00_fake.png").is_file()


def test_a_run_that_cannot_be_written_to_translates(translate, dataset, monkeypatch):
    def refuse(path: Path, text: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("util.files.write_text", refuse)
    done = translate(dataset / "testA")
    assert "(Permission denied): no test_opt.txt there" in done.stdout


def test_without_the_package_for_pages_nothing_is_written(
    tiny, call, dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr("util.packages.find_spec", lambda name: None)
    done = call(*tiny, "--dataroot", dataset / "testA")
    assert done.returncode == 2
    assert done.stderr == (
        "error: the page of the results: dominate is not installed; pip install dominate\n"
    )
    assert not (tmp_path / "results").exists()
