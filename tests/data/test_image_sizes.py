"""Images of different sizes, with the values of ``--preprocess`` that do not crop."""

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
def test_training_accepts_images_of_different_sizes(mode, identity, mixed, call):
    words = ["--dataroot", mixed, *TINY, "--preprocess", mode, "--lambda_identity", identity]
    words += ["--n_epochs", "3", "--n_epochs_decay", "0", "--display_id", "0", "--pool_size", "3"]
    done = ok(call("train.py", *words, "--print_freq", "1"))
    assert "End of epoch 3 / 3" in done.stdout


@pytest.mark.slow
def test_resuming_with_different_sizes_is_exact(mixed, tmp_path):
    words = ["--dataroot", mixed, *TINY, "--preprocess", "none", "--save_latest_freq", "1"]
    words += ["--n_epochs", "3", "--n_epochs_decay", "0", "--display_id", "0", "--pool_size", "3"]
    words += ["--no_html", "--print_freq", "1"]
    start(tmp_path, "straight", *words)
    start(tmp_path, "broken", *words, steps=7)
    start(tmp_path, "broken", "--continue_train")
    first, second = (end_of(tmp_path / "checkpoints" / name) for name in ("straight", "broken"))
    assert first == second


def test_pool_with_different_sizes_makes_the_same_decisions():
    """It returns the same images, in the same order, as a pool with images of one size."""
    one_size = ImagePool(3, "seed")
    many_sizes = ImagePool(3, "seed")
    rng = Random(0)
    for i in range(40):
        height = rng.choice([2, 3])
        plain = torch.full((1, 1, 1, 1), float(i))
        for pool in (one_size, many_sizes):
            pool.plan(1)
        expected = one_size.query(plain)
        found = many_sizes.query(plain.expand(1, 1, height, 2))
        assert found.unique().item() == expected.item()


def test_forward_batched_with_different_sizes():
    net = define_D(3, 4, "basic", 3, "instance")
    wide = torch.randn(1, 3, 32, 40)
    tall = torch.randn(1, 3, 40, 32)
    for found, batch in zip(forward_batched(net, tall, wide), (tall, wide), strict=True):
        assert torch.allclose(found, net(batch), atol=1e-6)
