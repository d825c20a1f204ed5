"""What the dataset scripts share: error lines, arguments, and folders that appear all at once."""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SPLITS = ("trainA", "trainB", "testA", "testB")


class UserError(Exception):
    """A mistake that the user can mend; its text names the flag or file, and the remedy."""


class Parser(argparse.ArgumentParser):
    """Reports a wrong command line as one UserError line, without the usage text."""

    def __init__(self, **settings):
        super().__init__(allow_abbrev=False, **settings)

    def add_argument(self, *names, **settings):
        if settings.get("default") not in (None, argparse.SUPPRESS):
            settings["help"] += "; default: %(default)s"
        return super().add_argument(*names, **settings)

    def error(self, message: str):
        raise UserError(f"{message} (--help lists the flags)")


def whole_number(least: int) -> Callable[[str], int]:
    """A type for argparse: an integer that is at least `least`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= {least}")
        return int(text)

    return parse


def run(main: Callable[[], None]) -> None:
    """Runs a script: user errors and failing files become one line on stderr and exit status 2."""
    # SIGTERM ends a program at once; as an exception it lets temporary folders be removed first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except UserError as mistake:
        sys.exit(_complain(str(mistake)))
    except OSError as trouble:
        sys.exit(_complain(f"{trouble.filename or 'system'}: {trouble.strerror or trouble}"))
    except KeyboardInterrupt:
        sys.exit(130)


def _complain(message: str) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return 2


def refuse_filled(out: Path, flag: str = "--out") -> None:
    """Raises UserError unless `out` is free: not there yet, or an empty folder."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{flag} {out} is a file: pass a folder")
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"{flag} {out} already holds files: remove it or pass another {flag}")


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Yields an empty folder that takes the place of `out` if the block ends without an error.

    It lies beside `out`, on the same disk, so that taking its place is a rename: whoever looks
    at `out` sees the old folder or the whole new one, never half of it. Callers make sure that
    what `out` holds may go.
    """
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        fresh = Path(scratch, "fresh")
        fresh.mkdir()
        yield fresh
        if out.exists():
            shutil.move(out, Path(scratch, "former"))
        fresh.rename(out)
