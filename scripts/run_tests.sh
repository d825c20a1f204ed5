#!/usr/bin/env bash
# Set up, lint, check types and run the tests. Arguments are passed to pytest:
#   scripts/run_tests.sh tests/test_gpu.py -k memory
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh dev
bin="${VENV:-.venv}/bin"

"$bin/python" -m ruff check .
"$bin/python" -m ruff format --check .
"$bin/python" -m mypy
"$bin/lint-imports" --no-logo
exec "$bin/python" -m pytest "$@"
