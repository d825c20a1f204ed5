#!/usr/bin/env bash
# Create a dataset of Microsoft's Fluent emoji: 3D renderings (A) and flat drawings (B).
#   bash datasets/download_fluent.sh [--size 64] [--out datasets/fluent] [--from DIR]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"
run_python fluent.py "$@"
