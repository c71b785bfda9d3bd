"""A study as the parts of an array of jobs, for whoever has a scheduler: printed, not submitted.

Each job runs one shard on one machine. The folder of the study must be in a bucket, or on a disk
that all see.
"""

import json
import re
import shlex
from collections.abc import Sequence


def slurm(words: Sequence[str], shards: int, name: str) -> str:
  """Returns a script for sbatch: an array in which each task is a shard.

  Args:
    words: of the command after `contrastive_jax`, --shard left out.
    shards: how many.
    name: of the job.
  """
  command = f"{_shell(words)} --shard=$SLURM_ARRAY_TASK_ID/{shards}"
  return f"""#!/bin/bash
#SBATCH --job-name={_word(name)}
#SBATCH --array=0-{shards - 1}
#SBATCH --ntasks=1
#SBATCH --requeue
#SBATCH --signal=TERM@300
# Add what your cluster wants: --partition, --time, --gpus, --cpus-per-task, --mem, and the
# environment in which contrastive_jax is installed.
srun {command}
code=$?
# 75: it was told to leave and has saved. It goes on when it is started again.
[ $code -eq 75 ] && scontrol requeue "$SLURM_ARRAY_JOB_ID"_"$SLURM_ARRAY_TASK_ID"
exit $code
"""


def jobset(words: Sequence[str], shards: int, name: str) -> str:
  """Returns a Kubernetes JobSet of one indexed job: the completion index of a pod is its shard."""
  command = f"exec {_shell(words)} --shard=$JOB_COMPLETION_INDEX/{shards}"
  return f"""apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: {_word(name)}
spec:
  replicatedJobs:
  - name: shard
    replicas: 1
    template:
      spec:
        completionMode: Indexed
        completions: {shards}
        parallelism: {shards}
        backoffLimit: {6 * shards}
        template:
          spec:
            restartPolicy: Never
            terminationGracePeriodSeconds: 300
            containers:
            - name: study
              image: IMAGE  # one with contrastive_jax, and the disk of --workdir, if it is one
              command: ["/bin/sh", "-c", {json.dumps(command)}]
"""


def _shell(words: Sequence[str]) -> str:
  return shlex.join(["contrastive_jax", *words])


def _word(name: str) -> str:
  """Returns a name as Kubernetes takes it."""
  return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "study"
