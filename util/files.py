"""Files that hold either all of the old or all of the new content, even after a crash."""

import os
from collections.abc import Callable
from pathlib import Path

from util.errors import UserError

TEMPORARY = ".{name}.tmp"  # hidden, in the folder of the final file


def write_atomically(
    path: Path,
    write: Callable[[Path], object],
    *,
    verify: Callable[[Path], object] = lambda file: None,
    keep: Path | None = None,
) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it to ``path``.

    The content is on the disk before the name points to it. ``verify`` may read the temporary file
    back and raise; then, as after every other failure, ``path`` is what it was. The previous file
    is renamed to ``keep``. Through a symbolic link its target is written; the link stays. Raises
    `UserError`, before anything is written, if ``path`` is a device, a pipe, or another special
    file.
    """
    target = _regular_target(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(TEMPORARY.format(name=target.name))
    try:
        write(temporary)
        _flush_to_disk(temporary)
        verify(temporary)

        if keep is not None and target.is_file():
            target.replace(keep)
        temporary.replace(target)
        _flush_to_disk(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace the content of ``path`` (UTF-8), atomically; invalid Unicode is escaped."""
    write_atomically(
        path, lambda file: file.write_text(text, encoding="utf-8", errors="backslashreplace")
    )


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that a killed process left in ``folder``."""
    for path in folder.rglob(TEMPORARY.format(name="*")):
        path.unlink(missing_ok=True)


def truncate_file(path: Path, size: int) -> None:
    """Remove what was appended to ``path`` beyond ``size`` bytes."""
    if path.is_file() and path.stat().st_size > size:
        os.truncate(path, size)


def _regular_target(path: Path) -> Path:
    """``path`` with symbolic links resolved. Raises `UserError` for a special file."""
    target = Path(os.path.realpath(path))
    if os.path.lexists(target) and not target.is_file() and not target.is_dir():
        raise UserError(f"{path} is not a regular file and cannot be replaced; choose another name")
    return target


def _flush_to_disk(path: Path) -> None:
    """fsync of a file, or of a folder after a rename; not every system lets folders be opened."""
    mode = os.O_RDONLY if path.is_dir() else os.O_RDWR  # Windows syncs only files open for writing
    try:
        descriptor = os.open(path, mode)
    except OSError:
        if path.is_dir():
            return
        raise
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
