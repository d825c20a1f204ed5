#!/usr/bin/env bash
# Unpack and check selfie2anime; it has no direct link, so pass a downloaded archive.
#   bash datasets/download_selfie2anime.sh --from FILE [--out datasets/selfie2anime]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"
run_python archive.py selfie2anime "$@"
