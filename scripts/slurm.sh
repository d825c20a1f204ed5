#!/usr/bin/env bash
# Train on several machines of a Slurm cluster; all arguments are passed to train.py:
#   sbatch scripts/slurm.sh --dataroot ./datasets/selfie2anime --name selfie2anime
# Adapt the numbers below to the cluster, or override them: sbatch --nodes=4 scripts/slurm.sh ...
#SBATCH --job-name=cyclegan
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --output=%x-%j.log
# Two minutes before the time limit Slurm sends SIGTERM: the run saves its state and ends. When the
# job is requeued, train.py recognizes the job id and resumes.
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}"
torchrun="${TORCHRUN:-${VENV:-.venv}/bin/torchrun}"

main_node="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"
exec srun "$torchrun" \
    --nnodes="$SLURM_JOB_NUM_NODES" --nproc_per_node="${SLURM_GPUS_ON_NODE:-1}" \
    --rdzv_backend=c10d --rdzv_id="$SLURM_JOB_ID" --rdzv_endpoint="$main_node:29500" \
    --max_restarts=3 train.py "$@"
