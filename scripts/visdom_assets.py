"""Put the scripts and styles of visdom's page in place, from npm.

    python scripts/visdom_assets.py

Without them the server that a training starts tries to fetch them from other hosts, and its page
stays blank where it cannot. Run with the Python that has visdom; nothing happens when they are
there already.
"""

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from util.visdom_server import PACKAGES, page_lacks, static_folder  # noqa: E402

LATER = "the first training with a live view tries to fetch what visdom's page needs"


def main() -> None:
    if importlib.util.find_spec("visdom") is None:
        sys.exit("error: visdom is not installed here; pip install -r requirements.txt")
    missing, static = page_lacks(), static_folder()
    if not missing:
        return
    npm = shutil.which("npm")
    if npm is None:
        print(f"note: npm is not here; {LATER}")
        return
    with tempfile.TemporaryDirectory() as scratch:
        command = [npm, "pack", "--silent", "--ignore-scripts", *missing]
        if subprocess.run(command, cwd=scratch, stdout=subprocess.DEVNULL).returncode:
            print(f"note: npm could not fetch the files of visdom's page; {LATER}")
            return
        for package in missing:
            unpack(Path(scratch) / f"{package.replace('@', '-')}.tgz", static, PACKAGES[package])


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
