#!/bin/bash
# A campaign on Slurm: an array of eight shards. `SEED=20261129 sbatch slurm.sh` from a folder that all nodes share, with both programs in the PATH.
# A task that is requeued resumes where its ledger ends. When all have ended:
#
#   harness merge campaign/shard-* --out night
#SBATCH --job-name=campaign
#SBATCH --array=1-8
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=03:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=campaign-%a.log
set -eu
shards=${SLURM_ARRAY_TASK_COUNT:-8}
# Slurm ends a task with SIGTERM, which ends the campaign in order.
exec harness campaign "${CAMPAIGN:-workloads/nightly.toml}" --seed "${SEED:-1}" \
    --shard "$SLURM_ARRAY_TASK_ID/$shards" --resume "campaign/shard-$SLURM_ARRAY_TASK_ID" --budget "${BUDGET:-2h}" \
    --keep "${KEEP:-10GiB}" --jobs "${SLURM_CPUS_PER_TASK:-4}"
