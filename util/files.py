"""Files that are either all of the old or all of the new content, whatever happens on the way."""

import os
from collections.abc import Callable
from pathlib import Path

TEMPORARY = ".{name}.tmp"  # hidden, beside the file it is going to be


def write_atomically(
    path: Path,
    write: Callable[[Path], None],
    *,
    prove: Callable[[Path], object] = lambda file: None,
    keep: Path | None = None,
) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in its place.

    The content is on the disk before the name points to it. ``prove`` may read the temporary file
    back and raise; then, as after every other failure, ``path`` is what it was. The old file
    becomes ``keep``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(TEMPORARY.format(name=path.name))
    try:
        write(temporary)
        _to_disk(temporary)
        prove(temporary)
        if keep is not None and path.is_file():
            path.replace(keep)
        temporary.replace(path)
        _to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace the content of ``path`` (UTF-8), atomically; bytes of odd file names are escaped."""
    write_atomically(
        path, lambda file: file.write_text(text, encoding="utf-8", errors="backslashreplace")
    )


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files of a process that was killed while it wrote into ``folder``."""
    for path in folder.rglob(TEMPORARY.format(name="*")):
        path.unlink(missing_ok=True)


def truncate_file(path: Path, size: int) -> None:
    """Forget what was appended to ``path`` beyond ``size`` bytes."""
    if path.is_file() and path.stat().st_size > size:
        os.truncate(path, size)


def _to_disk(path: Path) -> None:
    """fsync of a file, or of a folder after a rename; not every system lets folders be opened."""
    # Windows brings to the disk only what is open for writing.
    mode = os.O_RDONLY if path.is_dir() else os.O_RDWR
    try:
        handle = os.open(path, mode)
    except OSError:
        if path.is_dir():
            return
        raise
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
