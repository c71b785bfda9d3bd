"""Checkpoints of a run: committed when whole, never used when damaged.

A workdir holds `checkpoints/STEP/{model,training,manifest.json}`; `model` (weights and batch-norm
statistics) is all that evaluation reads. Data position and random keys follow from the step, so a
restored state continues bit for bit.

A checkpoint is written as `STEP.tmp`: arrays, then the manifest, then all is read back and compared
with it; the renaming to `STEP` is the commit mark. So a directory named by a number was once whole,
and one that is no longer what the manifest says is never used: `STEP.damaged`. One that cannot be
read for the moment is not touched: the run ends, and can be started again. What else lies there is
the user's: left alone, or named at the start if it is in the way (`foreign`).
"""

import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import PyTree
from ml_collections import ConfigDict

from contrastive_jax import checkpoint_names, errors, reading
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.buckets import address, reads
from contrastive_jax.buckets.mirror import Nowhere
from contrastive_jax.processes import agree
from contrastive_jax.step.state import TrainState
from contrastive_jax.workdir import checkpoint_files as files
from contrastive_jax.workdir import manifest


class Run(NamedTuple):
  """What evaluation needs of a finished or running pre-training."""

  config: ConfigDict
  params: PyTree  # numpy
  stats: PyTree
  step: int


class Checkpoints:
  """The checkpoints of one workdir, saved in the background, kept by recency and by kNN.

  Process 0 writes, in a thread: other processes never wait for the disk. All read, and agree on
  the step that they take.
  """

  def __init__(
    self,
    workdir: str,
    *,
    keep: int = 2,
    keep_best: int = 1,
    restart: bool = False,
    mirror: Nowhere | None = None,
  ):
    self._root, self._mirror = files.root(workdir), mirror or Nowhere()
    self._keep, self._keep_best, self._restart = keep, keep_best, restart
    self._leads = jax.process_index() == 0
    self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
    self._pending: concurrent.futures.Future | None = None
    if self._leads:
      with errors.placing(f"{self._root}"):
        self._root.mkdir(parents=True, exist_ok=True)
        files.remove_leftovers(self._root)  # of a killed run
        with tempfile.TemporaryFile(dir=self._root):
          pass
    self._steps = agree.first_process_says(files.steps_in(self._root))

  def save(self, step: int, state: TrainState, knn: float | None = None) -> None:
    """Starts to save `state`, with its kNN accuracy if it was measured; no-op if it is there.

    Returns when the state is copied to the host, so that its buffers may be donated.

    Raises:
      SaveFailed: the save before this one.
    """
    if step in self._steps:
      return
    self._steps.append(step)
    self._start(f"writing checkpoint {step}", state, lambda host: self._write(step, host, knn))

  def try_out(self, state: TrainState) -> None:
    """Starts to save `state` and to remove it again: what no save could do is found by the next
    `poll`, before an epoch has been spent. Raises and returns as `save` does.
    """
    self._start("writing a trial checkpoint", state, self._try)

  def _start(self, what: str, state: TrainState, act: Callable[[TrainState], None]) -> None:
    self._join()
    host = jax.tree.map(_host_copy, state)
    if self._leads:
      self._begun = (what, time.monotonic())
      self._pending = self._thread.submit(act, host)

  def poll(self) -> None:
    """Raises `SaveFailed` if a save has failed by now; never waits."""
    self._mirror.check()
    if self._pending and self._pending.done():
      self._join()

  def under_way(self) -> tuple[str, float] | None:
    """Returns what is being written, and since when by `time.monotonic`; None: nothing is."""
    pending = self._pending
    return None if pending is None or pending.done() else self._begun

  def restore(self, like: TrainState) -> TrainState | None:
    """Returns the newest intact state, with the shapes and shardings of `like`; None if there is
    no checkpoint.

    A damaged one is named on stderr and set aside, so that its step can be saved again.

    Raises:
      UserError: the checkpoint is of another network, optimiser or method; or there are
        checkpoints, none is intact, and `restart` is not set.
      ReadFailed: a checkpoint cannot be read, though nothing says that it is damaged.
    """
    for step in sorted(self._steps, reverse=True):
      directory = self._root / str(step)
      items, problem = files.attempt(step, lambda s=step: self._read(s, like))
      if problem is not None:
        files.tell_skipped(step, problem)
        if self._leads:
          self._mirror.set_aside(step, problem)
          name = checkpoint_names.set_aside(step, reading.names_in(self._root))
          with errors.saving(f"{self._root / name}"):
            os.rename(directory, self._root / name)
        self._steps.remove(step)
        continue
      return jax.tree.map(_place, TrainState(**items["model"], **items["training"]), like)
    remains = checkpoint_names.damaged(reading.names_in(self._root))
    if agree.any_process(bool(remains)) and not self._restart:
      raise errors.UserError(
        f"no checkpoint in {self._root} is intact ({', '.join(remains)}); put a good one there, "
        "give a new --workdir, or start over with --config.checkpoint.restart=True"
      )
    return None

  def _read(self, step: int, like: TrainState) -> dict[str, PyTree]:
    """Reads a state, of which a bucket may have what this host has not. Raises `Damaged`."""
    if problem := self._mirror.fetch(step):
      raise manifest.Damaged(problem)
    return files.read_state(self._root / str(step), step, like)

  def wait(self) -> None:
    """Returns when every save is committed. Raises `SaveFailed` on all processes alike."""
    failure = None
    try:
      self._join()
    except errors.SaveFailed as error:
      failure = error
    if agree.any_process(failure is not None):
      raise failure or errors.SaveFailed("process 0 could not save; see what it says")

  def close(self) -> None:
    """Waits for the saves and stops the background thread; a failure not yet told is printed."""
    self._thread.shutdown()
    try:
      self._join()
    except errors.SaveFailed as error:
      print(f"warning: {error}", file=sys.stderr, flush=True)

  def _join(self) -> None:
    pending, self._pending = self._pending, None
    if pending:
      pending.result()

  def _write(self, step: int, host: TrainState, knn: float | None) -> None:
    """Writes, reads back, commits; in the background thread of process 0."""
    with self._removing(str(step)), errors.saving(f"checkpoint {step}"):
      temporary = self._root / f"{step}.tmp"
      files.write_state(temporary, step, host, knn)
      os.rename(temporary, self._root / str(step))
      files.sync(self._root)
      self._mirror.commit(step)
      self._prune()

  def _try(self, host: TrainState) -> None:
    """Writes, reads back, removes; in the background thread of process 0."""
    name = checkpoint_names.TRIAL
    with self._removing(name), errors.saving("a trial checkpoint"):
      files.write_state(self._root / f"{name}.tmp", int(host.step), host, None)
      files.remove_leftovers(self._root, name)

  @contextlib.contextmanager
  def _removing(self, name: str) -> Iterator[None]:
    """Removes what a save that fails leaves: the disk may be full."""
    try:
      yield
    except (errors.SaveFailed, errors.UserError):
      with contextlib.suppress(OSError):
        files.remove_leftovers(self._root, name)
      raise

  def _prune(self) -> None:
    """Removes what is neither new nor among the best, of what runs made here."""
    own = [s for s in files.steps_in(self._root) if files.is_own(self._root / str(s))]
    best = _scored(self._root)[-self._keep_best :] if self._keep_best else []
    for step in set(own[: -self._keep]) - set(best):
      self._mirror.forget(step)
      leftover = files.move(self._root / str(step), self._root / f"{step}.tmp")
      shutil.rmtree(leftover)


def load_run(workdir: str, step: int | str | None = None) -> Run:
  """Reads config, weights and statistics of a run.

  Args:
    workdir: of the run, local or in a bucket.
    step: of the checkpoint; "best": that of the highest kNN; None: the newest that is intact.

  Raises:
    UserError: `workdir` is no run, has no checkpoint that is intact, or none of that step.
    ReadFailed: it cannot be read, though nothing says that it is damaged.
  """
  if not address.is_bucket(workdir):
    return _load_run(workdir, step, lambda step: None)
  with reads.read_only(address.parsed(workdir, "workdir")) as (folder, fetch):
    return _load_run(str(folder), step, fetch)


def _load_run(workdir: str, step: int | str | None, fetch: Callable[[int], str | None]) -> Run:
  config = workdir_lib.stored_config(workdir)
  if config is None:
    raise errors.UserError(
      f"workdir {workdir} holds no run (no config.json); give the workdir of a training run"
    )
  steps = saved_steps(workdir)
  if not steps:
    raise errors.UserError(
      f"workdir {workdir} holds no checkpoint yet; let train.py reach its first save"
    )
  if step == "best":
    step = best_step(workdir)
  if step is not None and step not in steps:
    raise errors.UserError(
      f"workdir {workdir} has no checkpoint of step {step}; it has {steps}, and best is the one of "
      "the highest kNN"
    )
  for candidate in reversed(steps) if step is None else [step]:
    model, problem = files.attempt(candidate, lambda s=candidate: _read_model(workdir, s, fetch))
    if problem is None:
      return Run(config, model["params"], model["stats"], candidate)
    files.tell_skipped(candidate, problem)
  raise errors.UserError(
    f"workdir {workdir} has no intact checkpoint{'' if step is None else f' of step {step}'}; "
    f"it has {steps}; take another step or train again"
  )


def _read_model(workdir: str, step: int, fetch: Callable[[int], str | None]) -> PyTree:
  """As `Checkpoints._read`, of weights and statistics alone."""
  if problem := fetch(step):
    raise manifest.Damaged(problem)
  return files.read_model(files.root(workdir) / str(step), step)


def saved_steps(workdir: str) -> list[int]:
  """Returns the steps of the committed checkpoints, oldest first."""
  return files.steps_in(files.root(workdir))


def best_step(workdir: str) -> int:
  """Returns the step of the checkpoint with the highest kNN, of equal ones the newest.

  Raises:
    UserError: none was scored.
  """
  scored = _scored(files.root(workdir))
  if not scored:
    raise errors.UserError(
      f"no checkpoint in workdir {workdir} has a kNN score, so none is the best; give the step of "
      f"one of {saved_steps(workdir)}, or none for the newest"
    )
  return scored[-1]


def _scored(root: pathlib.Path) -> list[int]:
  """Returns the steps of the checkpoints that were scored by kNN, the best last."""
  scores = {step: files.knn(root / str(step)) for step in files.steps_in(root)}
  return [step for knn, step in sorted((k, s) for s, k in scores.items() if k is not None)]


def _host_copy(leaf: jax.Array) -> np.ndarray:
  """Copies a leaf to the host; one that is divided over processes is gathered by all of them."""
  if leaf.is_fully_replicated:
    return np.array(leaf.addressable_data(0))
  if leaf.is_fully_addressable:
    return np.array(leaf)
  return np.array(multihost_utils.process_allgather(leaf, tiled=True))


def _place(host: np.ndarray, like: jax.Array) -> jax.Array:
  return jax.make_array_from_callback(
    host.shape, like.sharding, lambda index: np.asarray(host[index])
  )
