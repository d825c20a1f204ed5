"""A wrong Python or missing packages end a command in one line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from helpers.commands import ROOT


def run_script(script: str, prologue: str, env: dict | None = None):
    run = f"runpy.run_path('{script}', run_name='__main__')"
    code = f"import runpy, sys; {prologue}; sys.argv = ['{script}']; {run}"
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("script", ["train.py", "test.py"])
def test_missing_package_is_named(script):
    done = run_script(script, "sys.modules['PIL'] = sys.modules['tqdm'] = None")
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: PIL, tqdm not installed for ")
    assert line.endswith("pip install -r requirements.txt")


def test_old_python_is_refused():
    done = run_script("train.py", "sys.version_info = (3, 8, 10)")
    assert done.returncode == 2
    assert done.stderr == "error: Python 3.10 or newer is needed, this is 3.8\n"


def test_torchvision_of_another_torch_is_explained(tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    done = run_script("train.py", "pass", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "operator torchvision::nms does not exist" in line
    assert line.endswith("pip install --upgrade torch torchvision")
