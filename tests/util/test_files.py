"""Atomic writes: all of the old content or all of the new, and never over special files."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from util.errors import UserError
from util.files import remove_leftovers, truncate_file, write_atomically, write_text


def test_the_old_file_is_kept_under_another_name(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    write_atomically(path, lambda file: file.write_text("new"), keep=tmp_path / "kept")
    assert path.read_text() == "new"
    assert (tmp_path / "kept").read_text() == "old"


def fail(file) -> None:
    file.write_text("half")
    raise RuntimeError


@pytest.mark.parametrize("step", ["write", "verify"])
def test_a_failure_changes_nothing_and_leaves_no_temporary_file(step, tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        if step == "write":
            write_atomically(path, fail)
        else:
            write_atomically(path, lambda file: file.write_text("new"), verify=fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
@pytest.mark.parametrize("through_link", [False, True])
def test_a_fifo_is_not_replaced(through_link, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    path = fifo
    if through_link:
        path = tmp_path / "link"
        path.symlink_to(fifo)
    with pytest.raises(UserError, match="not a regular file"):
        write_atomically(path, lambda file: pytest.fail("was written"))
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no UNIX sockets")
def test_a_socket_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(UserError, match="socket is not a regular file"):
            write_text(tmp_path / "socket", "text")
        assert stat.S_ISSOCK((tmp_path / "socket").stat().st_mode)


def test_a_link_that_leads_to_itself_is_not_replaced(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(link)
    with pytest.raises(UserError, match="not a regular file"):
        write_text(link, "text")
    assert link.is_symlink()


@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_stays_and_its_target_is_written(exists, tmp_path):
    target = tmp_path / "elsewhere" / "target"
    if exists:
        target.parent.mkdir()
        target.write_text("old")
    link = tmp_path / "link"
    link.symlink_to("elsewhere/target")
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"link", "elsewhere"}
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_text(tmp_path / "folder", "text")
    assert (tmp_path / "folder").is_dir()
    assert len(list(tmp_path.iterdir())) == 1


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in (".a.tmp", "deep/.b.tmp", "c.tmp", ".d"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {"deep", "c.tmp", ".d"}


def test_truncating_never_extends(tmp_path):
    path = tmp_path / "log"
    path.write_text("12345")
    truncate_file(path, 3)
    truncate_file(path, 9)
    truncate_file(tmp_path / "none", 3)
    assert path.read_text() == "123"
