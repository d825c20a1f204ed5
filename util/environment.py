"""Imported first by the commands: explain an old Python or missing packages in one line."""

import sys

if sys.version_info < (3, 10):
    sys.stderr.write(
        "error: Python 3.10 or newer is needed, this is %d.%d\n" % sys.version_info[:2]
    )
    sys.exit(2)

from importlib.util import find_spec
from pathlib import Path

REQUIRED = ("torch", "torchvision", "numpy", "PIL", "filelock", "tqdm")  # modules


def find_problem() -> str | None:
    """Return what is missing and the remedy; None if all required packages can be imported."""
    missing = [module for module in REQUIRED if find_spec(module) is None]
    if missing:
        activate = Path(sys.argv[0]).resolve().parent / ".venv" / "bin" / "activate"
        is_inactive = activate.is_file() and sys.prefix == sys.base_prefix
        remedy = f"source {activate}" if is_inactive else "pip install -r requirements.txt"
        return f"{', '.join(missing)} not installed for {sys.executable}; {remedy}"

    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError) as error:  # "operator torchvision::nms does not exist"
        reason = str(error).splitlines()[0]
        remedy = "pip install --upgrade torch torchvision"
        return f"torchvision does not fit the installed torch ({reason}); {remedy}"
    return None


if problem := find_problem():
    sys.stderr.write(f"error: {problem}\n")
    sys.exit(2)
