"""The whole thing learns: faces draw_image as photos come out nearer to the same faces as anime."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from helpers.commands import ROOT, call_in
from PIL import Image

pytestmark = pytest.mark.slow

SIZES = ["--load_size", "36", "--crop_size", "32"]
NETWORKS = ["--netG", "resnet_6blocks", "--ngf", "8", "--ndf", "8"]
EPOCHS = ["--n_epochs", "2", "--n_epochs_decay", "2", "--lr", "0.001"]
MACHINE = ["--gpu_ids", "-1", "--num_threads", "0"]


def gallery(folder, pattern: str = "*.png") -> np.ndarray:
    """All images of a folder, (N, H, W, C) in 0…255."""
    opened = [Image.open(file) for file in sorted(folder.glob(pattern))]
    return np.stack([np.asarray(image.convert("RGB"), dtype=np.float64) for image in opened])


def distances(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Mean absolute difference of each image to its counterpart, and to all the others."""
    table = np.abs(first[:, None] - second[None]).mean(axis=(2, 3, 4))
    own = np.eye(len(table), dtype=bool)
    return table[own].mean(), table[~own].mean()


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """(photos, translated photos, anime), 12 each, after 240 steps."""
    root = tmp_path_factory.mktemp("learning")
    mini = root / "mini"
    words = ["--out", mini, "--size", "32", "--train", "60", "--test", "12"]
    subprocess.run([sys.executable, "datasets/make_mini.py", *words], cwd=ROOT, check=True)
    show = ["--display_id", "0", "--no_html"]
    words = ["--name", "mini", *MACHINE]
    how = [*SIZES, *NETWORKS, *EPOCHS, *show]
    for done in (
        call_in(root, "train.py", "--dataroot", mini, *words, *how),
        call_in(root, "test.py", "--dataroot", mini / "testA", *words),
    ):
        assert done.returncode == 0, done.stderr
    images = root / "results" / "mini" / "test_latest" / "images"
    return gallery(mini / "testA"), gallery(images, "*_fake.png"), gallery(mini / "testB")


def test_translations_are_nearer_to_the_other_domain(result):
    """65 untrained, 41.4 for the photos themselves, 32 to 34 after training with any seed."""
    photos, translated, anime = result
    assert len(photos) == len(translated) == len(anime) == 12
    assert distances(translated, anime)[0] < 0.9 * distances(photos, anime)[0]


def test_translations_show_the_same_face(result):
    """One image for all, however near on average, would be as far from every counterpart."""
    _, translated, anime = result
    own, others = distances(translated, anime)
    assert own < 0.9 * others
