#!/usr/bin/env bash
# Everything there is to measure on a GPU, in at most ten minutes, without a network:
#   scripts/benchmark_gpu.sh [PEER]        PEER: another checkout to time beside this one
# Needs torch, torchvision, numpy, Pillow and tqdm. Reports go to $OUT, or to benchmarks/.
set -uo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
peer=()
[ $# -gt 0 ] && peer=(--peer "$1")

"$python" -m pytest -q tests/test_gpu.py 2>&1 | tail -n 30 || true   # correctness first
"$python" scripts/stages_gpu.py --size 256 --batch 1 8
"$python" scripts/benchmark.py train --size 256 --steps 200 --warm_up 60 --pairs 3 --label gpu_batch1 "${peer[@]}"
"$python" scripts/benchmark.py train --size 256 --steps 1600 --warm_up 320 --pairs 2 --label gpu_batch8 \
    -- --batch_size 8
"$python" scripts/benchmark.py test --size 256 --pictures 200 --pairs 2 --label gpu_test "${peer[@]}"
"$python" scripts/benchmark_processes.py --size 256 --processes 1 --steps 60 --label processes_gpu \
    -- --capture off                                                 # what joining over NCCL costs
if [ -n "${OUT:-}" ]; then cp benchmarks/*.json "$OUT"/; fi
