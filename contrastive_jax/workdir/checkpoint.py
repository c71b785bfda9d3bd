"""Checkpoints of a run: committed when whole, never used when damaged.

A workdir holds `checkpoints/STEP/`: a folder for the part of each process, and `manifest.json`.
What evaluation reads of it is in loading.py. Data position and random keys follow from
the step, so a restored state continues bit for bit, on any processes and devices.

A checkpoint is written as `STEP.tmp`: every process writes what is its own (`shares`), reads it
back and compares; then process 0 writes the manifest of all parts, and the renaming to `STEP` is
the commit mark. So a directory named by a number was once whole, and one that is no longer what the
manifest says is never used: `STEP.damaged`. One that cannot be read for the moment is not touched:
the run ends, and can be started again. What else lies there is the user's: left alone, or named at
the start if it is in the way (`foreign`).
"""

import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable

import jax

from contrastive_jax import checkpoint_names, errors, reading
from contrastive_jax.buckets.mirror import Nowhere
from contrastive_jax.processes import agree
from contrastive_jax.step.state import TrainState
from contrastive_jax.workdir import attempts, manifest, state_files, together
from contrastive_jax.workdir import checkpoint_files as files


class Checkpoints:
  """The checkpoints of one workdir, saved in the background, kept by recency and by kNN.

  Every process writes its part in a thread, and waits for the others there: training goes on.
  At a restore all read what their devices hold, and agree on the step that they take.

  Args:
    workdir: of the run, seen by all processes, or with a `mirror` that brings them together.
    keep, keep_best: newest checkpoints, and best by kNN, that stay.
    restart: whether to start over where there are checkpoints and none is intact.
    mirror: the bucket that the workdir is a copy of, if it is.
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
    self._together = together.Together()
    self._writes_here = self._leads or self._mirror.apart
    if self._writes_here:
      with errors.placing(f"{self._root}"):
        self._root.mkdir(parents=True, exist_ok=True)
        files.remove_leftovers(self._root)  # of a killed run
        with tempfile.TemporaryFile(dir=self._root):
          pass
    self._steps = agree.first_process_says(files.steps_in(self._root))

  def save(self, step: int, state: TrainState, knn: float | None = None) -> None:
    """Starts to save `state`, with its kNN accuracy if it was measured; no-op if it is there.

    Returns when the part of this process is copied to the host, so that buffers may be donated.

    Raises:
      SaveFailed: the save before this one.
    """
    if step in self._steps:
      return
    self._steps.append(step)
    self._start(f"writing checkpoint {step}", state, lambda part: self._write(step, part, knn))

  def try_out(self, state: TrainState) -> None:
    """Starts to save `state` and to remove it again: what no save could do is found by the next
    `poll`, before an epoch has been spent. Raises and returns as `save` does.
    """
    self._start("writing a trial checkpoint", state, self._try)

  def _start(self, what: str, state: TrainState, act: Callable[[state_files.Part], None]) -> None:
    self._join()
    part = state_files.part_of(state)
    self._begun = (what, time.monotonic())
    self._pending = self._thread.submit(act, part)

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
      state, problem = attempts.attempt(step, directory, self._read_into(like), self._mirror.fetch)
      if problem is not None:
        files.tell_skipped(step, problem)
        if self._leads:
          self._mirror.set_aside(step, problem)
          name = checkpoint_names.set_aside(step, reading.names_in(self._root))
          with errors.saving(f"{self._root / name}"):
            os.rename(directory, self._root / name)
        self._steps.remove(step)
        continue
      return state
    remains = checkpoint_names.damaged(reading.names_in(self._root))
    if agree.any_process(bool(remains)) and not self._restart:
      raise errors.UserError(
        f"no checkpoint in {self._root} is intact ({', '.join(remains)}); put a good one there, "
        "give a new --workdir, or start over with --config.checkpoint.restart=True"
      )
    return None

  def _read_into(self, like: TrainState) -> Callable[[pathlib.Path, int], TrainState]:
    """Returns what reads a state, of which a bucket may have what is not here: what is needed."""

    def read(directory, step):
      if problem := self._mirror.fetch(step, (manifest.NAME,)):
        raise manifest.Damaged(problem)
      return state_files.read_state(directory, step, like, self._mirror)

    return read

  def wait(self) -> None:
    """Returns when every save is committed. Raises `SaveFailed` on all processes alike."""
    failure = None
    try:
      self._join()
    except errors.SaveFailed as error:
      failure = error
    if agree.any_process(failure is not None):
      raise failure or errors.SaveFailed("another process could not save; see what it says")

  def close(self) -> None:
    """Waits for the saves and stops the background thread; a failure not yet told is printed.

    For other processes, one of which may be gone, no longer than `together.LEAVING_S`.
    """
    self._together.leave()
    self._thread.shutdown()
    try:
      self._join()
    except (errors.SaveFailed, jax.errors.JaxRuntimeError) as error:  # the coordinator may be gone
      print(f"warning: {error}", file=sys.stderr, flush=True)

  def _join(self) -> None:
    pending, self._pending = self._pending, None
    if pending:
      pending.result()

  def _write(self, step: int, part: state_files.Part, knn: float | None) -> None:
    """Writes, reads back, commits; in the background thread."""

    def commit(temporary, tables, there):
      state_files.complete(temporary, part, tables, step, knn, shared=not self._mirror.apart)
      os.rename(temporary, self._root / str(step))
      files.sync(self._root)
      self._mirror.commit(step, there)
      self._prune()

    def put(temporary):
      if jax.process_count() == 1:  # this folder has all, and is committed before it is put
        return {}
      return self._mirror.part_written(step, temporary, jax.process_index())

    self._all_write(f"checkpoint {step}", str(step), part, put, commit)

  def _try(self, part: state_files.Part) -> None:
    """Writes, reads back, removes; in the background thread."""
    name = checkpoint_names.TRIAL

    def remove(temporary, tables, there):
      state_files.complete(temporary, part, tables, 0, None, shared=not self._mirror.apart)
      files.remove_leftovers(self._root, name)

    self._all_write("a trial checkpoint", name, part, lambda temporary: {}, remove)

  def _all_write(
    self,
    what: str,
    name: str,
    part: state_files.Part,
    put: Callable[[pathlib.Path], dict],
    finish: Callable[[pathlib.Path, dict, dict], None],
  ) -> None:
    """Writes the part of this process; process 0 ends it when all have, or removes what is there.

    Args:
      what: as a message calls it.
      name: of the checkpoint.
      part: of this process.
      put: called with the folder when the part is written; what it returns `finish` gets.
      finish: called on process 0 with the folder, the tables and what was put of all parts.

    Raises:
      SaveFailed: on every process, if any has failed.
    """
    temporary = self._root / f"{name}.tmp"

    def write():
      with errors.saving(what):
        tables = state_files.write_part(temporary, part)
        there = put(temporary)
        return {name: (table, there.get(name)) for name, table in tables.items()}

    def end(written):
      tables = {name: table for name, (table, _) in written.items()}
      there = {name: put for name, (_, put) in written.items() if put}
      with errors.saving(what):
        finish(temporary, tables, there)

    try:
      self._together.save(what, write, end)
    except (errors.SaveFailed, errors.UserError):
      self._remove(name)  # the disk may be full
      raise
    if not self._leads:
      self._remove(name)

  def _remove(self, name: str) -> None:
    """Removes what a save has left here under its temporary name."""
    if self._writes_here:
      with contextlib.suppress(OSError):
        files.remove_leftovers(self._root, name)

  def _prune(self) -> None:
    """Removes what is neither new nor among the best, of what runs made here."""
    own = [s for s in files.steps_in(self._root) if files.is_own(self._root / str(s))]
    best = files.scored(self._root)[-self._keep_best :] if self._keep_best else []
    for step in set(own[: -self._keep]) - set(best):
      self._mirror.forget(step)
      leftover = files.move(self._root / str(step), self._root / f"{step}.tmp")
      shutil.rmtree(leftover)
