"""What a user did wrong, said in one line."""

import contextlib
import difflib
import io
import sys
from collections.abc import Iterable, Iterator


class UserError(Exception):
    """Bad input. The text names the flag or file and the remedy; no traceback is shown."""


@contextlib.contextmanager
def report_user_errors() -> Iterator[None]:
    """Turn a `UserError` into one line ``error: …`` and exit status 2; Ctrl-C exits with 130.

    So is what the system says of a file: no permission, no space, a file where a folder should be.
    File names that the terminal cannot show are no reason to stop: they are printed escaped.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    except UserError as error:
        _leave(str(error))
    except OSError as error:
        _leave(f"{error.filename or 'the system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


def _leave(message: str) -> None:
    print("error:", printable(message.strip()), file=sys.stderr)
    sys.exit(2)


def printable(text: str) -> str:
    """``text`` on one line: what steers a terminal or is no Unicode, as in file names, escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean X?)`` for the known word nearest to ``word``, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]}?)" if near else ""
