"""evaluate.py: the images of a run and those of folders, the files it writes, and bad input."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil

import pytest
from helpers.commands import TINY, call_in, draw_image, make_images, ok
from helpers.features import write_mobilenet_weights
from PIL import Image

from options import EvaluateOptions

pytest.importorskip("torch_fidelity")
pytest.importorskip("torchmetrics")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_mobilenet_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def evaluate(tmp_path, weights):
    """``evaluate(…)``: evaluate.py with networks of random weights, files below ``tmp_path``."""

    def command(*words):
        return call_in(
            tmp_path,
            "evaluate.py",
            *("--features", "mobilenet", "--features_weights", weights, "--gpu_ids", "-1"),
            *("--cache_dir", tmp_path / "cache", "--results_dir", tmp_path / "results"),
            *words,
        )

    return command


@pytest.fixture
def measure(evaluate, trained, dataset, tmp_path):
    """``measure(…)``: evaluate.py on a copy of the tiny run."""
    shutil.copytree(trained / "tiny", tmp_path / "checkpoints" / "tiny")
    words = [*TINY, "--dataroot", dataset, "--name", "tiny"]
    return lambda *more: evaluate(*words, *more)


def results(tmp_path) -> dict:
    return json.loads((tmp_path / "checkpoints/tiny/metrics.json").read_text("utf-8"))


def lines(tmp_path) -> list[dict]:
    with (tmp_path / "results" / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def files(tmp_path) -> set[str]:
    return {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}


# --- a run ---------------------------------------------------------------------------------------


def test_both_directions_of_a_run(measure, tmp_path):
    done = ok(measure())
    assert "fake_B against 3 real images, features: mobilenet" in done.stdout
    assert "fake_A against 2 real images, features: mobilenet" in done.stdout
    assert "note: kid: subsets of 2 images" not in done.stderr
    assert re.search(r"^translated +2 +-?[\d.]+ ± [\d.]+ +[\d.]+$", done.stdout, re.M)
    assert re.search(r"^untranslated +2 ", done.stdout, re.M)

    found = results(tmp_path)
    assert (found["name"], found["epoch"], found["ema"]) == ("tiny", "latest", False)
    assert found["features"]["name"] == "mobilenet"
    assert re.fullmatch(r"[0-9a-f]{64}", found["features"]["weights_sha256"])
    assert {"python", "torch", "torchvision", "torch-fidelity"} <= found["versions"].keys()
    assert found["seed"] == 0
    assert list(found["translations"]) == ["fake_B", "fake_A"]
    entry = found["translations"]["fake_B"]
    assert (entry["images"], entry["real_images"]) == (2, 3)
    assert list(entry["translated"]) == ["kid", "kid_std", "fid"]

    rows = lines(tmp_path)
    assert [row["translation"] for row in rows] == ["fake_B", "fake_A"]
    assert float(rows[0]["kid"]) == entry["translated"]["kid"]
    assert rows[0]["l1"] == ""


def test_the_same_seed_gives_the_same_file(measure, tmp_path):
    first = ok(measure()) and (tmp_path / "checkpoints/tiny/metrics.json").read_bytes()
    ok(measure())  # with cached features
    assert (tmp_path / "checkpoints/tiny/metrics.json").read_bytes() == first
    shutil.rmtree(tmp_path / "cache")
    ok(measure("--seed", "1"))
    changed = results(tmp_path)
    assert changed["seed"] == 1
    assert (tmp_path / "checkpoints/tiny/metrics.json").read_bytes() != first
    assert len(lines(tmp_path)) == 6


def test_the_images_are_those_of_test_py(measure, evaluate, dataset, tmp_path):
    ok(measure("--metrics", "kid,fid"))
    expected = results(tmp_path)["translations"]["fake_B"]
    words = [*TINY, "--dataroot", dataset, "--name", "tiny", "--model", "cycle_gan"]
    ok(call_in(tmp_path, "test.py", *words))

    images = tmp_path / "results" / "tiny" / "test_latest" / "images"
    folders = [f"--{flag}={images}/*_{name}.png" for flag, name in
               (("real", "real_B"), ("fake", "fake_B"), ("source", "real_A"))]  # fmt: skip
    output = tmp_path / "elsewhere.json"
    ok(evaluate(*folders, "--metrics", "kid,fid,l1", "--output", output))
    found = json.loads(output.read_text("utf-8"))["translations"]["fake"]
    for row in ("translated", "untranslated"):
        assert 0 < found[row].pop("l1") < 1
        assert found[row] == pytest.approx(expected[row], rel=1e-6)
    assert lines(tmp_path)[-1]["name"] == f"{images}/*_fake_B.png"


def test_true_counterparts_are_found_by_name(measure, dataset, tmp_path):
    paired = tmp_path / "paired"
    for side in ("A", "B"):
        shutil.copytree(dataset / "testA", paired / f"test{side}")
    done = ok(measure("--dataroot", paired, "--load_size", "32"))
    assert "ssim ↑" in done.stdout
    found = results(tmp_path)["translations"]["fake_B"]
    assert list(found["translated"]) == ["kid", "kid_std", "fid", "l1", "psnr", "ssim"]
    same = found["untranslated"]
    assert (same["l1"], same["psnr"], same["ssim"]) == (0, "inf", pytest.approx(1))

    done = ok(measure("--dataroot", paired))  # crops at random
    assert "ssim" not in done.stdout
    done = measure("--dataroot", paired, "--metrics", "kid,l1")
    assert done.returncode == 2
    assert "--metrics l1: --preprocess resize_and_crop with --load_size 36" in done.stderr


def test_a_paired_model_has_one_direction(evaluate, tmp_path):
    for phase in ("train", "test"):
        make_images(tmp_path / "data" / phase, 3, (80, 40))
    words = [*TINY, "--dataroot", tmp_path / "data", "--name", "p2p", "--norm", "instance"]
    train = ["--model", "pix2pix", "--n_epochs", "1", "--n_epochs_decay", "0"]
    quiet = ["--display_id", "0", "--no_html"]
    ok(call_in(tmp_path, "train.py", *words, *train, *quiet))
    ok(evaluate(*words, "--checkpoints_dir", tmp_path / "checkpoints", "--metrics", "kid,l1"))
    found = json.loads((tmp_path / "checkpoints/p2p/metrics.json").read_text("utf-8"))
    assert list(found["translations"]) == ["fake_B"]
    assert found["translations"]["fake_B"]["translated"]["l1"] > 0


def test_moving_averages_and_epochs(measure, tmp_path):
    folder = tmp_path / "checkpoints" / "tiny"
    for net in ("G_A", "G_B"):
        for other in ("G_A", "G_B"):
            if net != other:
                shutil.copy(folder / f"latest_net_{net}.pth", folder / f"7_net_{other}_ema.pth")
    ok(measure("--epoch", "7", "--ema", "--metrics", "kid"))
    found = results(tmp_path)
    assert (found["epoch"], found["ema"]) == ("7", True)


# --- folders -------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path):
    """``real`` and ``fake`` with five images of the same names."""
    return make_images(tmp_path / "real", 5), make_images(tmp_path / "fake", 5)


def test_images_of_any_program(evaluate, folders, tmp_path):
    real, fake = folders
    done = ok(evaluate("--real", real, "--fake", fake))
    assert "fake against 5 real images, features: mobilenet" in done.stdout
    assert "note: kid: subsets of 2 images" in done.stdout
    assert "untranslated" not in done.stdout
    found = json.loads((tmp_path / "results" / "metrics.json").read_text("utf-8"))
    values = found["translations"]["fake"]["translated"]
    assert set(values) == {"kid", "kid_std", "fid", "l1", "psnr", "ssim"}
    assert all(map(math.isfinite, values.values()))


def test_equal_folders(evaluate, folders, tmp_path):
    real, _ = folders
    ok(evaluate("--real", real, "--fake", real))
    found = json.loads((tmp_path / "results" / "metrics.json").read_text("utf-8"))
    values = found["translations"]["fake"]["translated"]
    assert values["l1"] == 0 and values["fid"] == pytest.approx(0, abs=1e-6)


def test_paired_metrics_need_no_network(evaluate, folders, tmp_path):
    real, fake = folders
    gone = ["--features", "inception", "--features_weights", tmp_path / "gone.pth"]
    done = ok(evaluate("--real", real, "--fake", fake, "--metrics", "l1,ssim", *gone))
    assert "features:" not in done.stdout.split("End ---")[1]
    assert not (tmp_path / "cache").exists()


def test_only_the_real_side_is_cached(evaluate, folders, tmp_path):
    real, fake = folders
    ok(evaluate("--real", real, "--fake", fake, "--metrics", "kid"))
    assert len(list((tmp_path / "cache").iterdir())) == 1


# --- bad input -----------------------------------------------------------------------------------


def break_image(folder) -> None:
    (folder / "02.png").write_bytes((folder / "02.png").read_bytes()[:60])


def remove_images(folder) -> None:
    for path in list(folder.iterdir())[1:]:
        path.unlink()


BAD_FOLDERS = {
    "missing": (shutil.rmtree, (), "is missing; --fake must name a folder of images"),
    "empty": (lambda f: [p.unlink() for p in f.iterdir()], (), "holds no images"),
    "broken": (break_image, (), "02.png cannot be read as an image"),
    "too few": (remove_images, ("--metrics", "kid"), "metric kid needs at least 2 images"),
    "names": (
        lambda f: (f / "02.png").rename(f / "x.png"),
        ("--metrics", "l1"),
        "there is no counterpart for x",
    ),
    "sizes": (
        lambda f: draw_image("x", (50, 40)).save(f / "02.png"),
        ("--metrics", "l1"),
        "02 and its counterpart differ in size (50×40 and 40×40)",
    ),
    "pattern": (lambda f: None, ("--fake", "real/*_fake.png"), "is missing"),
    "metric": (lambda f: None, ("--metrics", "kid,lpip"), "(did you mean lpips?)"),
    "both": (lambda f: None, ("--dataroot", "x"), "leave one out"),
    "output": (lambda f: None, ("--output", "."), "--output . is a folder"),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_bad_folders(case, evaluate, folders, tmp_path):
    real, fake = folders
    damage, words, message = BAD_FOLDERS[case]
    damage(fake)
    before = files(tmp_path)
    done = evaluate("--real", real, "--fake", fake, *words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and message in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1
    written = {name for name in files(tmp_path) - before if not name.startswith("cache")}
    assert not written


BAD_RUNS = {
    ("--name", "none"): "no weights latest_net_G_A.pth",
    ("--epoch", "9"): "no weights 9_net_G_A.pth",
    ("--dataroot", "nowhere"): "nowhere",
    ("--phase", "none"): "noneA",
    ("--model", "test"): "--model test has no images to compare with; translate with test.py",
    ("--fake", "x"): "--real is missing",
    ("--metrics", "l1", "--load_size", "32"): "there is no counterpart",
    ("--features", "vgg"): "'vgg' is not one of auto, inception, mobilenet",
    ("--features_weights", "gone.pth"): "--features_weights gone.pth: there is no such file",
    ("--kid_subset_size", "1"): "must be at least 2",
    ("--ema",): "no weights latest_net_G_A_ema.pth",
}


@pytest.mark.parametrize("words", BAD_RUNS, ids=" ".join)
def test_bad_runs(words, measure, tmp_path):
    before = files(tmp_path)
    done = measure(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and BAD_RUNS[words] in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not {name for name in files(tmp_path) - before if not name.startswith("cache")}


def test_a_run_with_one_generator(measure, tmp_path):
    (tmp_path / "checkpoints" / "tiny" / "latest_net_G_B.pth").unlink()
    done = measure()
    assert done.returncode == 2
    assert "has one generator only, G_A; translate with test.py" in done.stderr


def test_broken_images_of_a_dataset(measure, tmp_path):
    data = tmp_path / "data"
    for side in ("A", "B"):
        make_images(data / f"test{side}", 20)
    break_image(data / "testB")
    done = measure("--dataroot", data)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "02.png" in done.stderr and "fix or remove the file" in done.stderr
    assert not (tmp_path / "results").exists()


# --- options -------------------------------------------------------------------------------------


def test_the_networks_are_those_of_the_run(trained, dataset):
    where = ["--checkpoints_dir", str(trained), "--dataroot", str(dataset), "--name", "tiny"]
    opt = EvaluateOptions().parse(where)
    assert (opt.model, opt.netG, opt.ngf, opt.crop_size) == ("cycle_gan", "resnet_6blocks", 2, 32)
    assert opt.metrics == "auto"
    assert EvaluateOptions().parse([*where, "--metrics", " l1, kid,l1"]).metrics == "l1,kid"


def test_16_bit_images(evaluate, tmp_path):
    for name in ("real", "fake"):
        make_images(tmp_path / name, 3)
        for path in (tmp_path / name).iterdir():
            gray = Image.open(path).convert("I").point(lambda value: value * 257)
            gray.convert("I;16").save(path)
    ok(evaluate("--real", tmp_path / "real", "--fake", tmp_path / "fake", "--metrics", "kid,l1"))
