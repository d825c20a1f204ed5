#!/usr/bin/env bash
# Set up, lint, check types and run the tests, TEST_WORKERS (2) at a time. Arguments go to pytest:
#   scripts/run_tests.sh tests/test_gpu.py -k memory
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh dev
bin="${VENV:-.venv}/bin"

"$bin/python" -m ruff check .
"$bin/python" -m ruff format --check .
"$bin/python" -m mypy
"$bin/lint-imports" --no-logo
# Most tests compute in one thread: two at a time take half as long.
exec "$bin/python" -m pytest -n "${TEST_WORKERS:-2}" --dist worksteal "$@"
