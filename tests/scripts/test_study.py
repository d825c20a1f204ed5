"""scripts/study.py: runs of several settings and seeds, their table and their images."""

from __future__ import annotations

import importlib
import json
import sys

import pytest
from helpers.commands import ROOT, make_image_set
from PIL import Image

COMMON = [
    "--netG", "resnet_6blocks", "--ngf", "2", "--ndf", "2", "--load_size", "32", "--crop_size",
    "32", "--n_epochs", "1", "--n_epochs_decay", "0", "--gpu_ids", "-1",
]  # fmt: skip


@pytest.fixture
def study(monkeypatch, tmp_path):
    """The module, which writes reports into ``tmp_path``."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    module = importlib.import_module("study")
    reports = {}
    monkeypatch.setattr(module, "BENCHMARKS", tmp_path)
    monkeypatch.setattr(module, "SHEETS", tmp_path)
    monkeypatch.setattr(module, "write_report", reports.setdefault)
    module.reports = reports
    yield module
    for name in ("study", "benchmark"):
        sys.modules.pop(name, None)


def call(study, monkeypatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["study.py", *words, "--", *COMMON])
    study.main()


@pytest.mark.slow
def test_a_study_measures_every_run_once(study, monkeypatch, tmp_path, capsys):
    data = make_image_set(tmp_path / "data", (3, 3, 4, 4))
    for side in ("testA", "testB"):
        for i, file in enumerate(sorted((data / side).iterdir())):
            Image.open(file).resize((32, 32)).save(data / side / f"{i:02}.png")
    words = ["--dataroot", str(data), "--work", str(tmp_path / "work"), "--label", "tiny"]
    words += ["--settings", "better", "--seeds", "0", "--peer", str(ROOT), "--rounds", "0"]
    call(study, monkeypatch, *words)

    report = study.reports.pop("study_tiny")
    assert [(run["setting"], run["seed"]) for run in report["runs"]] == [
        ("reference", 0),
        ("better", 0),
    ]
    for run in report["runs"]:
        for values in run["metrics"].values():
            assert values["translated"].keys() >= {"kid", "l1", "ssim"}
    table = (tmp_path / "study_tiny.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == [
        "untranslated",
        "half of the target",
        "reference",
        "better",
    ]
    l1 = report["runs"][1]["metrics"]["fake_B"]["translated"]["l1"]
    assert f"{l1:.4f}" in table[-1]
    with Image.open(tmp_path / "study_tiny.png") as sheet:
        assert sheet.height > 4 * study.SIDE
        assert sheet.width > study.NUM_SHOWN * study.SIDE

    # Started again, nothing is trained; other options are refused.
    monkeypatch.setattr(study, "run", lambda *_: pytest.fail("a finished run was repeated"))
    call(study, monkeypatch, *words)
    assert json.dumps(study.reports["study_tiny"]["runs"]) == json.dumps(report["runs"])
    monkeypatch.setitem(study.SETTINGS, "better", "--ema 0.5")
    with pytest.raises(SystemExit, match="has a run with other options"):
        call(study, monkeypatch, *words)


def test_cells_show_means_and_deviations(study):
    runs = [{"metrics": {"fake_B": {"translated": {"l1": value}}}} for value in (0.1, 0.2, 0.3)]
    assert study.format_cell(runs, "fake_B", "l1") == "0.2000 ± 0.1000"
    assert study.format_cell(runs[:1], "fake_B", "l1") == "0.1000"
    seconds = {"reference": [4.0, 2.0, 3.0], "classic": [1.0, 1.0], "better": [1.5]}
    assert study.format_time(seconds, "reference") == "3.000 s (3.00×)"
    assert study.format_time(seconds, "better") == "1.500 s (1.50×)"
    assert study.format_time({}, "better") == ""
