#!/usr/bin/env bash
# Test and measure on a GPU, without a network and without installing this project:
#   scripts/benchmark_gpu.sh [PART [PEER]]
# PART is tests, stages, stages8, train, train8, test or processes; all of them by default. Each
# takes less than ten minutes. PEER is another checkout to time beside this one.
# Needs torch, torchvision, numpy, Pillow and tqdm; `tests` also pytest and hypothesis, `test` also
# dominate. Each part writes its report to benchmarks/, and to the folder $OUT if it is set.
set -uo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
python="${PYTHON:-python3}"
peer=()
[ $# -gt 1 ] && peer=(--peer "$2")

run_part() {
    case "$1" in
        tests)
            "$python" -m pytest -q tests/test_gpu.py 2>&1 | tail -n 40 | tee ${OUT:+"$OUT/test_gpu.txt"} ;;
        stages)
            "$python" scripts/stages_gpu.py --size 256 --batch 1 --label gpu_stages ;;
        stages8)
            "$python" scripts/stages_gpu.py --size 256 --batch 8 --label gpu_stages_batch8 ;;
        train)
            "$python" scripts/benchmark.py train --size 256 --images 400 --warm_up 100 --pairs 3 \
                --label gpu_batch1 ${peer[@]+"${peer[@]}"} ;;
        train8)
            "$python" scripts/benchmark.py train --size 256 --images 1600 --warm_up 400 --pairs 2 \
                --label gpu_batch8 -- --batch_size 8 ;;
        test)
            "$python" scripts/benchmark.py test --size 256 --images 200 --pairs 2 \
                --label gpu_test ${peer[@]+"${peer[@]}"} ;;
        processes)  # the cost of NCCL in a single process
            "$python" scripts/benchmark_processes.py --size 256 --processes 1 --steps 60 \
                --label processes_gpu -- --capture off ;;
        *)
            echo "error: $1: no such part; choose tests, stages, stages8, train, train8, test or processes" >&2
            exit 2 ;;
    esac
}

if [ $# -gt 0 ] && [ "$1" != all ]; then
    run_part "$1"
else
    for part in tests stages stages8 train train8 test processes; do
        run_part "$part" || echo "failed: $part"
    done
fi
