"""A run that is killed again and again ends as if nothing had happened.

``pytest tests/test_kills.py --kills 200`` is the long form.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path
from random import Random

import pytest
from helpers.commands import TINY, make_image_set
from helpers.runs import end_of, start_faulty

RUN = [
    *TINY, "--n_epochs", "2", "--n_epochs_decay", "1", "--display_id", "0", "--print_freq", "1",
    "--save_latest_freq", "2", "--save_epoch_freq", "1", "--keep_last", "2", "--batch_size", "2",
]  # fmt: skip
MOMENTS = 60  # at which files change, in one start of about this run


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> tuple[Path, list[str]]:
    """The run without interruptions, and its data."""
    root = tmp_path_factory.mktemp("kills")
    data = make_image_set(root / "data", (7, 5, 2, 2))
    words = ["--dataroot", str(data), *RUN]
    run = start_faulty(root, "straight", {}, *words)
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 0, output
    return root, words


def test_killed_runs_end_like_the_one_that_was_not(straight, request, capsys):
    root, words = straight
    kills = request.config.getoption("--kills")
    rng = Random("kills")
    done = finished = 0
    while done < kills:
        done += killed_run(root, f"run{finished}", words, rng, kills - done)
        finished += 1
        with capsys.disabled():
            print(f"\n{done} kills, {finished} runs compared", end="", flush=True)


def killed_run(root: Path, name: str, words: list[str], rng: Random, most: int) -> int:
    """One run from beginning to end, killed at most ``most`` times; how often it was."""
    folder = root / "checkpoints" / name
    kills, starts = 0, 0
    while True:
        goes_on = (folder / "latest_state.pth").is_file() or (
            folder / "previous_state.pth"
        ).is_file()
        flags = ["--continue_train"] if goes_on else words
        inside = rng.random() < 0.7 and kills < min(most, 12)
        fault = (
            {"kill": rng.randrange(1, MOMENTS), "delay": rng.choice([0, 0.01])} if inside else {}
        )
        run = start_faulty(root, name, fault, *flags)
        if not inside and kills < min(most, 12):
            time.sleep(rng.uniform(1.5, 6))
            run.kill()
        output, _ = run.communicate(timeout=240)
        starts += 1
        if run.returncode == 0 or "is complete" in output:
            break
        assert run.returncode == -signal.SIGKILL, output
        assert "damaged" not in output, output
        kills += 1
    assert end_of(folder) == end_of(root / "checkpoints" / "straight")
    assert not list(folder.rglob("*.tmp"))
    assert not list(folder.rglob(".*.tmp"))
    return kills
