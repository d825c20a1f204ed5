"""Colors for gray images: the data, whole runs and their pages, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import TINY, assert_complete, call_in, draw_image, ok
from helpers.models import moved, weights_of
from helpers.refusals import failures
from helpers.runs import end_of, start
from PIL import Image
from skimage.color import rgb2lab

from checkpoint.state import load_state
from data import create_dataset, create_samples
from data.loader import split
from models import create_model
from options import TestOptions, TrainOptions
from reporting.diagnostics import find_warnings
from reporting.history import History
from reporting.logger import RunContext
from reporting.visdom.logger import VisdomLogger
from translator import Translator
from util.errors import UserError
from util.progress import Length

SMALL = [*TINY[2:], "--netG", "unet_128", "--model", "colorization", "--display_id", "0"]
ONE_EPOCH = [*SMALL, "--n_epochs", "1", "--n_epochs_decay", "0"]
TEST = ["--model", "colorization", "--gpu_ids", "-1", "--num_threads", "0"]
LABELS = ("real_A", "fake_B_rgb", "real_B_rgb")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Five color images to learn from, two for a test, one of them gray in its file."""
    root = tmp_path_factory.mktemp("photos")
    for phase, count in (("train", 5), ("test", 2)):
        (root / phase).mkdir()
        for i in range(count):
            draw_image(f"{phase} {i}", (40, 36)).save(root / phase / f"{i}.png")
    draw_image("old", (40, 36), "L").save(root / "test" / "1.png")
    return root


@pytest.fixture(scope="module")
def painter(photos, tmp_path_factory) -> Path:
    """A folder with a run ``paint`` of one epoch, to be read only."""
    root = tmp_path_factory.mktemp("painter")
    words = ["--dataroot", photos, "--name", "paint", *ONE_EPOCH, "--print_freq", "1"]
    ok(call_in(root, "train.py", *words, "--update_html_freq", "2"))
    return root


@pytest.fixture
def at_hand(painter, tmp_path) -> Path:
    """``tmp_path`` with the checkpoints of ``painter``."""
    (tmp_path / "checkpoints").symlink_to(painter / "checkpoints")
    return tmp_path


def options(photos: Path, *words, parser=TrainOptions):
    return parser().parse(list(map(str, ["--dataroot", photos, *words])))


# --- the data ---------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["--num_threads", "2", "--batch_size", "3"]], ids=str)
def test_both_sides_come_from_one_image_cut_and_mirrored_alike(words, photos):
    shown = [*SMALL, "--preprocess", "crop", "--crop_size", "30", *words]
    dataset = create_dataset(options(photos, *shown))
    places = set()
    for epoch in (1, 2, 3):
        dataset.set_epoch(epoch)
        for batch in dataset:
            assert batch["A"].dtype == batch["B"].dtype == torch.float32
            assert batch["A_paths"] == batch["B_paths"]
            for A, B, path in zip(batch["A"], batch["B"], batch["A_paths"], strict=True):
                places.add((path, place_of(A, B, Path(path))))
    assert len(places) > 10  # of 15: in every epoch another place
    dataset.close()


def place_of(A: torch.Tensor, B: torch.Tensor, path: Path) -> tuple:
    """Where A and B lie in the image, and whether reflect_pad."""
    with Image.open(path) as image:
        lab = rgb2lab(np.asarray(image) / 255.0).transpose(2, 0, 1)
    lab = np.concatenate([lab[:1] / 50 - 1, lab[1:] / 110])
    found = torch.cat([A, B]).numpy()
    for flip in (False, True):
        for y in range(36 - 30 + 1):
            for x in range(40 - 30 + 1):
                part = lab[:, y : y + 30, x : x + 30]
                if np.abs((part[..., ::-1] if flip else part) - found).max() < 1e-5:
                    return x, y, flip
    raise AssertionError(f"{path} has no such part")


def test_images_kept_in_memory_are_the_same(photos):
    def epochs(*words):
        dataset = create_dataset(options(photos, *SMALL, *words))
        for epoch in (1, 2):
            dataset.set_epoch(epoch)
            yield from dataset
        yield dataset.cached_bytes

    kept, read = list(epochs()), list(epochs("--cache", "off"))
    assert (kept.pop(), read.pop()) == (5 * 36 * 36 * 3, 0)
    assert len(kept) == len(read) == 10
    for first, second in zip(kept, read, strict=True):
        assert all(torch.equal(first[side], second[side]) for side in "AB")


def test_floats_pass_unharmed():
    floats = torch.rand(3, 2, 4, 4) * 2 - 1
    batches = list(split({"A": floats, "B": torch.zeros(3, 1, 2, 2, dtype=torch.uint8)}, 2))
    assert torch.equal(torch.cat([batch["A"] for batch in batches]), floats)
    assert all((batch["B"] == -1).all() for batch in batches)


def test_the_fixed_set_comes_from_the_test_folder(photos, tmp_path):
    samples = list(create_samples(options(photos, *SMALL), 4))
    assert [Path(batch["A_paths"][0]).parent.name for batch in samples] == ["test"] * 2
    (tmp_path / "train").mkdir()
    draw_image("x").save(tmp_path / "train" / "x.png")
    (sample,) = create_samples(options(tmp_path, *SMALL), 4)
    assert Path(sample["A_paths"][0]).parent.name == "train"


# --- the model --------------------------------------------------------------------------------


def test_a_step_moves_both_networks_and_shows_images(photos):
    opt = options(photos, *SMALL)
    model = create_model(opt)
    assert next(model.networks["D"].parameters()).shape[1] == 3  # L, a, b
    before = weights_of(model)
    batch = next(iter(create_dataset(opt)))
    model.set_input(batch)
    model.optimize_parameters()
    assert moved(model, before) == {"G", "D"}
    shown = model.get_current_visuals()
    assert tuple(shown) == LABELS == tuple(model.get_image_paths())
    assert torch.equal(shown["real_A"], batch["A"])
    lab = rgb2lab((shown["real_B_rgb"][0].double().numpy() + 1) / 2, channel_axis=0)
    assert np.abs(lab[1:] / 110 - batch["B"][0].numpy()).max() < 1e-3
    assert shown["fake_B_rgb"].shape == (1, 3, 32, 32)
    assert not any(image.requires_grad for image in shown.values())


# --- whole runs -------------------------------------------------------------------------------


def test_a_training_shows_what_it_learns(painter):
    web = painter / "checkpoints" / "paint" / "web"
    assert_complete(web / "index.html")
    modes = {"real_A": "L", "fake_B_rgb": "RGB", "real_B_rgb": "RGB"}
    for label, mode in modes.items():
        with Image.open(web / "images" / f"epoch001_{label}.png") as image:
            assert (image.mode, image.size) == (mode, (32, 32))


def test_no_flags_are_needed_to_color(photos, at_hand):
    ok(call_in(at_hand, "test.py", "--name", "paint", "--dataroot", photos, *TEST))
    folder = at_hand / "results" / "paint" / "test_latest"
    assert {path.name for path in (folder / "images").iterdir()} == {
        f"{i}_{label}.png" for i in (0, 1) for label in LABELS
    }
    assert_complete(folder / "index.html")
    text = (folder / "index.html").read_text("utf-8")
    assert text.count('class="compare"') == 2
    assert 'alt="0, fake_B_rgb"' in text and 'alt="0, real_A"' in text


def test_the_true_colors_are_those_of_the_file(photos, at_hand):
    words = ["--name", "paint", "--dataroot", photos, *TEST, "--preprocess", "none"]
    ok(call_in(at_hand, "test.py", *words, "--contact_sheet"))
    folder = at_hand / "results" / "paint" / "test_latest"
    assert (folder / "contact_sheet.png").is_file()
    for i in (0, 1):
        with Image.open(photos / "test" / f"{i}.png") as file:
            expected = np.asarray(file.convert("RGB")).astype(int)
        with Image.open(folder / "images" / f"{i}_real_B_rgb.png") as written:
            assert np.abs(np.asarray(written) - expected).max() <= 1


@pytest.mark.slow
def test_interrupted_anywhere_ends_the_same_bit_for_bit(photos, tmp_path):
    words = ["--dataroot", photos, *SMALL, "--n_epochs", "1", "--n_epochs_decay", "1", "--no_html"]
    words += ["--print_freq", "1", "--save_latest_freq", "1"]
    start(tmp_path, "straight", *words)
    start(tmp_path, "broken", *words, steps=2)
    start(tmp_path, "broken", "--continue_train", steps=4)
    start(tmp_path, "broken", "--continue_train")
    ends = [tmp_path / "checkpoints" / name for name in ("straight", "broken")]
    assert end_of(ends[0]) == end_of(ends[1])
    assert load_state(ends[1])["progress"]["total_iters"] == 10


@pytest.mark.slow
def test_workers_change_nothing(photos, tmp_path):
    words = ["--dataroot", photos, *ONE_EPOCH, "--no_html", "--print_freq", "1"]
    start(tmp_path, "alone", *words)
    start(tmp_path, "helped", *words, "--num_threads", "2")
    alone, helped = (end_of(tmp_path / "checkpoints" / name) for name in ("alone", "helped"))
    assert alone == helped


# --- other views of it ------------------------------------------------------------------------


def shapes() -> dict[str, torch.Tensor]:
    colors = {label: torch.rand(1, 3, 16, 16) for label in LABELS[1:]}
    return {"real_A": torch.rand(1, 1, 16, 16), **colors}


def test_signs_do_not_compare_lightness_with_colors():
    assert find_warnings([shapes(), shapes()], {"fake_B_rgb": "real_A"}, []) == []


def test_visdom_gets_one_grid(tmp_path, monkeypatch):
    """The lightness in three equal channels beside the colors."""
    sent = []

    class Client:
        def images(self, grid, **how):
            sent.append((grid.shape, how["opts"]["title"]))

    monkeypatch.setattr(VisdomLogger, "_enqueue", lambda self, send: send(Client()))
    opt = TrainOptions().parse(["--dataroot", "x", "--gpu_ids", "-1"])
    history = History(tmp_path / "losses.jsonl")
    logger = VisdomLogger(RunContext(opt, {}, tmp_path, history, Length(1, 1)))
    logger.images([shapes()])
    logger.queue.put(None)
    assert sent == [((3, 3, 128, 128), " · ".join(LABELS))]


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["train.py", "test.py"])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--direction", "BtoA"], ["--direction BtoA", "--model colorization takes AtoB"]),
        (["--input_nc", "3"], ["--input_nc 3", "--model colorization takes images of 1"]),
        (["--output_nc", "3"], ["--output_nc 3", "1 → 3", "--model cycle_gan or pix2pix"]),
        (["--dataset_mode", "aligned"], ["--dataset_mode aligned", "takes colorization"]),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(script, words, says, photos, tmp_path):
    shared = ["--gpu_ids", "-1", "--model", "colorization"]
    failures(call_in(tmp_path, script, "--dataroot", photos, *shared, *words), says)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("model", ["test", "pix2pix"])
def test_other_models_name_the_right_one(model, photos, at_hand):
    words = ["--name", "paint", "--dataroot", photos, "--gpu_ids", "-1", "--model", model]
    done = call_in(at_hand, "test.py", *words)
    failures(done, ["--output_nc 2", "for 1 → 2 channels use --model colorization"])
    assert not (at_hand / "results").exists()


def test_the_translator_names_the_right_model(at_hand):
    with pytest.raises(UserError, match="use --model colorization"):
        Translator("paint", checkpoints_dir=at_hand / "checkpoints", gpu_ids=-1)


def test_a_folder_without_images_is_told(tmp_path):
    done = call_in(tmp_path, "train.py", "--dataroot", tmp_path / "none", *ONE_EPOCH)
    failures(done, ["none/train is missing", "--dataroot", "color images"])


def test_defaults_are_those_of_pix2pix_on_other_images(photos):
    opt = options(photos, "--model", "colorization", "--gpu_ids", "-1", parser=TestOptions)
    assert (opt.input_nc, opt.output_nc, opt.dataset_mode) == (1, 2, "colorization")
    assert (opt.netG, opt.norm) == ("unet_256", "batch")
