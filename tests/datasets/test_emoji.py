"""datasets/emoji.py: the split, the images, and damaged packages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.archives import link, png, tar_up
from helpers.dataset_scripts import (
    SPLITS,
    assert_refused,
    load_script,
    pixels,
    run_script,
)


def emoji_package(folder: Path, vendor: str, names, **extra) -> Path:
    members = {f"package/img/{vendor}/64/{name}.png": png() for name in names}
    members["package/package.json"] = b'{"version": "1.2.3"}'
    return tar_up(folder / f"emoji-datasource-{vendor}-1.2.3.tgz", {**members, **extra})


NAMES = [f"1f6{i:02x}" for i in range(20)]
EXCLUDED = ["1f1e6-1f1e8", "1f44d-1f3fb", "1f469-200d-1f680", "1f3f4-e0067-e007f"]


@pytest.fixture
def tgz(tmp_path) -> Path:
    folder = tmp_path / "tgz"
    folder.mkdir()
    unsafe = {
        "package/img/google/64/../../../../../evil.png": png(),
        "/evil.png": png(),
        "package/img/google/64/1f9aa.png": link("package/img/google/64/1f9aa.png", "/etc/passwd"),
    }
    emoji_package(folder, "google", [*NAMES, *EXCLUDED, "1f9ff"], **unsafe)
    emoji_package(folder, "twitter", [*NAMES, *EXCLUDED, "1f9aa"])
    return folder


def test_emoji_layout(tgz, tmp_path):
    done = run_script("download_emoji.sh", "--from", tgz, "--test", 6, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "datasets/emoji: 7/7/6/6 images, 64×64\n"
    out = tmp_path / "datasets/emoji"
    names = {split: {path.stem for path in (out / split).iterdir()} for split in SPLITS}
    assert names["testA"] == names["testB"]
    assert not names["trainA"] & names["trainB"]
    assert not (names["trainA"] | names["trainB"]) & names["testA"]
    assert names["trainA"] | names["trainB"] | names["testA"] == set(NAMES)
    licenses = (out / "LICENSES.txt").read_text(encoding="utf-8")
    assert all(word in licenses for word in ("Apache", "CC-BY 4.0", "1.2.3"))
    assert {path.name for path in tmp_path.iterdir()} == {"tgz", "datasets"}


def test_emoji_on_white_and_resized(tgz, tmp_path):
    out = tmp_path / "set"
    run_script(
        "download_emoji.sh", "--from", tgz, "--test", 6, "--size", 32, "--out", out, cwd=tmp_path
    )
    image = pixels(next((out / "trainA").iterdir()))
    assert image.shape == (32, 32, 3)
    assert image[16, 4].tolist() == [255, 255, 255]
    assert image[16, 28].tolist() == [255, 0, 0]


def test_emoji_split_depends_only_on_the_names():
    module = load_script("emoji_packages")
    excluded = load_script("emoji").EXCLUDED

    def split(names: list[str]) -> dict[str, list[str]]:
        package = module.Package("any", "1", frozenset(names), lambda name: None)
        return module.split_emoji({"A": package, "B": package}, excluded, 5)

    assert split(NAMES) == split(NAMES[::-1])


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((), ("--test 100", "20 emoji")),
        (("--out", "tgz"), ("--out tgz", "already contains files")),
        (("--from", "nowhere"), ("--from nowhere", "emoji-datasource-google")),
    ],
)
def test_emoji_refuses(arguments, words, tgz, tmp_path):
    assert_refused(run_script("emoji.py", "--from", tgz, *arguments, cwd=tmp_path), *words)
    assert {path.name for path in tmp_path.iterdir()} == {"tgz"}


@pytest.mark.parametrize("content", [b"no archive", None])
def test_emoji_refuses_a_damaged_package(content, tgz, tmp_path):
    package = tgz / "emoji-datasource-google-1.2.3.tgz"
    package.write_bytes(content or package.read_bytes()[:-600])
    refused = run_script("emoji.py", "--from", tgz, cwd=tmp_path)
    assert_refused(refused, package.name, "get it again")


def test_emoji_without_npm(tmp_path):
    refused = run_script("emoji.py", cwd=tmp_path, PATH=str(tmp_path))
    assert_refused(refused, "npm is not installed", "--from")


def test_emoji_when_npm_fails(tmp_path):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho ERR >&2\nexit 1\n")
    npm.chmod(0o755)
    done = run_script("emoji.py", cwd=tmp_path, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: npm could not download")
    assert "--from" in done.stderr and "ERR" not in done.stderr
