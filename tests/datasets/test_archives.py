"""datasets/archive.py and unpack.py: what is unpacked, what is refused."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from helpers.archives import dataset_members, link, png, tar_up, zip_up
from helpers.dataset_scripts import (
    SCRIPTS,
    assert_refused,
    bytes_below,
    load_script,
    run_script,
    wait_for,
)


def create_dataset(archive: Path, *arguments, **settings) -> subprocess.CompletedProcess:
    name = "download_selfie2anime.sh"
    where = archive.parent
    return run_script(
        name, "--from", archive, "--out", where / "out", *arguments, cwd=where, **settings
    )


@pytest.mark.parametrize("pack, name", [(zip_up, "set.zip"), (tar_up, "set.tar.gz")])
@pytest.mark.parametrize("top", ["", "selfie2anime/"])
def test_archive_is_unpacked_without_its_top_folder(pack, name, top, tmp_path):
    extra = {f"{top}README": b"hello", f"__MACOSX/{top}trainA/._0.png": b"system file"}
    done = create_dataset(pack(tmp_path / name, {**dataset_members(top), **extra}), "--any-count")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / 'out'}: 2/3/1/1 images, 8×8\n"
    assert bytes_below(tmp_path / "out") == {**dataset_members(), "README": b"hello"}
    assert {path.name for path in tmp_path.iterdir()} == {name, "out"}


def test_archive_with_backslashes_is_unpacked(tmp_path):
    """As some Windows programs write them."""
    members = {name.replace("/", "\\"): data for name, data in dataset_members("top/").items()}
    done = create_dataset(zip_up(tmp_path / "set.zip", members), "--any-count")
    assert done.returncode == 0, done.stderr
    assert bytes_below(tmp_path / "out") == dataset_members()


HARD_LINK = link("evil", "/etc/passwd", tarfile.LNKTYPE)


def evil_zip_link(path: Path) -> Path:
    info = zipfile.ZipInfo("trainA/evil")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(zip_up(path, dataset_members()), "a") as archive:
        archive.writestr(info, "/etc/passwd")
    return path


@pytest.mark.parametrize(
    "build",
    [
        lambda path: zip_up(path, {**dataset_members(), "../evil": b""}),
        lambda path: zip_up(path, {**dataset_members(), "trainA/../../evil": b""}),
        lambda path: zip_up(path, {**dataset_members(), "..\\evil": b""}),
        lambda path: zip_up(path, {**dataset_members(), "C:\\evil": b""}),
        lambda path: zip_up(path, {**dataset_members(), "/evil": b""}),
        evil_zip_link,
        lambda path: tar_up(path, {**dataset_members(), "../evil": b""}),
        lambda path: tar_up(path, {**dataset_members(), "/evil": b""}),
        lambda path: tar_up(path, {**dataset_members(), "x": link("trainA/evil", "../../..")}),
        lambda path: tar_up(path, {**dataset_members(), "x": HARD_LINK}),
        lambda path: tar_up(path, {**dataset_members(), "x": link("trainA/evil", "0.png")}),
        lambda path: tar_up(path, {**dataset_members(), "x": link("evil", "", tarfile.FIFOTYPE)}),
    ],
)
def test_archive_with_an_unsafe_member_is_not_unpacked_at_all(build, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    archive = build(home / "set.zip")
    known = load_script("known_datasets").find_dataset("facades")
    module = load_script("archive")
    with pytest.raises(Exception, match=r"evil.*nothing was unpacked") as refusal:
        module.make_dataset(archive, home / "out", known, strict=False)
    assert type(refusal.value).__name__ == "UnusableArchiveError"
    assert bytes_below(tmp_path).keys() == {"home/set.zip"}


@pytest.mark.parametrize(
    "members, arguments, words",
    [
        (dataset_members(), [], ["3400/3400/100/100", "2/3/1/1", "--any-count"]),
        (dataset_members(counts=(2, 2, 1, 0)), ["--any-count"], ["no images in testB"]),
        (
            {**dataset_members(), "trainB/x.png": b"text"},
            ["--any-count"],
            ["trainB/x.png", "not a readable image"],
        ),
    ],
)
def test_archive_with_the_wrong_content(members, arguments, words, tmp_path):
    archive = zip_up(tmp_path / "set.zip", members)
    assert_refused(create_dataset(archive, *arguments), *words)
    assert list(tmp_path.iterdir()) == [archive]


def test_archive_with_images_of_another_size(tmp_path):
    module = load_script("archive")
    known = load_script("known_datasets").KnownDataset("few", (1, 1, 1, 1), side=16)
    members = {**dataset_members(counts=(1, 1, 1, 1), side=16), "testB/0.png": png(size=8)}
    archive = zip_up(tmp_path / "set.zip", members)
    with pytest.raises(Exception, match=r"testB/0.png is 8×8, not 16×16.*--any-count"):
        module.make_dataset(archive, tmp_path / "out", known, strict=True)
    assert list(tmp_path.iterdir()) == [archive]
    summary = module.make_dataset(archive, tmp_path / "out", known, strict=False)
    assert summary == "1/1/1/1 images, various sizes"


def test_archive_truncated_or_no_archive(tmp_path):
    members = {**dataset_members(), "noise": os.urandom(9000)}
    whole = tar_up(tmp_path / "whole", members).read_bytes()
    (tmp_path / "whole").unlink()
    archive = tmp_path / "set.tar.gz"
    for content in (whole[: len(whole) // 2], b"<html>not here</html>", b""):
        archive.write_bytes(content)
        assert_refused(create_dataset(archive, "--any-count"), "set.tar.gz", "get it again")
    archive.unlink()
    assert_refused(create_dataset(archive), "--from", "no such file")
    assert not any(tmp_path.iterdir())


def test_refused_archive_leaves_no_parent_folder(tmp_path):
    archive = zip_up(tmp_path / "set.zip", dataset_members(counts=(1, 0, 1, 1)))
    assert_refused(run_script("archive.py", "maps", "--from", archive, cwd=tmp_path), "trainB")
    assert_refused(run_script("archive.py", "maps", "--from", "none", cwd=tmp_path), "none")
    assert list(tmp_path.iterdir()) == [archive]


def test_archive_stopped_leaves_no_files(tmp_path):
    archive = zip_up(tmp_path / "set.zip", dataset_members(counts=(4000, 1, 1, 1)))
    command = [sys.executable, SCRIPTS / "archive.py", "maps", "--any-count", "--from", archive]
    with subprocess.Popen([*command, "--out", tmp_path / "out"]) as running:
        wait_for(lambda: list(tmp_path.rglob("1.png")))
        running.send_signal(signal.SIGTERM)
    assert running.returncode == 143
    assert list(tmp_path.iterdir()) == [archive]


def test_archive_refuses_a_folder_with_files(tmp_path):
    archive = zip_up(tmp_path / "set.zip", dataset_members())
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    assert_refused(create_dataset(archive, "--any-count"), "already contains files", "--out")
    assert bytes_below(tmp_path / "out") == {"mine.txt": b"mine"}


def test_dataset_names(tmp_path):
    misspelled = run_script("download_cyclegan_dataset.sh", "horse2zebras", cwd=tmp_path)
    assert_refused(misspelled, "'horse2zebras'", "did you mean horse2zebra?")
    assert_refused(run_script("archive.py", "qqqq", cwd=tmp_path), "choose from", "vangogh2photo")
    assert_refused(run_script("archive.py", cwd=tmp_path), "NAME", "--help")
    manual = run_script("download_selfie2anime.sh", cwd=tmp_path)
    assert_refused(manual, "Google Drive", "arnaud58/selfie2anime", "--from FILE")
    assert not any(tmp_path.iterdir())


def test_shell_scripts_name_missing_packages(tmp_path):
    done = run_script("download_emoji.sh", cwd=tmp_path, PYTHON=shutil.which("false"))
    assert_refused(done, "lacks Pillow", "requirements.txt")
