"""Put the scripts and styles of visdom's page in place, from npm.

    python scripts/visdom_assets.py

visdom 0.2.4 fetches them from other hosts when its server starts, and its page stays empty where it
cannot. These are the ones that its page needs for pictures, curves and text. Run with the Python
that has visdom; nothing happens when they are there already.
"""

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

#: npm package → file in the package → file in visdom's static folder
PACKAGES = {
    "jquery@3.1.1": {"dist/jquery.min.js": "js/jquery.min.js"},
    "bootstrap@3.3.7": {
        "dist/js/bootstrap.min.js": "js/bootstrap.min.js",
        "dist/css/bootstrap.min.css": "css/bootstrap.min.css",
        "dist/fonts/glyphicons-halflings-regular.woff2": (
            "fonts/glyphicons-halflings-regular.woff2"
        ),
    },
    "plotly.js-dist-min@2.11.1": {"plotly.min.js": "js/plotly-plotly.min.js"},
    "layout-bin-packer@1.4.0": {"dist/layout-bin-packer.js": "js/layout_bin_packer.js"},
    "react-resizable@1.4.6": {"css/styles.css": "css/react-resizable-styles.css"},
    "react-grid-layout@0.16.3": {"css/styles.css": "css/react-grid-layout-styles.css"},
}


def main() -> None:
    static = static_folder()
    missing = [
        package
        for package, files in PACKAGES.items()
        if not all((static / target).is_file() for target in files.values())
    ]
    if not missing:
        return
    npm = shutil.which("npm")
    if npm is None:
        print("note: npm is not here, so visdom's page will need the internet")
        return
    with tempfile.TemporaryDirectory() as scratch:
        command = [npm, "pack", "--silent", "--ignore-scripts", *missing]
        if subprocess.run(command, cwd=scratch, stdout=subprocess.DEVNULL).returncode:
            print("note: npm could not fetch the files of visdom's page; it will need the internet")
            return
        for package in missing:
            unpack(Path(scratch) / f"{package.replace('@', '-')}.tgz", static, PACKAGES[package])


def static_folder() -> Path:
    """Where visdom keeps what its page loads."""
    found = importlib.util.find_spec("visdom")
    if found is None or found.origin is None:
        sys.exit("error: visdom is not installed here; pip install -r requirements.txt")
    return Path(found.origin).parent / "static"


def unpack(archive: Path, static: Path, files: dict[str, str]) -> None:
    """Copy the wanted files and no others; the archive has no say in where they go."""
    with tarfile.open(archive) as tar:
        for source, target in files.items():
            content = tar.extractfile(f"package/{source}")
            path = static / target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())


if __name__ == "__main__":
    main()
