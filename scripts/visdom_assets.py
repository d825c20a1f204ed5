"""Install the scripts and styles of visdom's page from npm.

    python scripts/visdom_assets.py

Run it with the Python that has visdom; it does nothing when the files are already there. Without
them the visdom server tries to download them when a training run starts it, and its page stays
blank on machines where it cannot.
"""

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from reporting.visdom.server import PACKAGES, missing_packages, static_dir

FALLBACK = "the first training run with a live view will try to download the files of visdom's page"


def main() -> None:
    """Download the npm packages with missing files and copy these files into visdom."""
    if importlib.util.find_spec("visdom") is None:
        sys.exit("error: visdom is not installed; pip install -r requirements.txt")
    missing = missing_packages()
    if not missing:
        return
    npm = shutil.which("npm")
    if npm is None:
        print(f"note: npm is not installed; {FALLBACK}")
        return

    with tempfile.TemporaryDirectory() as scratch:
        command = [npm, "pack", "--silent", "--ignore-scripts", *missing]
        if subprocess.run(command, cwd=scratch, stdout=subprocess.DEVNULL).returncode:
            print(f"note: npm could not download {', '.join(missing)}; {FALLBACK}")
            return
        for package in missing:
            archive = Path(scratch) / f"{package.replace('@', '-')}.tgz"
            extract(archive, static_dir(), PACKAGES[package])


def extract(archive: Path, folder: Path, files: dict[str, str]) -> None:
    """Copy ``files`` (path in the package -> path in ``folder``) and nothing else."""
    with tarfile.open(archive) as tar:
        for source, target in files.items():
            content = tar.extractfile(f"package/{source}")
            path = folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())


if __name__ == "__main__":
    main()
