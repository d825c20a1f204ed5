#!/usr/bin/env bash
# Fetches, unpacks and checks one of the sets of the CycleGAN paper; --help lists their names.
#   bash datasets/download_cyclegan_dataset.sh NAME [--from FILE] [--out datasets/NAME]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"
run_python archive.py "$@"
