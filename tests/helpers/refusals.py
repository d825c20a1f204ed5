"""The form in which a command refuses bad input, and how the tables of bad input are written."""

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
    """A command that must be refused, and parts of what it must say. ``{data}`` is a good data
    set, ``{here}`` a folder that ``make`` has filled."""

    words: list[str]
    says: tuple[str, ...]
    make: str = "nothing"


def refused(words: list[str], *says: str, make: str = "nothing") -> Case:
    return Case(words, says, make)


def failures(done: subprocess.CompletedProcess, says, longest: int = 500) -> None:
    """Asserts that a command was refused in our form."""
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert len(lines[0]) < longest
    missing = [part for part in says if part not in lines[0]]
    assert not missing, lines[0]


def files_below(folder: Path) -> set[str]:
    """All that is in ``folder``."""
    return {path.as_posix() for path in folder.rglob("*")}
