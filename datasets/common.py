"""Shared by the dataset scripts: argument parser, error reporting, atomic output folders."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Lets the scripts find `util` and `data` where the project is not installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from util.errors import UserError, report_user_errors
from util.flags import int_range

SPLITS = ("trainA", "trainB", "testA", "testB")
MAX_COUNT = 1_000_000  # images per split
MAX_SIDE = 8192  # pixels


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `UserError` instead of printing the usage text."""

    def __init__(self, **kwargs):
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str):
        raise UserError(f"{message.removeprefix('argument ')} (--help lists the flags)")


def integer(minimum: int, maximum: int = MAX_COUNT) -> Callable[[str], int]:
    """An argparse type for integers from `minimum` to `maximum`."""
    convert = int_range(minimum, maximum)

    def parse(text: str) -> int:
        try:
            return convert(text)
        except ValueError as reason:  # argparse shows the reasons of its own error class only
            raise argparse.ArgumentTypeError(f"{text!r}: {reason}") from None

    return parse


def run(main: Callable[[], None]) -> None:
    """Run a script; user errors and system errors become one line and exit status 2."""
    # SIGTERM kills a process at once; as an exception it lets temporary folders be removed first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

    with report_user_errors():
        main()


def refuse_file(out: Path, flag: str = "--out") -> None:
    """Raise `UserError` if `out` exists but is not a folder."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{flag} {out} is a file: pass a folder")


def refuse_non_empty(out: Path, flag: str = "--out") -> None:
    """Raise `UserError` unless `out` does not exist or is an empty folder."""
    refuse_file(out, flag)
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"{flag} {out} already contains files: remove it or pass another {flag}")


@contextmanager
def atomic_folder(out: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that replaces `out` if the block raises no error.

    The temporary folder lies next to `out`, on the same disk, so that replacing is a rename:
    `out` is at all times the old folder or the complete new one. Callers check that the content
    of `out` may be deleted. After an error, nothing is left, new parent folders included.
    """
    out = out.resolve()
    new_parents = [parent for parent in out.parents if not parent.exists()]
    out.parent.mkdir(parents=True, exist_ok=True)

    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
            new = Path(scratch, "new")
            new.mkdir()
            yield new

            if out.exists():
                shutil.move(out, Path(scratch, "old"))
            new.rename(out)
    except BaseException:
        for parent in new_parents:
            with suppress(OSError):  # not empty any more
                parent.rmdir()
        raise
