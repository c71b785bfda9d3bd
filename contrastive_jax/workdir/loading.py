"""What evaluation reads of a run: its config, weights and batch-norm statistics."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import PyTree
from ml_collections import ConfigDict

from contrastive_jax import errors
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.buckets import address, reads
from contrastive_jax.workdir import attempts, manifest, state_files
from contrastive_jax.workdir import checkpoint_files as files


class Run(NamedTuple):
  """What evaluation needs of a finished or running pre-training."""

  config: ConfigDict
  params: PyTree  # numpy
  stats: PyTree
  step: int


def load_run(workdir: str, step: int | str | None = None, network: str = "online") -> Run:
  """Reads config, weights and statistics of a run.

  Args:
    workdir: of the run, local or in a bucket.
    step: of the checkpoint; "best": that of the highest kNN; None: the newest that is intact.
    network: whose weights, see `state_files.read_model`.

  Raises:
    UserError: `workdir` is no run, has no checkpoint that is intact, none of that step, or no such
      network.
    ReadFailed: it cannot be read, though nothing says that it is damaged.
  """
  if not address.is_bucket(workdir):
    return _load_run(workdir, step, network, lambda step, items=None: None)
  with reads.read_only(address.parsed(workdir, "workdir")) as (folder, fetch):
    return _load_run(str(folder), step, network, fetch)


def _load_run(
  workdir: str, step: int | str | None, network: str, fetch: Callable[..., str | None]
) -> Run:
  config = workdir_lib.stored_config(workdir)
  if config is None:
    raise errors.UserError(
      f"workdir {workdir} holds no run (no config.json); give the workdir of a training run"
    )
  steps = saved_steps(workdir)
  if not steps:
    raise errors.UserError(
      f"workdir {workdir} holds no checkpoint yet; let the run reach its first save"
    )
  if step == "best":
    step = best_step(workdir)
  if step is not None and step not in steps:
    raise errors.UserError(
      f"workdir {workdir} has no checkpoint of step {step}; it has {steps}, and best is the one of "
      "the highest kNN"
    )
  for candidate in reversed(steps) if step is None else [step]:
    directory = files.root(workdir) / str(candidate)
    model, problem = attempts.attempt(
      candidate, directory, lambda d, s: _read_model(d, s, network, fetch), fetch
    )
    if problem is None:
      return Run(config, model["params"], model["stats"], candidate)
    files.tell_skipped(candidate, problem)
  raise errors.UserError(
    f"workdir {workdir} has no intact checkpoint{'' if step is None else f' of step {step}'}; "
    f"it has {steps}; take another step or train again"
  )


def _read_model(
  directory: pathlib.Path, step: int, network: str, fetch: Callable[..., str | None]
) -> PyTree:
  """Reads weights and statistics, of which a bucket may have what is not here. Raises `Damaged`."""
  everything = () if network == "online" else (None,)  # the target is no part of the model
  if problem := fetch(step, *everything):
    raise manifest.Damaged(problem)
  return state_files.read_model(directory, step, network)


def saved_steps(workdir: str) -> list[int]:
  """Returns the steps of the committed checkpoints, oldest first."""
  return files.steps_in(files.root(workdir))


def best_step(workdir: str) -> int:
  """Returns the step of the checkpoint with the highest kNN, of equal ones the newest.

  Raises:
    UserError: none was scored.
  """
  scored = files.scored(files.root(workdir))
  if not scored:
    raise errors.UserError(
      f"no checkpoint in workdir {workdir} has a kNN score, so none is the best; give the step of "
      f"one of {saved_steps(workdir)}, or none for the newest"
    )
  return scored[-1]
