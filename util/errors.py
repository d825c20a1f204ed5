"""Errors that users can correct: one line each, no traceback."""

import contextlib
import difflib
import io
import re
import sys
from collections.abc import Iterable, Iterator
from typing import NoReturn

MAX_REASON_LENGTH = 150  # characters of another library's message within ours


class UserError(Exception):
    """Bad input. The message names the flag or file and the remedy; no traceback is shown."""


@contextlib.contextmanager
def report_user_errors() -> Iterator[None]:
    """Turn a `UserError` into one line ``error: …`` and exit status 2; Ctrl-C exits with 130.

    Errors of the operating system about files are reported the same way: no permission, no space,
    a file in place of a folder. File names that the terminal cannot show are printed escaped.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # In a log file, lines appear at once and before the error that follows them.
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        yield
    except UserError as error:
        exit_with(str(error))
    except OSError as error:
        exit_with(f"{error.filename or 'the system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


def exit_with(message: str) -> NoReturn:
    """Print ``error: message`` on one line and exit with status 2."""
    print("error:", printable(message.strip()), file=sys.stderr)
    sys.exit(2)


def printable(text: str) -> str:
    """``text`` on one line; control characters and invalid Unicode, as in file names, escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def short_reason(error: Exception) -> str:
    """The first sentence of an error of another library, without its final period."""
    first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    sentence = re.split(r"\.(?:\s|$)", first_line, maxsplit=1)[0]
    if len(sentence) > MAX_REASON_LENGTH:
        sentence = sentence[: MAX_REASON_LENGTH - 1] + "…"
    return printable(sentence)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean X?)`` for the known word closest to ``word``, or an empty string."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {matches[0]}?)" if matches else ""
