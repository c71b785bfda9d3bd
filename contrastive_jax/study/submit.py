"""A study as an array of jobs that submitit hands to SLURM, and queues again in time."""

import pathlib
import re
import subprocess
import sys
from collections.abc import Sequence

from contrastive_jax import errors


class Shard:
  """One shard as a job: submitit pickles it, calls it, and asks it to leave before its time is up.

  The command is in a session of its own, out of reach of the signal by which SLURM warns the job.
  """

  def __init__(self, words: Sequence[str]):
    self.words = list(words)

  def __call__(self) -> None:
    self._child = subprocess.Popen(
      [sys.executable, "-m", "contrastive_jax", *self.words], start_new_session=True
    )
    code = self._child.wait()
    if code:
      raise RuntimeError(f"contrastive_jax {' '.join(self.words)} ended with {code}")

  def checkpoint(self):
    """Lets the cell under way save, and returns what is to be queued."""
    from submitit.helpers import DelayedSubmission

    self._child.terminate()
    self._child.wait()
    return DelayedSubmission(Shard(self.words))


def submit(
  words: Sequence[str], shards: int, folder: pathlib.Path, name: str, to: str, settings: list[str]
) -> None:
  """Submits each shard as a job of one array; with `to` other than "slurm" waits for their end.

  Args:
    words: of the command after `contrastive_jax`, --shard left out.
    shards: how many.
    folder: for submitit's files, on a disk that all machines see.
    name: of the jobs.
    to: submitit's name of a cluster: "slurm", or "local" for processes of this machine.
    settings: KEY=VALUE of submitit, such as timeout_min=600 or slurm_partition=gpu.

  Raises:
    UserError: submitit or the cluster is not there, or it does not take a setting.
    CellsFailed: a job that was waited for has failed.
  """
  try:
    import submitit
  except ModuleNotFoundError as error:
    raise errors.UserError(
      "--submit needs submitit; install the extra slurm: pip install -e '.[slurm]', or print a "
      "script with --slurm=N"
    ) from error
  try:
    executor = submitit.AutoExecutor(folder=folder, cluster=to)
    executor.update_parameters(name=name, **dict(map(_setting, settings)))
    with executor.batch():
      jobs = [
        executor.submit(Shard([*words, f"--shard={shard}/{shards}"])) for shard in range(shards)
      ]
  except (NameError, TypeError, ValueError, RuntimeError) as error:
    raise errors.UserError(f"submitit: {' '.join(str(error).split())}") from error
  for shard, job in enumerate(jobs):
    print(f"shard {shard}/{shards}: job {job.job_id}, output in {job.paths.stdout}", flush=True)
  if to == "slurm":
    return
  failed = [str(shard) for shard, job in enumerate(jobs) if job.exception() is not None]
  if failed:
    raise errors.CellsFailed(f"of shards {', '.join(failed)} of {shards}; see their output")


def _setting(word: str) -> tuple[str, str | int]:
  key, given, value = word.partition("=")
  if not given:
    raise errors.UserError(f"--submit_with={word} is not KEY=VALUE, e.g. timeout_min=600")
  return key, int(value) if re.fullmatch(r"\d+", value) else value
