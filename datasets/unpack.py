"""Reads zip and tar archives from strangers: nothing they hold can land outside of a folder."""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from tqdm import tqdm

from dataset_tools import SPLITS, UserError

_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)
# Those and: cut short, a name with a zero byte, an unknown packing, a password.
_BROKEN = (*_DAMAGED, EOFError, ValueError, NotImplementedError, RuntimeError)
_LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db")


class UselessArchiveError(UserError):
    """Nothing can be made of the file: it is no archive, or damaged, harmful or without a set."""


@dataclass(frozen=True)
class Member:
    """A file or something else in an archive; `kind` is "file", "folder" or "link"."""

    name: str
    kind: str
    handle: zipfile.ZipInfo | tarfile.TarInfo

    @property
    def path(self) -> PurePosixPath:
        # Some packers on Windows write backslashes.
        return PurePosixPath(self.name.replace("\\", "/"))


@dataclass(frozen=True)
class Archive:
    """An open archive whose members have been found to be harmless."""

    source: zipfile.ZipFile | tarfile.TarFile
    files: dict[PurePosixPath, Member]  # by path below the one top folder, if there is one

    def unpack(self, folder: Path) -> None:
        """Writes all files below `folder`, with new permissions and dates."""
        for path, member in tqdm(self.files.items(), desc="unpacking", leave=False, disable=None):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._open(member) as packed, target.open("wb") as file:
                shutil.copyfileobj(packed, file)

    def _open(self, member: Member) -> BinaryIO:
        if isinstance(self.source, zipfile.ZipFile):
            return self.source.open(member.handle)
        return self.source.extractfile(member.handle)


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Opens a zip or tar archive; UserError if it is none, broken, or has a harmful member."""
    try:
        with _source(path) as source:
            members = list(_members(source))
            _refuse_harmful(path, members)
            yield Archive(source, _below_top(members))
    except _BROKEN as trouble:
        message = f"{path} is a broken archive ({trouble}): get it again"
        raise UselessArchiveError(message) from trouble


def _source(path: Path) -> zipfile.ZipFile | tarfile.TarFile:
    if not path.is_file():
        raise UserError(f"--from {path}: there is no such file: pass the archive")
    if zipfile.is_zipfile(path):
        return zipfile.ZipFile(path)
    try:
        return tarfile.open(path)
    except (*_BROKEN, OSError) as trouble:
        message = f"{path} is not a zip or tar archive: get it again"
        raise UselessArchiveError(message) from trouble


def _members(source: zipfile.ZipFile | tarfile.TarFile) -> Iterator[Member]:
    if isinstance(source, zipfile.ZipFile):
        for info in source.infolist():
            link = stat.S_ISLNK(info.external_attr >> 16)
            folder = info.filename.endswith(("/", "\\"))
            kind = "link" if link else "folder" if folder else "file"
            yield Member(info.filename, kind, info)
    else:
        for info in source:
            # Devices and pipes count as links: nothing that a set of pictures holds.
            kind = "folder" if info.isdir() else "file" if info.isreg() else "link"
            yield Member(info.name, kind, info)


def _refuse_harmful(archive: Path, members: list[Member]) -> None:
    for member in members:
        if harm := _harm(member):
            raise UselessArchiveError(f"{archive}: its member {member.name!r} {harm}: nothing was "
                                      "unpacked, get the archive from its authors")  # fmt: skip


def _harm(member: Member) -> str:
    """What a member would do that no picture does; empty if it is fine."""
    path, windows = member.path, PureWindowsPath(member.name)
    if path.is_absolute() or windows.drive or ".." in path.parts:
        return "would leave the folder"
    return "is a link or a device" if member.kind == "link" else ""


def _below_top(members: list[Member]) -> dict[PurePosixPath, Member]:
    files = {m.path: m for m in members if m.kind == "file" and not _is_litter(m.path)}
    tops = {path.parts[0] for path in files if path.parts[1:-1] and path.parts[1] in SPLITS}
    top = tops.pop() if len(tops) == 1 else "."
    return {path.relative_to(top): files[path] for path in files if path.is_relative_to(top)}


def _is_litter(path: PurePosixPath) -> bool:
    return path.name.startswith("._") or any(part in _LITTER for part in path.parts)
