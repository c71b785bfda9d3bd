"""The loop of a run: steps, and between them whatever is due."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jax.sharding import Mesh

from contrastive_jax import errors, parallel
from contrastive_jax.data.pipeline import Batch
from contrastive_jax.processes.preemption import Preemption
from contrastive_jax.processes.watchdog import Watchdog
from contrastive_jax.step import Step
from contrastive_jax.step.state import TrainState
from contrastive_jax.training import first_batch
from contrastive_jax.training.due import Due
from contrastive_jax.training.minutes import Minutes
from contrastive_jax.training.monitor import Monitor
from contrastive_jax.training.noise import Noise
from contrastive_jax.training.readings import Readings
from contrastive_jax.training.spent import Spent
from contrastive_jax.workdir.checkpoint import Checkpoints
from contrastive_jax.workdir.report import Reporter


class Result(NamedTuple):
  """What `trainer.train` returns: the final state and the last value of every metric."""

  state: TrainState
  metrics: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Loop:
  """What takes part in it; `run` runs it once."""

  mesh: Mesh
  due: Due
  minutes: Minutes
  noise: Noise
  readings: Readings
  monitor: Monitor
  checkpoints: Checkpoints
  reporter: Reporter
  watchdog: Watchdog
  spent: Spent
  scored: bool  # the state that the run begins with

  def run(
    self, step_fn: Step, state: TrainState, batches: Iterable[Batch], preemption: Preemption
  ) -> Result:
    """Runs a step for every batch; raises what `trainer.train` names."""
    begun = step = int(parallel.fetch(state.step))
    self.readings.start(step)
    self.minutes.start()
    for host_batch in self._loaded(batches, step):
      step += 1
      state = self._compute(step, step_fn, state, host_batch)
      leaving, are_over = preemption.requested(self.mesh), self.minutes.are_over()
      if leaving or are_over or self.due.save(step):
        self.readings.catch_up()  # never save before its step is known to be good
        knn, leaving = (None, True) if leaving else self._score_if_due(step, state, preemption)
        self._save(step, state, knn)
      self.spent.tell(step, now=self.due.log(step))  # or what is lost after it is not known
      if leaving:
        self._leave(step)
    self.readings.catch_up()
    if step == begun and not self.scored:  # resumed when all was done, but its line was lost
      self._score(step, state, preemption)
    self.spent.doing("save")
    self.checkpoints.wait()
    self.spent.tell(step, now=True)
    return Result(state, self.readings.latest)

  def _loaded(self, batches: Iterable[Batch], step: int) -> Iterator[Batch]:
    """Yields the batches of the steps after `step`; the watchdog knows when they are waited for."""
    batches, before = iter(batches), step
    while True:
      step += 1
      self.watchdog.doing(f"loading the batch of step {step}")
      self.spent.doing("load")
      batch = next(batches, None)
      if batch is None:
        return
      if step == before + 1:
        first_batch.warn_if_all_equal(batch)
      yield batch

  def _compute(self, step: int, step_fn: Step, state: TrainState, host_batch: Batch) -> TrainState:
    """Calls a step, and does what there is to do while the devices work on it."""
    self.watchdog.doing(f"computing step {step}")
    self.spent.doing("step")
    self.readings.before_next()
    batch = parallel.put(host_batch, self.mesh)
    noise = self.noise.before(step, state, batch)
    state, metrics = step_fn(state, batch)
    self.checkpoints.poll()
    self.readings.hold(step, metrics | noise)
    return state

  def _score_if_due(
    self, step: int, state: TrainState, preemption: Preemption
  ) -> tuple[float | None, bool]:
    """Returns the kNN accuracy, if there is one, and whether the run is to leave meanwhile."""
    if not self.due.score(step):
      return None, False
    try:
      return self._score(step, state, preemption), False
    except errors.Preempted:
      return None, True

  def _score(self, step: int, state: TrainState, preemption: Preemption) -> float | None:
    def poll():
      self.watchdog.doing(f"scoring step {step}")
      preemption.leave_if_requested()

    self.spent.doing("score")
    scores = self.monitor.score(state.params, state.stats, poll)
    if not scores:
      return None
    self.readings.tell(step, scores)
    self.reporter.console.line(f"step {step}: {self.monitor.describe(scores)}")
    return scores["knn_top1"]

  def _save(self, step: int, state: TrainState, knn: float | None) -> None:
    self.watchdog.doing(f"saving step {step}")
    self.spent.doing("save")
    self.reporter.sync()
    self.checkpoints.save(step, state, knn)
    self.minutes.start()
    self.readings.start(step)
    self.spent.tell(step, now=True)

  def _leave(self, step: int) -> None:
    self.checkpoints.wait()
    raise errors.Preempted(f"SIGTERM: saved step {step}; the same command goes on from there")
