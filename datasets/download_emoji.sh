#!/usr/bin/env bash
# Create a dataset of emoji in the designs of Google (A) and of Twitter (B).
#   bash datasets/download_emoji.sh [--size 64] [--out datasets/emoji] [--from DIR]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"
run_python emoji.py "$@"
