"""pix2pix: its step against the reference, its data, and a whole run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import TINY, call_in, draw_image, golden, ok
from helpers.models import words
from helpers.runs import losses
from PIL import Image

from checkpoint.state import load_state
from data import create_dataset
from models import MODELS, create_model
from models.networks.resnet import ResnetBlock
from options import TestOptions, TrainOptions

HALF = (40, 36)  # pixels of each half
SMALL = [*TINY[2:], "--netG", "unet_128", "--model", "pix2pix", "--display_id", "0"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    """Five files A|B: B is the mirror image of A, inverted."""
    root = tmp_path_factory.mktemp("pairs")
    for phase, count in (("train", 5), ("test", 2)):
        (root / phase).mkdir()
        for i in range(count):
            A = draw_image(f"{phase} {i}", HALF)
            both = Image.new("RGB", (2 * HALF[0], HALF[1]))
            both.paste(A, (0, 0))
            both.paste(Image.eval(A, lambda v: 255 - v), (HALF[0], 0))
            both.save(root / phase / f"{i}.png")
    return root


def reference_model():
    reference = golden("steps_pix2pix_default.pt")
    foreign = ("lambda_A", "lambda_B", "lambda_identity")
    options = {k: v for k, v in reference["options"].items() if k not in foreign}
    sizes = {"crop_size": 128, "load_size": 128, "gpu_ids": -1, "model": "pix2pix"}
    model = create_model(TrainOptions().parse(["--dataroot", ".", *words({**options, **sizes})]))
    for name, state in reference["initial"].items():
        model.networks[name].load_state_dict(state)
    return model, reference


def feed(model, reference: dict, step: int, dtype=torch.float64) -> list[float]:
    A, B = (reference[side][step].to(dtype) / 127.5 - 1 for side in "AB")
    model.set_input({"A": A, "B": B})
    model.optimize_parameters()
    losses = model.get_current_losses()
    assert list(losses) == reference["loss_names"]
    return list(losses.values())


def test_steps_agree_with_the_reference_in_float64():
    model, reference = reference_model()
    model.double()
    for step, expected in enumerate(reference["losses"].tolist()):
        assert feed(model, reference, step) == pytest.approx(expected, rel=1e-9, abs=0)
    for name, state in reference["final"].items():
        ours = model.networks[name].state_dict()
        assert max((ours[key] - state[key]).abs().max() for key in state) <= 1e-6, name


def test_the_first_step_agrees_in_float32():
    model, reference = reference_model()
    found = feed(model, reference, 0, torch.float32)
    assert found == pytest.approx(reference["losses"][0].tolist(), rel=1e-4, abs=0)


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
@pytest.mark.parametrize("preprocess", ["resize_and_crop", "crop", "none", "scale_width"])
def test_both_halves_are_cut_and_mirrored_alike(direction, preprocess, pairs):
    flags = [*SMALL, "--dataroot", pairs, "--preprocess", preprocess, "--direction", direction]
    dataset = create_dataset(TrainOptions().parse(list(map(str, flags))))
    for epoch in (1, 2):
        dataset.set_epoch(epoch)
        for batch in dataset:
            assert batch["A"].shape == batch["B"].shape
            assert (batch["A"] + batch["B"]).abs().max() < 0.02  # inverted: the sum is nothing
            assert batch["A_paths"] == batch["B_paths"]


def test_a_whole_run_trains_resumes_and_translates(pairs, tmp_path):
    flags = ["--dataroot", pairs, "--name", "p", *SMALL, "--print_freq", "1"]
    where = tmp_path / "checkpoints" / "p"
    ok(call_in(tmp_path, "train.py", *flags, "--n_epochs", "1", "--n_epochs_decay", "0"))
    before = load_state(where)["model"]["networks"]
    done = ok(call_in(tmp_path, "train.py", "--name", "p", "--continue_train", "--n_epochs", "2"))
    assert done.stdout.startswith("resuming p at epoch 2, iteration 0")
    after = load_state(where)["model"]["networks"]
    for name, state in before.items():
        assert any(not torch.equal(value, after[name][key]) for key, value in state.items()), name
    assert (where / "web" / "images" / "epoch002_fake_B.png").is_file()
    shared = ["--name", "p", "--gpu_ids", "-1", "--num_threads", "0"]
    done = ok(call_in(tmp_path, "test.py", *shared, "--model", "pix2pix", "--dataroot", pairs))
    hint = "note: p was trained on pairs A|B"
    assert hint not in done.stdout
    images = tmp_path / "results" / "p" / "test_latest" / "images"
    assert {path.name for path in images.iterdir()} == {
        f"{i}_{label}.png" for i in (0, 1) for label in ("real_A", "fake_B", "real_B")
    }
    done = ok(call_in(tmp_path, "test.py", *shared, "--dataroot", pairs / "test"))
    (note,) = (line for line in done.stdout.splitlines() if line.startswith(hint))
    assert note.endswith("add --model pix2pix")
    assert (images / "0_fake.png").is_file()


@pytest.mark.parametrize("words", [["--eval"], []])
def test_dropout_is_part_of_a_test_unless_eval(words, pairs, tmp_path):
    flags = ["--dataroot", pairs, "--name", "p", *SMALL, "--n_epochs", "1", "--n_epochs_decay", "0"]
    ok(call_in(tmp_path, "train.py", *flags, "--no_html"))
    seen = []
    for seed in ("1", "2"):
        shared = ["--name", "p", "--gpu_ids", "-1", "--num_threads", "0", "--seed", seed, *words]
        done = ["--model", "pix2pix", "--dataroot", pairs, "--precision", "fp32"]
        ok(call_in(tmp_path, "test.py", *shared, *done))
        file = tmp_path / "results" / "p" / "test_latest" / "images" / "0_fake_B.png"
        with Image.open(file) as image:
            seen.append(np.asarray(image))
    assert np.array_equal(*seen) == bool(words)


@pytest.mark.parametrize("model", [name for name, kind in MODELS.items() if kind.trainable])
def test_every_model_recomputes_blocks_when_asked(model):
    words = ["--dataroot", ".", "--model", model, "--netG", "resnet_6blocks", "--norm", "instance"]
    model = create_model(TrainOptions().parse([*words, "--gpu_ids", "-1", "--grad_checkpoint"]))
    blocks = [block for net in model.networks.values() for block in net.modules()
              if isinstance(block, ResnetBlock)]  # fmt: skip
    assert len(blocks) in (6, 12)
    assert all(block.recompute for block in blocks)


def test_wgangp_is_refused(pairs, tmp_path):
    done = call_in(tmp_path, "train.py", "--dataroot", pairs, *SMALL, "--gan_mode", "wgangp")
    assert done.returncode == 2
    assert "--gan_mode wgangp: --model pix2pix takes lsgan or vanilla" in done.stderr


def test_defaults_are_those_of_the_paper():
    opt = TrainOptions().parse(["--dataroot", ".", "--model", "pix2pix", "--gpu_ids", "-1"])
    found = (opt.norm, opt.netG, opt.dataset_mode, opt.pool_size, opt.gan_mode, opt.no_dropout)
    assert found == ("batch", "unet_256", "aligned", 0, "vanilla", False)
    assert TestOptions().parse(["--dataroot", ".", "--gpu_ids", "-1"]).norm == "instance"


def test_the_template_is_a_model_that_learns(pairs, tmp_path):
    flags = ["--dataroot", pairs, "--name", "t", *TINY, "--model", "template", "--display_id", "0"]
    flags += ["--n_epochs", "12", "--n_epochs_decay", "0", "--lr", "0.01", "--print_freq", "1"]
    ok(call_in(tmp_path, "train.py", *flags, "--no_html"))
    found = [record[3]["G"] for record in losses(tmp_path / "checkpoints" / "t")]
    assert sum(found[-5:]) < 0.8 * sum(found[:5])
    shared = ["--name", "t", "--gpu_ids", "-1", "--num_threads", "0", "--dataroot", pairs]
    ok(call_in(tmp_path, "test.py", *shared, "--model", "template"))
