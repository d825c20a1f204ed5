"""Build the published visdom with a setuptools that still has pkg_resources (PEP 517 backend)."""

import os
import subprocess
import sys
from pathlib import Path

REQUIREMENT = "visdom==0.2.4"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Put visdom's wheel into ``wheel_directory`` and return its file name, as PEP 517 asks."""
    # Left in place, these variables make the nested pip look for its backend in this folder.
    env = {
        k: v for k, v in os.environ.items() if not k.startswith(("_PYPROJECT_HOOKS_", "PEP517_"))
    }
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", wheel_directory, REQUIREMENT], env=env, check=True)
    return next(Path(wheel_directory).glob("visdom-*.whl")).name
