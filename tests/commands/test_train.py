"""Whole trainings through the command: what they print and leave behind, the same each time."""

from __future__ import annotations

import re

import pytest
import torch
from helpers.commands import TINY, TINY_TRAIN, assert_complete, golden, make_images, ok
from helpers.runs import NETWORKS, equal, weights
from PIL import Image

from models import create_model
from options import TrainOptions

TRAIN = ["train.py", *TINY_TRAIN]
LOSS = r"-?\d+\.\d{3}"
LINE = re.compile(
    r"\(epoch: (\d+), iters: (\d+), time: \d+\.\d{3}, data: \d+\.\d{3}\) "
    + " ".join(f"{name}: {LOSS}" for name in (
        "D_A", "G_A", "cycle_A", "idt_A", "D_B", "G_B", "cycle_B", "idt_B"))
)  # fmt: skip


def test_what_a_training_prints(full):
    lines = full[0].stdout.splitlines()
    assert "----------------- Options ---------------" in lines
    assert "The number of training images = 4" in lines
    for name in NETWORKS:
        shape = rf"\[Network {name}\] Total number of parameters : \d+\.\d{{3}} M"
        assert sum(bool(re.fullmatch(shape, line)) for line in lines) == 1
    records = [match.groups() for line in lines if (match := LINE.fullmatch(line))]
    assert records == [("1", "2"), ("1", "4"), ("2", "2"), ("2", "4")]
    for line in (
        "saving the latest model (epoch 1, total_iters 3)",
        "saving the latest model (epoch 2, total_iters 6)",
        "saving the model at the end of epoch 1, iters 4",
        "saving the model at the end of epoch 2, iters 8",
        "learning rate = 0.0001000",
        "learning rate = 0.0000000",
    ):
        assert lines.count(line) == 1, line
    ends = [line for line in lines if line.startswith("End of epoch")]
    for epoch, line in enumerate(ends, 1):
        assert re.fullmatch(rf"End of epoch {epoch} / 2 \t Time Taken: \d+ sec", line)
    assert len(ends) == 2


def test_the_loss_log_repeats_the_losses(full):
    done, folder = full
    log = (folder / "loss_log.txt").read_text().splitlines()
    printed = [line for line in done.stdout.splitlines() if LINE.fullmatch(line)]
    assert [line for line in log if LINE.fullmatch(line)] == printed


def test_the_options_file_repeats_the_options(full):
    done, folder = full
    assert (folder / "train_opt.txt").read_text() in done.stdout


def test_the_files_of_a_training(full):
    folder = full[1]
    for suffix in ("latest", "1", "2", "iter_3", "iter_6"):
        for name in NETWORKS:
            assert (folder / f"{suffix}_net_{name}.pth").is_file()
    for epoch in (1, 2):
        for label in ("real_A", "fake_B", "rec_A", "real_B", "fake_A", "rec_B"):
            file = folder / "web" / "images" / f"epoch{epoch:03d}_{label}.png"
            with Image.open(file) as image:
                assert image.size == (32, 32)
    assert not list(folder.rglob("*.tmp"))
    assert equal(weights(folder), weights(folder, "2"))
    assert not equal(weights(folder, "1"), weights(folder, "2"))


def test_the_page_of_a_training_opens_from_the_disk(full):
    assert_complete(full[1] / "web" / "index.html")


def test_weights_are_plain(full):
    reference = golden("steps_cycle_gan_default.pt")["initial"]
    expected = {f"{name}.{key}" for name, state in reference.items() for key in state}
    state = weights(full[1])
    assert set(state) == expected
    for value in state.values():
        assert type(value) is torch.Tensor
        assert (value.dtype, value.device.type) == (torch.float32, "cpu")
        assert value.is_contiguous()
        assert value.untyped_storage().nbytes() == 4 * value.numel()


def test_all_four_networks_are_trained(dataset, full):
    words = ["--dataroot", str(dataset), *TINY]
    fresh = create_model(TrainOptions().parse(words)).networks
    for name, net in fresh.items():
        state = torch.load(full[1] / f"latest_net_{name}.pth", weights_only=True)
        moved = [key for key, w in net.named_parameters() if not torch.equal(w, state[key])]
        assert {key for key, w in net.named_parameters() if w.ndim == 4} <= set(moved), name


def test_saved_networks_can_be_loaded(full):
    words = ["--dataroot", "x", *TINY, "--name", "full"]
    words += ["--checkpoints_dir", str(full[1].parent)]
    model = create_model(TrainOptions().parse(words)).double()
    model.load_networks("1")
    for key, value in weights(full[1], "1").items():
        name, key = key.split(".", 1)
        assert torch.equal(model.networks[name].state_dict()[key], value.double())


@pytest.mark.slow
def test_the_learning_rates_of_the_contract(call, tmp_path):
    for side in ("trainA", "trainB"):
        make_images(tmp_path / "data" / side, 2, (32, 32))
    words = [*TRAIN, "--dataroot", tmp_path / "data", "--crop_size", "24", "--load_size", "24"]
    done = ok(call(*words, "--n_epochs", "20", "--n_epochs_decay", "20"))
    rates = re.findall(r"^learning rate = (.*)$", done.stdout, re.MULTILINE)
    assert rates[:19] == ["0.0002000"] * 19
    assert rates[19] == "0.0001905"
    assert rates[38:] == ["0.0000095", "0.0000000"]
    assert re.findall(r"^End of epoch (\d+) / 40 ", done.stdout, re.MULTILINE) == [
        str(epoch) for epoch in range(1, 41)
    ]
    kept = {p.name.split("_")[0] for p in (tmp_path / "checkpoints").rglob("*_net_G_A.pth")}
    assert kept == {"latest", *(str(epoch) for epoch in range(5, 41, 5))}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_whatever_the_threads(call, dataset, tmp_path):
    def trained(name, *words):
        ok(call(*TRAIN, "--dataroot", dataset, "--name", name, *words))
        return weights(tmp_path / "checkpoints" / name)

    first = trained("first")
    assert equal(first, trained("again"))
    assert equal(first, trained("workers", "--num_threads", "2"))
    assert equal(first, trained("shown", "--print_freq", "1", "--update_html_freq", "1"))
    assert not equal(first, trained("other", "--seed", "1"))


@pytest.mark.slow
def test_trains_where_visdom_and_dominate_are_missing(run, dataset, tmp_path):
    for name in ("visdom", "dominate"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is not here')")
    done = run(*TRAIN, "--dataroot", dataset, env={"PYTHONPATH": str(tmp_path)})
    assert ok(done).stderr == ""


@pytest.mark.slow
def test_a_gpu_that_is_not_there_is_told_in_one_line(run, dataset):
    at = TRAIN.index("--gpu_ids")
    words = [*TRAIN[:at], *TRAIN[at + 2 :], "--dataroot", dataset]
    done = ok(run(*words, env={"CUDA_VISIBLE_DEVICES": ""}))
    assert sum("CPU" in line for line in done.stdout.splitlines()) == 1
    assert done.stderr == ""
