"""datasets/download.py: resumed, repeated and failing downloads."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from helpers.archives import dataset_members, zip_up
from helpers.dataset_scripts import (
    assert_refused,
    bytes_below,
    load_script,
    run_script,
)


class Server(BaseHTTPRequestHandler):
    """Serve /file; /plain ignores Range, /short stops halfway, all other paths do not exist."""

    content = b""
    requested_ranges: ClassVar[list] = []  # the Range header of every request

    def do_GET(self):
        start = self._start()
        self.requested_ranges.append(self.headers.get("Range"))
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
    """The address of a server of a small dataset, and its class, which records the requests."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    content = zip_up(tmp_path / "set.zip", dataset_members())
    handler = type("Served", (Server,), {"content": content.read_bytes(), "requested_ranges": []})
    content.unlink()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}", handler
        serving.shutdown()


def test_download_command_creates_the_dataset_and_removes_the_archive(server, tmp_path):
    url, _ = server
    arguments = ("maps", "--url", f"{url}/file", "--any-count")
    done = run_script("download_cyclegan_dataset.sh", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "datasets/maps: 2/3/1/1 images, 8×8\n"
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == ["maps"]


@pytest.mark.parametrize(
    "path, size, ranges",
    [
        ("/file", 100, ["bytes=100-"]),  # resumes
        ("/plain", 100, ["bytes=100-"]),  # the server sends the whole file again
        ("/file", None, [None]),
        ("/file", 0, [None]),
    ],
)
def test_download_resumes_from_a_partial_file(path, size, ranges, server, tmp_path):
    url, handler = server
    target = tmp_path / "set.zip"
    if size is not None:
        (tmp_path / "set.zip.part").write_bytes(handler.content[:size])
    load_script("download").download(url + path, target)
    assert target.read_bytes() == handler.content
    assert handler.requested_ranges == ranges
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("extra, requests", [(0, 1), (7, 2)])
def test_download_with_a_complete_or_too_long_partial_file(extra, requests, server, tmp_path):
    """A complete file is used, one that is too long is downloaded again."""
    url, handler = server
    (tmp_path / "set.zip.part").write_bytes(handler.content + b"x" * extra)
    load_script("download").download(f"{url}/file", tmp_path / "set.zip")
    assert (tmp_path / "set.zip").read_bytes() == handler.content
    assert len(handler.requested_ranges) == requests


def test_download_that_stops_keeps_the_partial_file(server, tmp_path):
    url, handler = server
    arguments = ("maps", "--out", "out", "--any-count", "--url")
    stopped = run_script("archive.py", *arguments, f"{url}/short", cwd=tmp_path)
    assert_refused(stopped, "stopped at", "run the same command again")
    partial = (tmp_path / "out.download.part").read_bytes()
    assert partial == handler.content[: len(partial)] and partial
    assert run_script("archive.py", *arguments, f"{url}/file", cwd=tmp_path).returncode == 0
    assert handler.requested_ranges == [None, f"bytes={len(partial)}-"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_download_of_a_damaged_archive_is_not_kept(server, tmp_path):
    url, handler = server
    handler.content = b"<html>come back later</html>"
    refused = run_script("archive.py", "maps", "--url", f"{url}/file", cwd=tmp_path)
    assert_refused(refused, "not a zip or tar archive", "get it again")
    assert bytes_below(tmp_path) == {}


def test_download_with_other_images_is_kept_for_any_count(server, tmp_path):
    url, handler = server
    arguments = ("maps", "--out", "out", "--url", f"{url}/file")
    assert_refused(run_script("archive.py", *arguments, cwd=tmp_path), "2/3/1/1", "--any-count")
    assert run_script("archive.py", *arguments, "--any-count", cwd=tmp_path).returncode == 0
    assert len(handler.requested_ranges) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_download_of_a_missing_file(server, tmp_path):
    url, _ = server
    refused = run_script("archive.py", "maps", "--url", f"{url}/gone", cwd=tmp_path)
    assert_refused(refused, f"{url}/gone", "404", "--from FILE")
    assert_refused(run_script("archive.py", "maps", "--url", "file:///x", cwd=tmp_path), "--url")
    assert bytes_below(tmp_path) == {}


def test_download_tries_the_next_address(server, tmp_path, capsys):
    url, handler = server
    dead = url.replace("http://", "https://")  # no TLS there
    load_script("download").download_any((f"{dead}/file", f"{url}/file"), tmp_path / "set.zip")
    assert (tmp_path / "set.zip").read_bytes() == handler.content
    assert "does not respond, trying" in capsys.readouterr().err
    with pytest.raises(Exception, match=r"check the network.*--from FILE"):
        load_script("download").download_any((f"{dead}/file",), tmp_path / "other.zip")


def test_known_addresses():
    module = load_script("known_datasets")
    address = "efrosgans.eecs.berkeley.edu/cyclegan/datasets/maps.zip"
    assert module.find_dataset("maps").urls == (f"https://{address}", f"http://{address}")
    assert module.find_dataset("selfie2anime").urls == ()
    assert len(module.DATASETS) == 11
