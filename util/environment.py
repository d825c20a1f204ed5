"""Imported first by the commands: explain an unsuitable Python or missing packages in one line.

Only syntax of old Pythons and the standard library, up to the import of torchvision.
"""

import sys

if sys.version_info < (3, 10):
    sys.stderr.write(
        "error: Python 3.10 or newer is needed, this is %d.%d\n" % sys.version_info[:2]
    )
    sys.exit(2)

from importlib.util import find_spec
from pathlib import Path

from util.errors import exit_with

REQUIRED = {  # module → package
    "torch": "torch",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "PIL": "pillow",
    "filelock": "filelock",
    "tqdm": "tqdm",
}


def check_packages() -> None:
    """Print one line and exit with 2 if a required package is missing or does not load."""
    missing = [package for module, package in REQUIRED.items() if find_spec(module) is None]
    if missing:
        activate = Path(sys.argv[0]).resolve().parent / ".venv" / "bin" / "activate"
        remedy = (
            f"activate the environment first: source {activate}"
            if activate.is_file() and sys.prefix == sys.base_prefix
            else "pip install -r requirements.txt"
        )
        exit_with(f"{', '.join(missing)} not installed for {sys.executable}; {remedy}")

    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError) as error:  # "operator torchvision::nms does not exist"
        reason = str(error).splitlines()[0]
        exit_with(
            f"torchvision does not fit the installed torch ({reason}); "
            "pip install --upgrade torch torchvision"
        )


check_packages()
