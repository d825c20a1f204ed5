"""--ema: the moving average of the generators, from the step to the page."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from helpers.commands import TINY, assert_complete, call_in, ok
from helpers.models import batch, new_model
from helpers.refusals import failures
from helpers.runs import end_of, start
from PIL import Image

from checkpoint.state import load_state
from models import MODELS
from models.ema import make_ema, update_ema
from options import TrainOptions

RUN = [
    *TINY, "--n_epochs", "2", "--n_epochs_decay", "0", "--display_id", "0", "--print_freq", "1",
    "--save_latest_freq", "1",
]  # fmt: skip
TRAINABLE = {"cycle_gan": ["G_A", "G_B"], "template": ["G"]}


def set_up(**options):
    model = new_model(**options)
    opt = TrainOptions().parse(["--dataroot", "."])
    for name, value in {"ema": 0.75, "verbose": False, **options}.items():
        setattr(opt, name, value)
    model.ema_decay = opt.ema
    return model.setup(opt)


@pytest.mark.parametrize("model", TRAINABLE)
def test_it_is_the_formula(model, capsys):
    model = set_up(model=model)
    names = TRAINABLE[next(key for key, kind in MODELS.items() if type(model) is kind)]
    assert list(model.ema_networks) == names
    expected = {
        name: {key: value.clone() for key, value in model.networks[name].state_dict().items()}
        for name in names
    }
    for seed in range(4):
        model.set_input(batch(seed))
        model.optimize_parameters()
        for name in names:
            for key, value in model.networks[name].state_dict().items():
                expected[name][key] = 0.75 * expected[name][key] + 0.25 * value
    for name in names:
        for key, value in model.ema_networks[name].state_dict().items():
            assert torch.allclose(value, expected[name][key], rtol=1e-12, atol=0), key
        assert any(
            not torch.equal(value, model.networks[name].state_dict()[key])
            for key, value in model.ema_networks[name].state_dict().items()
        )


def test_running_values_are_copied():
    net = torch.nn.BatchNorm2d(2)
    average = make_ema(net)
    net(torch.randn(3, 2, 4, 4) + 5)
    net.weight.data.fill_(3)
    update_ema(average, net, 0.9)
    assert torch.equal(average.running_mean, net.running_mean)
    assert torch.equal(average.num_batches_tracked, net.num_batches_tracked)
    assert torch.allclose(average.weight, torch.full((2,), 1.2))
    assert not any(weight.requires_grad for weight in average.parameters())


@pytest.mark.slow
def test_the_average_does_not_change_the_training(dataset, tmp_path):
    ends = []
    for name, more in (("plain", []), ("averaged", ["--ema", "0.9"])):
        start(tmp_path, name, "--dataroot", dataset, *RUN, "--no_html", *more)
        ends.append(torch.load(tmp_path / "checkpoints" / name / "latest_net_G_A.pth"))
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_average(dataset, tmp_path):
    words = ["--dataroot", dataset, *RUN, "--ema", "0.9", "--no_html"]
    start(tmp_path, "straight", *words)
    start(tmp_path, "broken", *words, steps=3)
    start(tmp_path, "broken", "--continue_train")
    straight, broken = (end_of(tmp_path / "checkpoints" / name) for name in ("straight", "broken"))
    assert straight == broken
    assert {"latest_net_G_A_ema.pth", "latest_net_G_B_ema.pth"} <= straight.keys()


@pytest.fixture(scope="module")
def averaged(dataset, tmp_path_factory):
    """A finished run with --ema, to be read only."""
    root = tmp_path_factory.mktemp("averaged")
    words = ["--dataroot", dataset, "--name", "run", *RUN, "--ema", "0.5", "--lr", "0.01"]
    ok(call_in(root, "train.py", *words))
    return root / "checkpoints" / "run"


def test_the_page_shows_both(averaged):
    images = averaged / "web" / "images"
    for label in ("fake_B", "fake_B_ema", "fake_A", "fake_A_ema"):
        assert (images / f"epoch002_{label}.png").is_file()
    plain, other = (images / f"epoch002_{label}.png" for label in ("fake_B", "fake_B_ema"))
    assert plain.read_bytes() != other.read_bytes()
    page = averaged / "web" / "index.html"
    assert_complete(page)
    text = page.read_text("utf-8")
    assert 0 < text.index("epoch002_fake_B.png") < text.index("epoch002_fake_B_ema.png")
    assert text.index("epoch002_fake_B_ema.png") < text.index("epoch002_rec_A.png")


def translated(tmp_path, dataset, folder, *words) -> list[np.ndarray]:
    shutil.copytree(folder, tmp_path / "checkpoints" / folder.name, dirs_exist_ok=True)
    flags = ["--dataroot", dataset / "testA", "--name", folder.name, "--gpu_ids", "-1", *words]
    ok(call_in(tmp_path, "test.py", *flags))
    images = (tmp_path / "results" / folder.name / "test_latest" / "images").glob("*_fake.png")
    return [np.asarray(Image.open(path)) for path in sorted(images)]


def test_the_command_takes_the_average(averaged, dataset, tmp_path):
    plain = translated(tmp_path, dataset, averaged)
    average = translated(tmp_path, dataset, averaged, "--ema")
    assert any((one != other).any() for one, other in zip(plain, average, strict=True))
    folder = tmp_path / "swapped" / "run"
    shutil.copytree(averaged, folder)
    shutil.copy(folder / "latest_net_G_A_ema.pth", folder / "latest_net_G_A.pth")
    swapped = translated(tmp_path, dataset, folder)
    assert all((one == other).all() for one, other in zip(swapped, average, strict=True))


def test_a_run_without_an_average_says_what_there_is(tiny, call, dataset):
    done = call(*tiny, "--dataroot", dataset / "testA", "--ema")
    failures(done, ("latest_net_G_A_ema.pth", "D_A, D_B, G_A, G_B"))


@pytest.mark.slow
def test_an_average_may_begin_on_the_way(dataset, tmp_path):
    start(tmp_path, "run", "--dataroot", dataset, *RUN, "--no_html", steps=4)
    folder = tmp_path / "checkpoints" / "run"
    begin = load_state(folder)["model"]["networks"]["G_A"]
    start(tmp_path, "run", "--continue_train", "--ema", "0.5", "--lr", "0", steps=1)
    average = load_state(folder)["model"]["averages"]["G_A"]
    assert all(torch.equal(value, begin[key]) for key, value in average.items())


def test_weights_alone_bring_their_average(averaged, tmp_path):
    folder = tmp_path / "checkpoints" / "run"
    shutil.copytree(averaged, folder)
    for file in ("latest_state.pth", "previous_state.pth"):
        (folder / file).unlink()
    before = torch.load(folder / "latest_net_G_A_ema.pth", weights_only=True)
    more = ["--continue_train", "--epoch_count", "2", "--lr", "0", "--ema", "0.999999999"]
    start(tmp_path, "run", *more, steps=1)
    after = load_state(folder)["model"]["averages"]["G_A"]
    assert all(torch.allclose(value, after[key], atol=1e-6) for key, value in before.items())


@pytest.mark.parametrize("value", ["1", "-0.1", "much"])
def test_decays_that_cannot_be(value, call, dataset):
    failures(call("train.py", "--dataroot", dataset, *RUN, "--ema", value), ("--ema", value))
