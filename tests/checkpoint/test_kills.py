"""A run that is killed repeatedly ends as a run without interruptions.

Long version: ``pytest tests/checkpoint/test_kills.py --kills 200``.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path
from random import Random

import pytest
from helpers.commands import TINY, make_image_set
from helpers.runs import end_of, start_faulty

from checkpoint.state import LATEST, PREVIOUS

RUN = [
    *TINY, "--n_epochs", "2", "--n_epochs_decay", "1", "--display_id", "0", "--print_freq", "1",
    "--save_latest_freq", "2", "--save_epoch_freq", "1", "--keep_last", "2", "--batch_size", "2",
]  # fmt: skip
MOMENTS = 60  # at which files change during such a run, see `faulty_train.Moments`
MAX_KILLS_PER_RUN = 12


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> tuple[Path, list[str]]:
    """The folder of a run without interruptions, and its flags."""
    root = tmp_path_factory.mktemp("kills")
    data = make_image_set(root / "data", (7, 5, 2, 2))
    words = ["--dataroot", str(data), *RUN]
    run = start_faulty(root, "straight", {}, *words)
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 0, output
    return root, words


@pytest.mark.slow
def test_killed_runs_end_like_an_uninterrupted_run(straight, request, capsys):
    root, words = straight
    kills = request.config.getoption("--kills")
    rng = Random("kills")
    done = finished = 0
    while done < kills:
        done += killed_run(root, f"run{finished}", words, rng, kills - done)
        finished += 1
        with capsys.disabled():
            print(f"\n{done} kills, {finished} runs compared", end="", flush=True)


def killed_run(root: Path, name: str, words: list[str], rng: Random, max_kills: int) -> int:
    """Run a training to its end, killing it at most ``max_kills`` times; return the kills."""
    folder = root / "checkpoints" / name
    kills = 0
    while True:
        can_resume = any((folder / file).is_file() for file in (LATEST, PREVIOUS))
        flags = ["--continue_train"] if can_resume else words
        may_kill = kills < min(max_kills, MAX_KILLS_PER_RUN)
        inside_save = rng.random() < 0.7 and may_kill
        fault = {}
        if inside_save:
            fault = {"kill": rng.randrange(1, MOMENTS), "delay": rng.choice([0, 0.01])}

        run = start_faulty(root, name, fault, *flags)
        if may_kill and not inside_save:
            time.sleep(rng.uniform(1.5, 6))
            run.kill()
        output, _ = run.communicate(timeout=240)
        if run.returncode == 0 or "is complete" in output:
            break
        assert run.returncode == -signal.SIGKILL, output
        assert "damaged" not in output, output
        kills += 1
    assert end_of(folder) == end_of(root / "checkpoints" / "straight")
    assert not list(folder.rglob("*.tmp"))
    assert not list(folder.rglob(".*.tmp"))
    return kills
