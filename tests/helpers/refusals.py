"""The form of error messages, and of tables of bad input."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from helpers.commands import TINY, TINY_TRAIN

TRAIN = ["train.py", *TINY_TRAIN]
TEST = ["test.py", *TINY]
DATA = ["--dataroot", "{data}"]
HERE = ["--dataroot", "{here}"]


@dataclass(frozen=True)
class Case:
    """A command that must fail, and parts of its error message.

    ``{data}`` stands for a valid data set, ``{here}`` for a folder that ``make`` has filled.
    """

    words: list[str]
    says: tuple[str, ...]
    make: str = "nothing"


def refused(words: list[str], *says: str, make: str = "nothing") -> Case:
    """Write a `Case` in one call."""
    return Case(words, says, make)


def failures(done: subprocess.CompletedProcess, says, max_length: int = 500) -> None:
    """Assert that a command failed with one ``error:`` line that contains all of ``says``."""
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert len(lines[0]) < max_length
    missing = [part for part in says if part not in lines[0]]
    assert not missing, lines[0]


def files_below(folder: Path) -> set[str]:
    """All paths below ``folder``."""
    return {path.as_posix() for path in folder.rglob("*")}
