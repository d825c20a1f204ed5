#!/usr/bin/env bash
# Download, unpack and check a dataset of the CycleGAN paper; --help lists the names.
#   bash datasets/download_cyclegan_dataset.sh NAME [--from FILE] [--out datasets/NAME]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"
run_python archive.py "$@"
