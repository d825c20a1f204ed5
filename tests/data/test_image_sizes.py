"""Images of different sizes, in the modes that do not cut squares out of them."""

from __future__ import annotations

from random import Random

import pytest
import torch
from helpers.commands import TINY, draw_image, ok
from helpers.runs import end_of, start

from models.image_pool import ImagePool
from models.networks import define_D
from models.networks.layers import forward_batched

MODES = ["none", "scale_width"]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    root = tmp_path_factory.mktemp("mixed")
    for side, sizes in (("trainA", [(40, 32), (36, 44)]), ("trainB", [(32, 48), (44, 36)])):
        (root / side).mkdir()
        for i in range(4):
            draw_image(f"{side} {i}", sizes[i % 2]).save(root / side / f"{i}.png")
    return root


@pytest.mark.parametrize("identity", ["0.5", "0"])
@pytest.mark.parametrize("mode", MODES)
def test_a_training_takes_them_all(mode, identity, mixed, call):
    words = ["--dataroot", mixed, *TINY, "--preprocess", mode, "--lambda_identity", identity]
    words += ["--n_epochs", "3", "--n_epochs_decay", "0", "--display_id", "0", "--pool_size", "3"]
    done = ok(call("train.py", *words, "--print_freq", "1"))
    assert "End of epoch 3 / 3" in done.stdout


def test_such_a_run_goes_on_bit_for_bit(mixed, tmp_path):
    words = ["--dataroot", mixed, *TINY, "--preprocess", "none", "--save_latest_freq", "1"]
    words += ["--n_epochs", "3", "--n_epochs_decay", "0", "--display_id", "0", "--pool_size", "3"]
    words += ["--no_html", "--print_freq", "1"]
    start(tmp_path, "straight", *words)
    start(tmp_path, "broken", *words, steps=7)
    start(tmp_path, "broken", "--continue_train")
    first, second = (end_of(tmp_path / "checkpoints" / name) for name in ("straight", "broken"))
    assert first == second


def test_a_pool_of_many_sizes_does_what_one_of_one_size_does():
    """The same answers, image by image, as a pool that sees them in one size."""
    one, many = ImagePool(3, "seed"), ImagePool(3, "seed")
    rng = Random(0)
    for i in range(40):
        height = rng.choice([2, 3])
        plain = torch.full((1, 1, 1, 1), float(i))
        for pool in (one, many):
            pool.plan(1)
        expected = one.query(plain)
        found = many.query(plain.expand(1, 1, height, 2))
        assert found.unique().item() == expected.item()


def test_networks_are_called_apart_where_sizes_differ():
    net = define_D(3, 4, "basic", 3, "instance")
    big, small = torch.randn(1, 3, 40, 32), torch.randn(1, 3, 32, 40)
    for found, batch in zip(forward_batched(net, big, small), (big, small), strict=True):
        assert torch.allclose(found, net(batch), atol=1e-6)
