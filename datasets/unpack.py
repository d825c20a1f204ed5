"""Unpack zip and tar archives from untrusted sources."""

from __future__ import annotations

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from tqdm import tqdm

from common import SPLITS, UserError

_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)
# Also: truncated file, name with a null byte, unknown compression, password.
_UNREADABLE = (*_DAMAGED, EOFError, ValueError, NotImplementedError, RuntimeError)
_SYSTEM_FILES = ("__MACOSX", ".DS_Store", "Thumbs.db")

Archive = zipfile.ZipFile | tarfile.TarFile
Member = zipfile.ZipInfo | tarfile.TarInfo


class UnusableArchiveError(UserError):
    """The file is not an archive, is damaged or unsafe, or contains no dataset."""


def unpack(path: Path, folder: Path) -> None:
    """Unpack the zip or tar archive `path` into `folder`, without its single top folder, if any.

    Raises `UserError` if there is no such file, and `UnusableArchiveError`, before anything is
    written, if one of the members is a link or a device or has a path outside of `folder`.
    """
    try:
        with _open(path) as archive:
            files = _without_top_folder(dict(_list_files(path, archive)))
            for target, member in tqdm(files.items(), desc="unpacking", leave=False, disable=None):
                setattr(member, _name_attribute(member), str(target))
                archive.extract(member, folder)
    except _UNREADABLE as error:
        message = f"{path} is a damaged archive ({error}): get it again"
        raise UnusableArchiveError(message) from error


def _open(path: Path) -> Archive:
    if not path.is_file():
        raise UserError(f"--from {path}: no such file: pass the archive")
    if zipfile.is_zipfile(path):
        return zipfile.ZipFile(path)

    try:
        archive = tarfile.open(path)  # noqa: SIM115  the caller closes it
    except (*_UNREADABLE, OSError) as error:
        message = f"{path} is not a zip or tar archive: get it again"
        raise UnusableArchiveError(message) from error
    # The first releases of Python 3.10 have no filters; `_list_files` refuses what they refuse.
    archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
    return archive


def _list_files(path: Path, archive: Archive) -> Iterator[tuple[PurePosixPath, Member]]:
    """Yield the files of the archive with their paths; raise an error for an unsafe member.

    The library is not strict enough: `zipfile` writes the target of a link as a file, and both
    `zipfile` and `tarfile` write ``/x``, and `zipfile` ``../x``, inside of the folder.
    """
    members = archive.infolist() if isinstance(archive, zipfile.ZipFile) else archive.getmembers()
    for member in members:
        name = getattr(member, _name_attribute(member))
        target = PurePosixPath(name.replace("\\", "/"))  # some Windows programs write backslashes
        kind = _kind(member)

        problem = "is a link or a device" if kind == "special" else ""
        if target.is_absolute() or PureWindowsPath(name).drive or ".." in target.parts:
            problem = "has a path outside of the dataset"
        if problem:
            raise UnusableArchiveError(
                f"{path}: its member {name!r} {problem}: nothing was unpacked, "
                "get the archive from its authors"
            )

        if kind == "file" and not _is_system_file(target):
            yield target, member


def _name_attribute(member: Member) -> str:
    return "filename" if isinstance(member, zipfile.ZipInfo) else "name"


def _kind(member: Member) -> str:
    """Return ``file``, ``folder`` or ``special`` (links, devices, pipes)."""
    if isinstance(member, tarfile.TarInfo):
        return "file" if member.isreg() else "folder" if member.isdir() else "special"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "special"
    return "folder" if member.filename.endswith(("/", "\\")) else "file"


def _without_top_folder(files: dict[PurePosixPath, Member]) -> dict[PurePosixPath, Member]:
    """Return the files below the one folder that contains trainA, …, or all files."""
    tops = {path.parts[0] for path in files if path.parts[1:-1] and path.parts[1] in SPLITS}
    top = tops.pop() if len(tops) == 1 else "."
    return {path.relative_to(top): files[path] for path in files if path.is_relative_to(top)}


def _is_system_file(path: PurePosixPath) -> bool:
    return path.name.startswith("._") or any(part in _SYSTEM_FILES for part in path.parts)
