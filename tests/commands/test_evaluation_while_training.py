"""``--eval_freq`` and what follows from the metrics: best weights, early stop, plateau."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from helpers.commands import TINY, call_in, make_image_set, ok
from helpers.refusals import failures
from helpers.runs import end_of, start

from checkpoint.state import load_state
from models.schedules import EpochPlan, plateau
from reporting.history import Evaluation
from training.evaluator import best_epochs, evaluations_since_best, score
from util.errors import UserError

QUIET = ["--display_id", "0", "--no_html", "--print_freq", "2", "--save_epoch_freq", "1"]
RUN = [*TINY, "--n_epochs", "3", "--n_epochs_decay", "0", *QUIET]
EVALUATE = ["--eval_freq", "1", "--eval_metrics", "l1,ssim", "--save_best", "l1"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A dataset whose testA and testB have equal names."""
    return make_image_set(tmp_path_factory.mktemp("data") / "pairs", (3, 3, 3, 3))


def records(folder) -> list[dict]:
    lines = (folder / "losses.jsonl").read_text("utf-8").splitlines()
    return [values for values in map(json.loads, lines) if "metrics" in values]


def test_evaluation_is_logged_and_changes_no_weight(pairs, tmp_path):
    start(tmp_path, "plain", "--dataroot", pairs, *RUN)
    start(tmp_path, "measured", "--dataroot", pairs, *RUN, *EVALUATE)
    plain, measured = (tmp_path / "checkpoints" / name for name in ("plain", "measured"))
    first, second = load_state(plain), load_state(measured)
    assert end_of(plain)["model"] == end_of(measured)["model"]
    assert first["progress"] == second["progress"]

    found = records(measured)
    assert [each["epoch"] for each in found] == [1, 2, 3]
    assert list(found[0]["metrics"]) == [
        "l1_fake_B", "ssim_fake_B", "l1_fake_A", "ssim_fake_A",
    ]  # fmt: skip
    assert second["evaluations"] == found
    log = (measured / "loss_log.txt").read_text("utf-8")
    assert log.count("evaluation) l1_fake_B: ") == 3


def test_best_weights_are_those_of_the_best_epoch(pairs, tmp_path):
    start(tmp_path, "run", "--dataroot", pairs, *RUN, *EVALUATE)
    folder = tmp_path / "checkpoints" / "run"
    scores = [score(each["metrics"], "l1") for each in records(folder)]
    best = scores.index(min(scores)) + 1
    for net in ("G_A", "G_B", "D_A", "D_B"):
        kept, numbered = (
            torch.load(folder / f"{prefix}_net_{net}.pth", weights_only=True)
            for prefix in ("best", best)
        )
        assert all(torch.equal(value, numbered[key]) for key, value in kept.items())
    words = ["--name", "run", *TINY, "--dataroot", pairs / "testA", "--epoch", "best"]
    ok(call_in(tmp_path, "test.py", *words))


@pytest.mark.slow
def test_interrupted_runs_evaluate_the_same(pairs, tmp_path):
    words = ["--dataroot", pairs, *RUN, *EVALUATE, "--save_latest_freq", "1"]
    start(tmp_path, "straight", *words)
    start(tmp_path, "broken", *words, steps=4)
    start(tmp_path, "broken", "--continue_train", steps=3)
    start(tmp_path, "broken", "--continue_train")
    straight, broken = (tmp_path / "checkpoints" / name for name in ("straight", "broken"))
    assert end_of(straight) == end_of(broken)
    assert records(straight) == records(broken)
    assert (straight / "best_net_G_A.pth").is_file()


def test_early_stop_ends_the_run_and_stays_ended(pairs, tmp_path, monkeypatch):
    values = iter([3.0, 2.0, 2.5, 2.5, 1.0])
    monkeypatch.setattr(
        "training.evaluator.Evaluator.measure", lambda self: {"l1_fake_B": next(values)}
    )
    words = [*TINY, "--n_epochs", "9", "--n_epochs_decay", "0", *QUIET, *EVALUATE]
    done = ok(call_in(tmp_path, "train.py", "--dataroot", pairs, "--name", "run", *words,
                      "--early_stop", "2"))  # fmt: skip
    assert "stopping early: l1 has not improved for 2 evaluations" in done.stdout
    assert "End of epoch 4 / 9" in done.stdout
    assert "End of epoch 5 / 9" not in done.stdout
    state = load_state(tmp_path / "checkpoints" / "run")
    assert state["evaluations"][-1]["best"] == {"l1_fake_B": 2}
    done = call_in(tmp_path, "train.py", "--name", "run", "--continue_train")
    failures(done, ["has stopped early", "--early_stop 0"])
    done = ok(call_in(tmp_path, "train.py", "--name", "run", "--continue_train",
                      "--early_stop", "0", "--n_epochs", "5"))  # fmt: skip
    assert "End of epoch 5 / 5" in done.stdout


def test_plateau_follows_the_metric(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("training.evaluator.Evaluator.measure", lambda self: {"l1_fake_B": 1.0})
    words = [*TINY, "--n_epochs", "8", "--n_epochs_decay", "0", *QUIET, "--lr_policy", "plateau"]
    words += ["--eval_freq", "1", "--eval_metrics", "l1"]
    done = ok(call_in(tmp_path, "train.py", "--dataroot", pairs, "--name", "run", *words))
    rates = [line for line in done.stdout.splitlines() if line.startswith("learning rate = ")]
    assert rates[:5] == ["learning rate = 0.0002000"] * 5
    assert rates[5:] == ["learning rate = 0.0000400"] * 3


def test_plateau_waits_and_ignores_small_improvements():
    def rate(*scores: float) -> float:
        return plateau(1, EpochPlan(5, 5, scores=scores))

    assert rate() == rate(3, 2, 1) == rate(1, 1, 1, 1, 1) == 1
    assert rate(1, *[0.995] * 5) == pytest.approx(0.2)
    assert rate(1, *[0.995] * 10) == pytest.approx(0.04)
    assert rate(1, *[0.995] * 4, 0.9, *[0.9] * 4) == 1
    assert rate(-10, *[-10.05] * 5) == pytest.approx(0.2)  # negative scores: higher is better


def test_scores_are_lower_for_better_metrics():
    assert score({"l1_fake_B": 1.0, "l1_fake_A": 3.0, "kid_fake_B": 9.0}, "l1") == 2
    assert score({"ssim_fake_B": 0.5}, "ssim") == -0.5
    evaluations = [
        Evaluation(epoch, 0, {"ssim_fake_B": value, "l1_fake_B": value}, {})
        for epoch, value in ((1, 0.3), (2, 0.5), (3, 0.4))
    ]
    assert best_epochs(evaluations) == {"ssim_fake_B": 2, "l1_fake_B": 1}
    assert evaluations_since_best([]) == 0
    assert evaluations_since_best([3, 1, 2, 2]) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--lr_policy", "plateau"], ["--lr_policy plateau", "--eval_freq 1"]),
        (["--save_best", "kid"], ["--save_best", "--eval_freq 1"]),
        (["--early_stop", "2"], ["--early_stop", "--eval_freq 1"]),
        (
            ["--eval_freq", "1", "--eval_metrics", "kidd"],
            ["--eval_metrics", "kidd", "did you mean kid?"],
        ),
        (["--eval_freq", "1", "--eval_metrics", "l1", "--save_best", "kid"], ["--save_best kid"]),
    ],
    ids=str,
)
def test_contradictions_are_refused(words, says, pairs, tmp_path):
    failures(call_in(tmp_path, "train.py", "--dataroot", pairs, *TINY, *words), says)
    assert not list(tmp_path.iterdir())


def test_images_without_counterparts_are_refused(pairs, tmp_path):
    data = shutil.copytree(pairs, tmp_path / "data")
    (data / "testB" / "00.png").rename(data / "testB" / "other.png")
    words = [*TINY, "--eval_freq", "1", "--eval_metrics", "l1"]
    done = call_in(tmp_path, "train.py", "--dataroot", data, *words)
    failures(done, ["--eval_metrics l1", "testA and testB", "kid or fid"])


def test_missing_test_images_are_refused(pairs, tmp_path):
    data = shutil.copytree(pairs, tmp_path / "data")
    shutil.rmtree(data / "testA")
    done = call_in(tmp_path, "train.py", "--dataroot", data, *TINY, "--eval_freq", "1")
    failures(done, ["--eval_freq 1", "no test images"])


def test_a_failed_evaluation_saves_the_run_first(pairs, tmp_path, monkeypatch):
    def fail(self):
        raise UserError("a test image cannot be read")

    monkeypatch.setattr("training.evaluator.Evaluator.measure", fail)
    words = ["--dataroot", pairs, *RUN, *EVALUATE, "--save_latest_freq", "1000"]
    done = call_in(tmp_path, "train.py", "--name", "run", *words)
    failures(done, ["a test image cannot be read"])
    assert load_state(tmp_path / "checkpoints" / "run")["progress"]["iters"] == 3
    monkeypatch.undo()
    done = ok(call_in(tmp_path, "train.py", "--name", "run", "--continue_train"))
    assert "End of epoch 1 / 3" in done.stdout


def test_too_few_test_images_are_refused_before_training(pairs, tmp_path):
    data = shutil.copytree(pairs, tmp_path / "data")
    for path in list((data / "testB").iterdir())[1:]:
        path.unlink()
    words = [*TINY, "--eval_freq", "1", "--eval_metrics", "kid", "--eval_features", "mobilenet"]
    done = call_in(tmp_path, "train.py", "--dataroot", data, "--name", "run", *words)
    assert done.returncode == 2
    assert "metric kid needs at least 2 images" in done.stderr
