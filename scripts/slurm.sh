#!/usr/bin/env bash
# Training on several machines of a Slurm cluster; the words go to train.py:
#   sbatch scripts/slurm.sh --dataroot ./datasets/selfie2anime --name selfie2anime
# Fit the numbers below to the cluster, or give them to sbatch: sbatch --nodes=4 scripts/slurm.sh …
#SBATCH --job-name=cyclegan
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --output=%x-%j.log
# Two minutes before the time is over Slurm sends SIGTERM: the run saves and ends. When the job is
# put into the queue again it goes on from there: train.py knows it by its id.
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}"
torchrun="${TORCHRUN:-${VENV:-.venv}/bin/torchrun}"

first="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"
exec srun "$torchrun" \
    --nnodes="$SLURM_JOB_NUM_NODES" --nproc_per_node="${SLURM_GPUS_ON_NODE:-1}" \
    --rdzv_backend=c10d --rdzv_id="$SLURM_JOB_ID" --rdzv_endpoint="$first:29500" \
    --max_restarts=3 train.py "$@"
