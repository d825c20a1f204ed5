#!/usr/bin/env bash
# Everything the program needs, in .venv (or the folder named by VENV). Running it again is quick.
#   scripts/setup.sh          what training and testing need
#   scripts/setup.sh dev      what the tests need as well
set -euo pipefail
cd "$(dirname "$0")/.."
venv="${VENV:-.venv}"
wanted="requirements${1:+-$1}.txt"
stamp="$venv/.installed-$wanted"

python="${PYTHON:-python3}"
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    echo "error: Python 3.10 or newer is needed; name one with PYTHON=/path/to/python $0" >&2
    exit 2
fi
if [ ! -x "$venv/bin/python" ]; then
    echo "making the environment $venv"
    "$python" -m venv "$venv"
fi
# The stamp holds what was installed; pip is asked again only when a requirements file changed.
content="$(cat requirements*.txt scripts/visdom/*)"
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$content" ]; then
    echo "installing $wanted (torch is large: several GB, a few minutes)"
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet -r "$wanted"
    printf '%s\n' "$content" > "$stamp"
fi
# Not remembered: where npm was missing, or the network, it is tried again.
"$venv/bin/python" scripts/visdom_assets.py
