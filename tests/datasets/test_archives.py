"""The datasets/ room: the mini set, the emoji set, archives and downloads. Offline and quick."""

from __future__ import annotations

import functools
import importlib.util
import io
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1] / "datasets"
SPLITS = ("trainA", "trainB", "testA", "testB")


@functools.cache
def script(name: str):
    """The module datasets/NAME.py as a script sees it, under a name that clashes with nothing."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))  # last: an installed package `emoji` stays what it is
    spec = importlib.util.spec_from_file_location(f"datasets_{name}", ROOT / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(name: str, *arguments, cwd: Path, **environment) -> subprocess.CompletedProcess:
    """Runs datasets/NAME, a Python or a shell script, as a user would."""
    runner = sys.executable if name.endswith(".py") else "bash"
    env = {**os.environ, "PYTHON": sys.executable, "no_proxy": "127.0.0.1", **environment}
    command = [runner, ROOT / name, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60)


def assert_refused(done: subprocess.CompletedProcess, *words: str) -> None:
    """One line on stderr that holds all `words`, exit status 2, nothing on stdout."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert all(word in lines[0] for word in words), lines[0]


def bytes_below(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path), dtype=float)


# --- the mini set -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mini(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("mini")
    done = call("make_mini.py", "--train", 4, "--test", 6, cwd=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("datasets/mini: 4/4/6/6 images in trainA/trainB/testA/testB, 64×64\n")
    assert done.stderr == ""  # a progress bar is for terminals
    return home / "datasets/mini"


def test_mini_layout_and_size(mini):
    names = sorted(bytes_below(mini))
    assert names == sorted(
        [f"{s}/{i:04d}.png" for s in SPLITS for i in range(4 if s.startswith("train") else 6)]
    )
    for path in mini.rglob("*.png"):
        with Image.open(path) as picture:
            assert (picture.size, picture.mode) == ((64, 64), "RGB")


def test_mini_is_the_same_every_time_and_replaces_itself(mini, tmp_path):
    out = tmp_path / "again"
    assert call("make_mini.py", "--out", out, "--train", 5, "--test", 1, cwd=tmp_path).stdout
    done = call("make_mini.py", "--out", out, "--train", 4, "--test", 6, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert bytes_below(out) == bytes_below(mini)
    assert list(tmp_path.iterdir()) == [out]


def test_mini_more_pictures_do_not_change_the_earlier_ones(mini, tmp_path):
    script("make_mini").draw_set(tmp_path, 64, {"train": 6, "test": 7}, seed=0)
    more = bytes_below(tmp_path)
    assert bytes_below(mini).items() < more.items()


def test_mini_another_seed_draws_other_faces():
    face_of = script("make_mini").face_of
    assert face_of("trainA", 0, seed=0) != face_of("trainA", 0, seed=1)


def test_mini_trains_are_unpaired_and_tests_are_paired():
    face_of = script("make_mini").face_of
    faces = {split: [face_of(split, i) for i in range(50)] for split in SPLITS}
    assert faces["testA"] == faces["testB"]
    everyone = faces["trainA"] + faces["trainB"] + faces["testA"]
    assert len(set(everyone)) == 150


def test_mini_gap_between_the_domains(mini):
    """Style makes a clear difference, and a counterpart is still nearer than another face."""
    a, b = (np.stack([pixels(mini / s / f"{i:04d}.png") for i in range(6)]) for s in SPLITS[2:])
    counterparts, strangers = np.abs(a - b).mean(), np.abs(np.roll(a, 1, axis=0) - b).mean()
    assert 25 < counterparts < 50 < strangers


def test_mini_in_pairs_has_the_same_face_twice(mini, tmp_path):
    words = ["--layout", "aligned", "--train", 2, "--test", 3]
    done = call("make_mini.py", "--out", "out", *words, cwd=tmp_path)
    assert done.stdout == "out: 2/3 images in train/test, 128×64\n"
    assert sorted(bytes_below(tmp_path / "out")) == [
        *(f"test/000{i}.png" for i in range(3)), *(f"train/000{i}.png" for i in range(2))
    ]  # fmt: skip
    for i in range(3):
        sides = [pixels(mini / split / f"000{i}.png") for split in ("testA", "testB")]
        assert np.array_equal(pixels(tmp_path / f"out/test/000{i}.png"), np.hstack(sides))


def test_mini_for_colorization_has_photos_and_replaces_other_layouts(mini, tmp_path):
    shutil.copytree(mini, tmp_path / "out")
    words = ["--out", "out", "--layout", "colorization", "--train", 2, "--test", 1]
    done = call("make_mini.py", *words, cwd=tmp_path)
    assert done.stdout == "out: 2/1 images in train/test, 64×64\n"
    drawn, photo = bytes_below(tmp_path / "out"), bytes_below(mini)["testA/0000.png"]
    assert sorted(drawn) == ["test/0000.png", "train/0000.png", "train/0001.png"]
    assert drawn["test/0000.png"] == photo


def test_mini_at_another_size_shows_the_same_face(mini):
    big = script("mini_styles").anime(script("make_mini").face_of("testB", 0), 256)
    small = np.asarray(big.reduce(4), dtype=float)
    assert np.abs(small - pixels(mini / "testB/0000.png")).mean() < 4


@pytest.mark.parametrize("cut", ["short", "bob", "long", "bun", "twin tails", "spiky"])
def test_mini_draws_every_cut_at_the_smallest_size(cut):
    face = replace(script("make_mini").face_of("trainA", 0), cut=cut)
    for style in (script("mini_styles").photo, script("mini_styles").anime):
        assert np.asarray(style(face, 16)).std() > 20


@pytest.mark.parametrize("flag, value", [("--size", 15), ("--train", 0), ("--test", "x")])
def test_mini_refuses_bad_numbers(flag, value, tmp_path):
    assert_refused(call("make_mini.py", flag, value, cwd=tmp_path), flag, str(value))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("foreign", ["notes.txt", "trainA/0000.png", "valA/0000.png"])
def test_mini_refuses_a_folder_of_others(foreign, tmp_path):
    path = tmp_path / "mine" / foreign
    path.parent.mkdir(parents=True)
    Image.new("RGB", (16, 16)).save(path, format="png")
    before = bytes_below(tmp_path)
    refused = call("make_mini.py", "--out", "mine", cwd=tmp_path)
    assert_refused(refused, "--out mine", "pass another --out")
    assert bytes_below(tmp_path) == before


def test_mini_killed_leaves_nothing(tmp_path):
    command = [sys.executable, ROOT / "make_mini.py", "--out", tmp_path / "out", "--train", "9999"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        wait_for(lambda: list(tmp_path.rglob("0003.png")))
        running.send_signal(signal.SIGTERM)
    assert running.returncode == 143
    assert not any(tmp_path.iterdir())


def wait_for(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


# --- the emoji set ----------------------------------------------------------------------------

RED = (255, 0, 0, 255)


def png(colour=RED, size=64, hole=True) -> bytes:
    """A square of `colour`, with a clear left half if `hole`."""
    picture = Image.new("RGBA", (size, size), colour)
    if hole:
        picture.paste((0, 0, 0, 0), (0, 0, size // 2, size))
    file = io.BytesIO()
    picture.save(file, format="png")
    return file.getvalue()


def tar_up(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    """Writes a tar; a value that is a TarInfo is added as it is (for links)."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def zip_up(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def link(name: str, target: str, kind=tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def emoji_package(folder: Path, vendor: str, names, **extra) -> Path:
    members = {f"package/img/{vendor}/64/{name}.png": png() for name in names}
    members["package/package.json"] = b'{"version": "1.2.3"}'
    return tar_up(folder / f"emoji-datasource-{vendor}-1.2.3.tgz", {**members, **extra})


PLAIN = [f"1f6{i:02x}" for i in range(20)]
LEFT_OUT = ["1f1e6-1f1e8", "1f44d-1f3fb", "1f469-200d-1f680", "1f3f4-e0067-e007f"]


@pytest.fixture
def tgz(tmp_path) -> Path:
    folder = tmp_path / "tgz"
    folder.mkdir()
    evil = {
        "package/img/google/64/../../../../../evil.png": png(),
        "/evil.png": png(),
        "package/img/google/64/1f9aa.png": link("package/img/google/64/1f9aa.png", "/etc/passwd"),
    }
    emoji_package(folder, "google", [*PLAIN, *LEFT_OUT, "1f9ff"], **evil)
    emoji_package(folder, "twitter", [*PLAIN, *LEFT_OUT, "1f9aa"])
    return folder


def test_emoji_layout(tgz, tmp_path):
    done = call("download_emoji.sh", "--from", tgz, "--test", 6, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "datasets/emoji: 7/7/6/6 images, 64×64\n"
    out = tmp_path / "datasets/emoji"
    names = {split: {path.stem for path in (out / split).iterdir()} for split in SPLITS}
    assert names["testA"] == names["testB"]
    assert not names["trainA"] & names["trainB"]
    assert not (names["trainA"] | names["trainB"]) & names["testA"]
    assert names["trainA"] | names["trainB"] | names["testA"] == set(PLAIN)
    text = (out / "LICENSES.txt").read_text(encoding="utf-8")
    assert all(word in text for word in ("Apache", "CC-BY 4.0", "1.2.3"))
    assert {path.name for path in tmp_path.iterdir()} == {"tgz", "datasets"}


def test_emoji_on_white_and_resized(tgz, tmp_path):
    out = tmp_path / "set"
    call("download_emoji.sh", "--from", tgz, "--test", 6, "--size", 32, "--out", out, cwd=tmp_path)
    picture = pixels(next((out / "trainA").iterdir()))
    assert picture.shape == (32, 32, 3)
    assert picture[16, 4].tolist() == [255, 255, 255]
    assert picture[16, 28].tolist() == [255, 0, 0]


def test_emoji_split_depends_on_the_names_alone():
    module = script("emoji")

    def chosen(names: list[str]) -> dict[str, list[str]]:
        package = module.Package("any", "1", dict.fromkeys(names, b""))
        return module.choose({"A": package, "B": package}, 5)

    assert chosen(PLAIN) == chosen(PLAIN[::-1])


@pytest.mark.parametrize("arguments, words", [
    ((), ("--test 100", "20 emoji")),
    (("--out", "tgz"), ("--out tgz", "already holds files")),
    (("--from", "nowhere"), ("--from nowhere", "emoji-datasource-google")),
])  # fmt: skip
def test_emoji_refuses(arguments, words, tgz, tmp_path):
    assert_refused(call("emoji.py", "--from", tgz, *arguments, cwd=tmp_path), *words)
    assert {path.name for path in tmp_path.iterdir()} == {"tgz"}


@pytest.mark.parametrize("content", [b"no archive", None])
def test_emoji_refuses_a_broken_package(content, tgz, tmp_path):
    package = tgz / "emoji-datasource-google-1.2.3.tgz"
    package.write_bytes(content or package.read_bytes()[:-600])
    refused = call("emoji.py", "--from", tgz, cwd=tmp_path)
    assert_refused(refused, package.name, "fetch it again")


def test_emoji_without_npm(tmp_path):
    refused = call("emoji.py", cwd=tmp_path, PATH=str(tmp_path))
    assert_refused(refused, "npm is not installed", "--from")


def test_emoji_when_npm_fails(tmp_path):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho ERR >&2\nexit 1\n")
    npm.chmod(0o755)
    done = call("emoji.py", cwd=tmp_path, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: npm could not fetch")
    assert "--from" in done.stderr and "ERR" not in done.stderr


# --- archives ---------------------------------------------------------------------------------


def pictures(top: str = "", counts=(2, 3, 1, 1), side: int = 8) -> dict[str, bytes]:
    """Members of an archive of a small set."""
    content = png(size=side)
    return {
        f"{top}{split}/{i}.png": content
        for split, number in zip(SPLITS, counts, strict=True)
        for i in range(number)
    }


def unpack(archive: Path, *arguments, **settings) -> subprocess.CompletedProcess:
    name = "download_selfie2anime.sh"
    where = archive.parent
    return call(name, "--from", archive, "--out", where / "out", *arguments, cwd=where, **settings)


@pytest.mark.parametrize("pack, name", [(zip_up, "set.zip"), (tar_up, "set.tar.gz")])
@pytest.mark.parametrize("top", ["", "selfie2anime/"])
def test_archive_is_unpacked_without_its_top_folder(pack, name, top, tmp_path):
    extra = {f"{top}README": b"hello", f"__MACOSX/{top}trainA/._0.png": b"litter"}
    done = unpack(pack(tmp_path / name, {**pictures(top), **extra}), "--any-count")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / 'out'}: 2/3/1/1 images, 8×8\n"
    assert bytes_below(tmp_path / "out") == {**pictures(), "README": b"hello"}
    assert {path.name for path in tmp_path.iterdir()} == {name, "out"}


def evil_zip_link(path: Path) -> Path:
    info = zipfile.ZipInfo("trainA/evil")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(zip_up(path, pictures()), "a") as archive:
        archive.writestr(info, "/etc/passwd")
    return path


@pytest.mark.parametrize("build", [
    lambda path: zip_up(path, {**pictures(), "../evil": b""}),
    lambda path: zip_up(path, {**pictures(), "trainA/../../evil": b""}),
    lambda path: zip_up(path, {**pictures(), "..\\evil": b""}),
    lambda path: zip_up(path, {**pictures(), "C:\\evil": b""}),
    lambda path: zip_up(path, {**pictures(), "/evil": b""}),
    evil_zip_link,
    lambda path: tar_up(path, {**pictures(), "../evil": b""}),
    lambda path: tar_up(path, {**pictures(), "/evil": b""}),
    lambda path: tar_up(path, {**pictures(), "x": link("trainA/evil", "../../..")}),
    lambda path: tar_up(path, {**pictures(), "x": link("evil", "/etc/passwd", tarfile.LNKTYPE)}),
    lambda path: tar_up(path, {**pictures(), "x": link("evil", "", tarfile.FIFOTYPE)}),
])  # fmt: skip
def test_archive_with_a_harmful_member_is_refused_whole(build, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    archive, known = build(home / "set.zip"), script("known_sets").find_set("facades")
    module = script("archive")
    with pytest.raises(Exception, match=r"evil.*nothing was unpacked") as refusal:
        module.make_set(archive, home / "out", known, strict=False)
    assert type(refusal.value).__name__ == "UselessArchiveError"
    assert bytes_below(tmp_path).keys() == {"home/set.zip"}


@pytest.mark.parametrize("members, arguments, words", [
    (pictures(), [], ["3400/3400/100/100", "2/3/1/1", "--any-count"]),
    (pictures(counts=(2, 2, 1, 0)), ["--any-count"], ["no pictures in testB"]),
    ({**pictures(), "trainB/x.png": b"text"}, ["--any-count"], ["trainB/x.png", "not a picture"]),
])  # fmt: skip
def test_archive_with_the_wrong_content(members, arguments, words, tmp_path):
    archive = zip_up(tmp_path / "set.zip", members)
    assert_refused(unpack(archive, *arguments), *words)
    assert list(tmp_path.iterdir()) == [archive]


def test_archive_with_pictures_of_another_size(tmp_path):
    module, known = script("archive"), script("known_sets").KnownSet("few", (1, 1, 1, 1), side=16)
    members = {**pictures(counts=(1, 1, 1, 1), side=16), "testB/0.png": png(size=8)}
    archive = zip_up(tmp_path / "set.zip", members)
    with pytest.raises(Exception, match=r"testB/0.png is 8×8, not 16×16.*--any-count"):
        module.make_set(archive, tmp_path / "out", known, strict=True)
    assert list(tmp_path.iterdir()) == [archive]
    summary = module.make_set(archive, tmp_path / "out", known, strict=False)
    assert summary == "1/1/1/1 images, various sizes"


def test_archive_cut_short_or_none_at_all(tmp_path):
    whole = tar_up(tmp_path / "whole", {**pictures(), "noise": os.urandom(9000)}).read_bytes()
    (tmp_path / "whole").unlink()
    archive = tmp_path / "set.tar.gz"
    for content in (whole[: len(whole) // 2], b"<html>not here</html>", b""):
        archive.write_bytes(content)
        assert_refused(unpack(archive, "--any-count"), "set.tar.gz", "get it again")
    archive.unlink()
    assert_refused(unpack(archive), "--from", "no such file")
    assert not any(tmp_path.iterdir())


def test_archive_interrupted_leaves_nothing(tmp_path):
    archive = zip_up(tmp_path / "set.zip", pictures(counts=(4000, 1, 1, 1)))
    command = [sys.executable, ROOT / "archive.py", "maps", "--any-count", "--from", archive]
    with subprocess.Popen([*command, "--out", tmp_path / "out"]) as running:
        wait_for(lambda: list(tmp_path.rglob("1.png")))
        running.send_signal(signal.SIGTERM)
    assert running.returncode == 143
    assert list(tmp_path.iterdir()) == [archive]


def test_archive_never_touches_a_filled_folder(tmp_path):
    archive = zip_up(tmp_path / "set.zip", pictures())
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    assert_refused(unpack(archive, "--any-count"), "already holds files", "--out")
    assert bytes_below(tmp_path / "out") == {"mine.txt": b"mine"}


def test_names_of_sets(tmp_path):
    misspelt = call("download_cyclegan_dataset.sh", "horse2zebras", cwd=tmp_path)
    assert_refused(misspelt, "'horse2zebras'", "did you mean horse2zebra?")
    assert_refused(call("archive.py", "qqqq", cwd=tmp_path), "choose from", "vangogh2photo")
    assert_refused(call("archive.py", cwd=tmp_path), "NAME", "--help")
    by_hand = call("download_selfie2anime.sh", cwd=tmp_path)
    assert_refused(by_hand, "Google Drive", "arnaud58/selfie2anime", "--from FILE")
    assert not any(tmp_path.iterdir())


def test_shell_scripts_say_what_their_python_lacks(tmp_path):
    done = call("download_emoji.sh", cwd=tmp_path, PYTHON=shutil.which("false"))
    assert_refused(done, "lacks Pillow", "requirements.txt")


# --- downloads --------------------------------------------------------------------------------


class Server(BaseHTTPRequestHandler):
    """Serves /file; /plain ignores Range, /short breaks off halfway, all else is not there."""

    content, asked = b"", []  # the latter: the Range of every request

    def do_GET(self):
        start = self._start()
        self.asked.append(self.headers.get("Range"))
        if self.path not in ("/file", "/plain", "/short"):
            self.send_error(404)
        elif start and start >= len(self.content):
            self._head(416, 0, f"bytes */{len(self.content)}")
        else:
            body = self.content[start:]
            where = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
            self._head(206 if start else 200, len(body), where)
            self.wfile.write(body[: len(body) // 2] if self.path == "/short" else body)

    def _start(self) -> int:
        asked = self.headers.get("Range")
        return int(asked[len("bytes=") : -1]) if asked and self.path != "/plain" else 0

    def _head(self, status: int, length: int, where: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if status != 200:
            self.send_header("Content-Range", where)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The address of a server of a small set, and its class, which records what was asked."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    content = zip_up(tmp_path / "set.zip", pictures())
    handler = type("Served", (Server,), {"content": content.read_bytes(), "asked": []})
    content.unlink()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}", handler
        serving.shutdown()


def test_download_command_makes_the_set_and_removes_the_archive(server, tmp_path):
    url, _ = server
    arguments = ("maps", "--url", f"{url}/file", "--any-count")
    done = call("download_cyclegan_dataset.sh", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "datasets/maps: 2/3/1/1 images, 8×8\n"
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == ["maps"]


@pytest.mark.parametrize("path, half, ranges", [
    ("/file", 100, ["bytes=100-"]),  # goes on
    ("/plain", 100, ["bytes=100-"]),  # the server sends all of it again
    ("/file", None, [None]),
    ("/file", 0, [None]),
])  # fmt: skip
def test_download_goes_on_from_a_half_file(path, half, ranges, server, tmp_path):
    url, handler = server
    target = tmp_path / "set.zip"
    if half is not None:
        (tmp_path / "set.zip.part").write_bytes(handler.content[:half])
    script("download").fetch(url + path, target)
    assert target.read_bytes() == handler.content
    assert handler.asked == ranges
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("extra, requests", [(0, 1), (7, 2)])
def test_download_with_nothing_left_to_ask_for(extra, requests, server, tmp_path):
    """A half file that is complete is taken, one that is too long is fetched anew."""
    url, handler = server
    (tmp_path / "set.zip.part").write_bytes(handler.content + b"x" * extra)
    script("download").fetch(f"{url}/file", tmp_path / "set.zip")
    assert (tmp_path / "set.zip").read_bytes() == handler.content
    assert len(handler.asked) == requests


def test_download_that_breaks_off_keeps_its_half(server, tmp_path):
    url, handler = server
    arguments = ("maps", "--out", "out", "--any-count", "--url")
    broken = call("archive.py", *arguments, f"{url}/short", cwd=tmp_path)
    assert_refused(broken, "stopped at", "run the same command again")
    half = (tmp_path / "out.download.part").read_bytes()
    assert half == handler.content[: len(half)] and half
    assert call("archive.py", *arguments, f"{url}/file", cwd=tmp_path).returncode == 0
    assert handler.asked == [None, f"bytes={len(half)}-"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_download_of_a_broken_archive_is_not_kept(server, tmp_path):
    url, handler = server
    handler.content = b"<html>come back later</html>"
    refused = call("archive.py", "maps", "--url", f"{url}/file", cwd=tmp_path)
    assert_refused(refused, "not a zip or tar archive", "get it again")
    assert bytes_below(tmp_path) == {}


def test_download_with_other_pictures_is_kept_for_any_count(server, tmp_path):
    url, handler = server
    arguments = ("maps", "--out", "out", "--url", f"{url}/file")
    assert_refused(call("archive.py", *arguments, cwd=tmp_path), "2/3/1/1", "--any-count")
    assert call("archive.py", *arguments, "--any-count", cwd=tmp_path).returncode == 0
    assert len(handler.asked) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_download_of_what_is_not_there(server, tmp_path):
    url, _ = server
    refused = call("archive.py", "maps", "--url", f"{url}/gone", cwd=tmp_path)
    assert_refused(refused, f"{url}/gone", "404", "--from FILE")
    assert_refused(call("archive.py", "maps", "--url", "file:///x", cwd=tmp_path), "--url")
    assert bytes_below(tmp_path) == {}


def test_download_tries_the_next_address(server, tmp_path, capsys):
    url, handler = server
    dead = url.replace("http://", "https://")  # no TLS there
    script("download").fetch_any((f"{dead}/file", f"{url}/file"), tmp_path / "set.zip")
    assert (tmp_path / "set.zip").read_bytes() == handler.content
    assert "does not answer, trying" in capsys.readouterr().err
    with pytest.raises(Exception, match=r"check the network.*--from FILE"):
        script("download").fetch_any((f"{dead}/file",), tmp_path / "other.zip")


def test_known_addresses():
    known = script("known_sets")
    served = "efrosgans.eecs.berkeley.edu/cyclegan/datasets/maps.zip"
    assert known.find_set("maps").urls == (f"https://{served}", f"http://{served}")
    assert known.find_set("selfie2anime").urls == ()
    assert len(known.SETS) == 11
