#!/usr/bin/env bash
# Lint and all tests, on a fresh machine too. Words after the command go to pytest, as in
#   scripts/run_tests.sh tests/test_data.py -k exif
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh dev
python="${VENV:-.venv}/bin/python"
"$python" -m ruff check .
"$python" -m ruff format --check .
exec "$python" -m pytest "$@"
