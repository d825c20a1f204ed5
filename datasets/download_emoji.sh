#!/usr/bin/env bash
# Makes an emoji set: Google's drawings (A), Twitter's (B).
#   bash datasets/download_emoji.sh [--size 64] [--out datasets/emoji] [--from DIR]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"
run_python emoji.py "$@"
