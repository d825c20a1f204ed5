"""The registry, `evaluate_sets`, pairs by name, and the table."""

from __future__ import annotations

import csv

import pytest
import torch
from helpers.features import write_mobilenet_weights

from metrics import METRICS, ImageSet, Settings, create_extractor, evaluate_sets
from metrics.comparison import FLOOR, TRANSLATED, UNTRANSLATED, Comparison, split_in_half
from metrics.folders import find_named_images, names_of
from metrics.report import append_csv, format_table, list_notes
from util.errors import UserError

pytest.importorskip("torch_fidelity")
pytest.importorskip("torchmetrics")


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    return create_extractor("mobilenet", write_mobilenet_weights(tmp_path_factory.mktemp("w")))


def images(n: int, seed: int = 0, top: int = 256, shape=(3, 32, 32)) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, top, shape, dtype=torch.uint8, generator=generator) for _ in range(n)]


def test_every_metric_is_described():
    for name, metric in METRICS.items():
        assert metric.paper and metric.help and metric.needs in ("features", "pairs"), name


def test_all_metrics_of_equal_sets(extractor):
    content = images(12)
    names = ["kid", "fid", "precision", "recall", "l1", "psnr", "ssim"]
    values = evaluate_sets(content, content, names, extractor)
    assert list(values) == ["kid", "kid_std", *names[1:]]
    assert values["fid"] == pytest.approx(0, abs=1e-6)
    assert values["l1"] == 0
    assert values["precision"] == values["recall"] == 1
    assert values["kid"] <= 1e-6  # unbiased: the same images in both sets lower it


def test_batches_in_the_range_of_networks_are_the_same_images(extractor):
    real, fake = images(6), images(6, 1)
    floats = [torch.stack(part).float() / 127.5 - 1 for part in (fake[:4], fake[4:])]
    metrics = ["kid", "fid", "l1"]
    expected = evaluate_sets(real, fake, metrics, extractor)
    assert evaluate_sets(iter(real), iter(floats), metrics, extractor) == expected


def test_features_are_computed_once(extractor, monkeypatch):
    counts = []
    monkeypatch.setattr(
        type(extractor), "forward", lambda self, x: counts.append(len(x)) or x.flatten(1)[:, :4]
    )
    real = ImageSet(images(5))
    for seed in (1, 2):
        evaluate_sets(real, images(5, seed), ["kid"], extractor)
    assert sum(counts) == 15


def test_random_numbers_of_the_program_stay_as_they_are(extractor):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    evaluate_sets(images(4), images(4, 1), ["kid", "fid", "l1"], extractor)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("real", "fake", "metrics", "words"),
    [
        (4, 4, ["kidd"], "--metrics kidd: choose from kid, fid"),
        (1, 4, ["kid"], "metric kid needs at least 2 images on each side, not 1 real and 4"),
        (0, 0, ["l1"], "metric l1 needs at least 1 images"),
        (4, 3, ["l1"], "3 and 4 images cannot be paired"),
        (3, 3, ["precision"], "metric precision needs at least 4"),
    ],
)
def test_what_cannot_be_measured(real, fake, metrics, words, extractor):
    with pytest.raises(UserError, match=words):
        evaluate_sets(images(real), images(fake), metrics, extractor)


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr("util.packages.find_spec", lambda name: None)
    with pytest.raises(UserError, match="--metrics fid: torch_fidelity is not installed; pip"):
        evaluate_sets(images(3), images(3), ["l1", "fid"])
    assert evaluate_sets(images(3), images(3), ["l1"]) == {"l1": 0}


# --- pairs ---------------------------------------------------------------------------------------


def test_pairs_are_found_by_name():
    real, fake = images(3), images(2, 1)
    by_name = evaluate_sets(ImageSet(real, ["x", "y", "z"]), ImageSet(fake, ["z", "x"]), ["l1"])
    in_order = evaluate_sets([real[2], real[0]], fake, ["l1"])
    assert by_name == in_order


def test_a_missing_counterpart_is_named():
    with pytest.raises(UserError, match="no counterpart for b and 1 others"):
        evaluate_sets(ImageSet(images(1), ["a"]), ImageSet(images(3), ["a", "b", "c"]), ["l1"])


def test_pairs_of_different_size_are_refused():
    with pytest.raises(UserError, match=r"b and its counterpart differ in size .*16×32 and 32×32"):
        evaluate_sets(
            ImageSet(images(2), ["a", "b"]),
            ImageSet([*images(1), *images(1, shape=(3, 32, 16))], ["a", "b"]),
            ["l1"],
        )


def test_gray_and_color_can_be_paired():
    gray = images(1, shape=(1, 32, 32))
    assert evaluate_sets(gray, [gray[0].expand(3, -1, -1)], ["l1"]) == {"l1": 0}


# --- comparisons ---------------------------------------------------------------------------------


def test_rows_of_a_comparison(extractor):
    names = [f"{i:02d}" for i in range(10)]
    real, fake, source = (ImageSet(images(10, i), names) for i in range(3))
    comparison = Comparison("fake_B", fake, real, source)
    metrics = comparison.choose_metrics("auto")
    assert metrics == ["kid", "fid", "l1", "psnr", "ssim"]
    settings = Settings(seed=1)
    values = comparison.measure(metrics, extractor, settings)
    assert list(values) == [TRANSLATED, UNTRANSLATED, FLOOR]
    assert values[TRANSLATED] == evaluate_sets(real, fake, metrics, extractor, settings)
    assert values[UNTRANSLATED] == evaluate_sets(real, source, metrics, extractor, settings)
    assert list(values[FLOOR]) == ["kid", "kid_std", "fid"]

    table = format_table(comparison, values, metrics, "mobilenet").splitlines()
    assert table[0] == "fake_B against 10 real images, features: mobilenet"
    assert table[1].split() == [
        "images", "kid×1000", "↓", "fid", "↓", "l1", "↓", "psnr", "dB", "↑", "ssim", "↑"
    ]  # fmt: skip
    assert [line.startswith(row) for line, row in zip(table[2:], values, strict=True)]
    assert len({len(line) for line in table[1:]}) == 1
    notes = list_notes(comparison, metrics, settings)
    assert ["subsets of 5 images" in notes[0], "fid of 10 images" in notes[1]] == [True, True]


def test_paired_metrics_need_equal_names():
    real, fake = ImageSet(images(2), ["a", "b"]), ImageSet(images(2), ["a", "c"])
    assert Comparison("fake_B", fake, real).choose_metrics("auto") == ["kid", "fid"]
    assert Comparison("fake_B", fake, real).choose_metrics("l1,kid") == ["l1", "kid"]


def test_halves_are_random_and_disjoint():
    names = [str(i) for i in range(9)]
    halves = split_in_half(ImageSet(images(9), names), 0)
    parts = [set(half.names or ()) for half in halves]
    assert [len(part) for part in parts] == [4, 4]
    assert parts[0].isdisjoint(parts[1])
    assert split_in_half(ImageSet(images(9), names), 1)[0].names != halves[0].names


# --- files ---------------------------------------------------------------------------------------


def test_names_within_folders_and_patterns(tmp_path):
    for name in ("a_real_B.png", "a_fake_B.png", "sub/b_fake_B.png", "sub/b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert list(find_named_images(str(tmp_path), "--fake")) == [
        "a_fake_B", "a_real_B", "sub/b_fake_B",
    ]  # fmt: skip
    pattern = str(tmp_path / "*_fake_B.png")
    assert list(find_named_images(pattern, "--fake")) == ["a", "sub/b"]
    assert names_of([tmp_path / "sub/b.png"]) == ["b"]
    with pytest.raises(UserError, match="use '\\*' only once"):
        find_named_images(str(tmp_path / "*_*.png"), "--fake")
    (tmp_path / "a_fake_B.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="several files are named a_fake_B"):
        find_named_images(str(tmp_path), "--fake")


def test_lines_of_results_with_new_columns(tmp_path):
    file = tmp_path / "new" / "results.csv"
    append_csv(file, [{"name": "a, b", "kid": 1.5}])
    append_csv(file, [{"name": "c", "kid": 2, "other": "x"}, {"name": "d"}])
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert rows == [
        {"name": "a, b", "kid": "1.5", "other": ""},
        {"name": "c", "kid": "2", "other": "x"},
        {"name": "d", "kid": "", "other": ""},
    ]
