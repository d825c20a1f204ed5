"""Build the wheel of visdom 0.2.4, which is published as source only (PEP 517 build backend).

Its ``setup.py`` imports ``pkg_resources``, which setuptools 82 removed. A requirements file cannot
ask for an older setuptools at build time; the ``pyproject.toml`` beside this file can.
"""

import os
import subprocess
import sys
from pathlib import Path


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Write the wheel to ``wheel_directory`` and return its file name."""
    # The settings of this hook must not reach the hooks of the nested pip.
    env = {k: v for k, v in os.environ.items() if not k.startswith("_PYPROJECT_HOOKS_")}
    pip_wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip_wheel, "-w", wheel_directory, "visdom==0.2.4"], env=env, check=True)

    return next(Path(wheel_directory).glob("visdom-*.whl")).name
