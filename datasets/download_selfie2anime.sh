#!/usr/bin/env bash
# Unpacks and checks selfie2anime; it has no direct link, so the archive is passed by hand.
#   bash datasets/download_selfie2anime.sh --from FILE [--out datasets/selfie2anime]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"
run_python archive.py selfie2anime "$@"
