"""datasets/fluent.py: names, the split, the images, and damaged packages."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from helpers.archives import link, tar_up
from helpers.dataset_scripts import (
    SPLITS,
    assert_refused,
    load_script,
    pixels,
    run_script,
)
from PIL import Image

pytest.importorskip("resvg_py")

PACKAGE_3D = "lobehub-fluent-emoji-3d-1.1.0.tgz"
PACKAGE_FLAT = "iconify-json-fluent-emoji-flat-1.2.6.tgz"
#: Names as in the packages: zeros and U+FE0F differ, and skin tones are excluded.
NAMES_3D = ["0023-fe0f-20e3", "00a9-fe0f", *(f"1f6{i:02x}" for i in range(18))]
NAMES_FLAT = ["23-20e3", "a9", *NAMES_3D[2:]]
SKIN_TONES = ["1f44d-1f3fb", "1f44d-1f3ff"]
RED_HALF = '<path fill="#f00" d="M16 0h16v32H16z"/>'


def webp(color=(0, 0, 255, 255)) -> bytes:
    """A transparent square with a right half of ``color``."""
    image = Image.new("RGBA", (256, 256))
    image.paste(color, (128, 0, 256, 256))
    file = io.BytesIO()
    image.save(file, format="webp", lossless=True)
    return file.getvalue()


def write_packages(folder: Path, body: str = RED_HALF, image: bytes | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    image = image or webp()
    names = [*NAMES_3D, *SKIN_TONES, "1f9ff"]
    tar_up(
        folder / PACKAGE_3D,
        {
            **{f"package/assets/{name}.webp": image for name in names},
            "package/package.json": b'{"version": "1.1.0"}',
            "package/assets/../../../evil.webp": image,
            "package/assets/1f9aa.webp": link("package/assets/1f9aa.webp", "/etc/passwd"),
        },
    )
    names = [*NAMES_FLAT, *SKIN_TONES, "1f9aa"]
    icons = {"width": 32, "height": 32, "icons": {f"icon-{name}": {"body": body} for name in names}}
    tar_up(
        folder / PACKAGE_FLAT,
        {
            "package/icons.json": json.dumps(icons).encode(),
            "package/chars.json": json.dumps({name: f"icon-{name}" for name in names}).encode(),
            "package/package.json": b'{"version": "1.2.6"}',
        },
    )
    return folder


@pytest.fixture
def tgz(tmp_path) -> Path:
    return write_packages(tmp_path / "tgz")


def test_fluent_layout(tgz, tmp_path):
    done = run_script("download_fluent.sh", "--from", tgz, "--test", 6, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "datasets/fluent: 7/7/6/6 images, 64×64\n"
    out = tmp_path / "datasets/fluent"
    names = {split: {path.stem for path in (out / split).iterdir()} for split in SPLITS}
    assert names["testA"] == names["testB"]
    assert not names["trainA"] & names["trainB"]
    assert not (names["trainA"] | names["trainB"]) & names["testA"]
    assert names["trainA"] | names["trainB"] | names["testA"] == set(NAMES_FLAT)
    licenses = (out / "LICENSES.txt").read_text(encoding="utf-8")
    assert all(word in licenses for word in ("Microsoft", "MIT", "1.1.0", "1.2.6"))
    assert {path.name for path in tmp_path.iterdir()} == {"tgz", "datasets"}


def test_fluent_on_white_and_resized(tgz, tmp_path):
    out = tmp_path / "set"
    run_script("fluent.py", "--from", tgz, "--test", 6, "--size", 32, "--out", out, cwd=tmp_path)
    for split, color in (("trainA", [0, 0, 255]), ("trainB", [255, 0, 0])):
        image = pixels(next((out / split).iterdir()))
        assert image.shape == (32, 32, 3)
        assert image[16, 4].tolist() == [255, 255, 255]
        assert image[16, 28].tolist() == color


def test_code_points_are_compared_without_zeros_and_variation_selectors():
    normalize = load_script("fluent").normalize
    assert normalize("0023-fe0f-20e3") == normalize("23-20e3") == "23-20e3"
    assert normalize("1F468-200D-2764-FE0F") == "1f468-200d-2764"


def test_fluent_split_depends_only_on_the_names():
    module = load_script("emoji_packages")
    excluded = load_script("fluent").SKIN_TONE

    def split(names: list[str]) -> dict[str, list[str]]:
        package = module.Package("any", "1", frozenset(names), lambda name: None)
        return module.split_emoji({"A": package, "B": package}, excluded, 5)

    assert split(NAMES_FLAT) == split(NAMES_FLAT[::-1])


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((), ("--test 150", "20 emoji")),
        (("--out", "tgz"), ("--out tgz", "already contains files")),
        (("--from", "nowhere"), ("--from nowhere", "lobehub-fluent-emoji-3d")),
        (("--size", "3"), ("--size", "at least 16")),
    ],
)
def test_fluent_refuses(arguments, words, tgz, tmp_path):
    assert_refused(run_script("fluent.py", "--from", tgz, *arguments, cwd=tmp_path), *words)
    assert {path.name for path in tmp_path.iterdir()} == {"tgz"}


@pytest.mark.parametrize("package", [PACKAGE_3D, PACKAGE_FLAT])
@pytest.mark.parametrize("content", [b"no archive", None, "empty"])
def test_fluent_refuses_a_damaged_package(content, package, tgz, tmp_path):
    file = tgz / package
    if content == "empty":
        tar_up(file, {"package/README.md": b""})
    else:
        file.write_bytes(content or file.read_bytes()[:-600])
    refused = run_script("fluent.py", "--from", tgz, cwd=tmp_path)
    assert_refused(refused, package, "get it again")


@pytest.mark.parametrize("damage", [{"body": "<path"}, {"image": b"RIFF"}])
def test_fluent_refuses_a_damaged_image(damage, tmp_path):
    tgz = write_packages(tmp_path / "tgz", **damage)
    refused = run_script("fluent.py", "--from", tgz, "--test", 6, cwd=tmp_path)
    assert_refused(refused, "is damaged: get it again")
    assert {path.name for path in tmp_path.iterdir()} == {"tgz"}


def test_fluent_without_npm(tmp_path):
    refused = run_script("fluent.py", cwd=tmp_path, PATH=str(tmp_path))
    assert_refused(refused, "npm is not installed", "--from")


def test_fluent_when_npm_fails(tmp_path):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho ERR >&2\nexit 1\n")
    npm.chmod(0o755)
    done = run_script("fluent.py", cwd=tmp_path, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: npm could not download")
    assert "--from" in done.stderr and "ERR" not in done.stderr
