"""Pre-training from a config: builds the objects, resumes, and runs the loop."""

import contextlib
import functools
import pathlib
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from contrastive_jax import build, errors, parallel
from contrastive_jax import config as config_lib
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.data import pipeline
from contrastive_jax.plan import fit, images
from contrastive_jax.processes import agree, hosts
from contrastive_jax.processes.preemption import Preemption
from contrastive_jax.processes.watchdog import Watchdog
from contrastive_jax.step import collapse
from contrastive_jax.step import state as state_lib
from contrastive_jax.training import monitor as monitor_lib
from contrastive_jax.training import preview
from contrastive_jax.workdir import lock
from contrastive_jax.workdir.checkpoint import Checkpoints
from contrastive_jax.workdir.report import Meter, Reporter


class Result(NamedTuple):
  """What `train` returns: the final state and the last value of every metric."""

  state: state_lib.TrainState
  metrics: dict[str, float]


def train(config: ConfigDict, workdir: str, devices: list[jax.Device] | None = None) -> Result:
  """Trains to `config.epochs`, going on from the newest checkpoint in `workdir` if there is one.

  Args:
    config: from a file in `configs/`, or `config.pretrain()`.
    workdir: directory of config, metrics and checkpoints; made if missing.
    devices: of this run; all by default.

  Raises:
    UserError: something in config, data or workdir cannot work; nothing was overwritten.
    NonFiniteLoss: loss or gradient stayed NaN or infinite; the last checkpoint is from before.
    SaveFailed: a checkpoint or the metrics could not be written.
    Preempted: SIGTERM; the state was saved and the same call goes on.
    PeerLost: another process of the run is gone.
  """
  with Preemption() as preemption, hosts.losses_named():
    return _train(config, workdir, devices, preemption)


def _train(
  config: ConfigDict, workdir: str, devices: list[jax.Device] | None, preemption: Preemption
) -> Result:
  with agree.mistakes_shared():
    config_lib.check(config)
    workdir_lib.check(workdir, config)
    mesh = parallel.make_mesh(devices)
    source = build.source(config, config.data.split)
  agree.check_equal(lambda: _facts(config, source))
  run = build.run(config, len(source), source.num_classes, mesh.size)
  state = state_lib.create(run.init, seed=config.seed, mesh=mesh, fsdp=config.fsdp)
  monitor = monitor_lib.Monitor.create(config, source, run.net, run.recipe, mesh)
  preemption.leave_if_requested()

  with agree.mistakes_shared():
    workdir_lib.make(workdir)
  with contextlib.ExitStack() as stack:
    stack.enter_context(lock.hold(workdir))
    watchdog = stack.enter_context(Watchdog(workdir, **config.watchdog))
    workdir_lib.check(workdir, config)  # again: now no other run can write there
    checkpoints = Checkpoints(workdir, **config_lib.fields_of(Checkpoints, config.checkpoint))
    stack.callback(checkpoints.close)
    watchdog.beside(checkpoints.under_way)
    watchdog.doing("restoring the last checkpoint")
    state = checkpoints.restore(state) or state
    workdir_lib.stamp(workdir, config)  # not before the checkpoint is known to fit
    start = int(parallel.fetch(state.step))
    reporter = Reporter(
      workdir, total_steps=run.total_steps, start_step=start, tensorboard=config.log.tensorboard
    )
    stack.callback(reporter.close)
    reporter.line(
      f"{config.method.name} {config.model.name}: {_count(state.params):,} parameters, "
      f"{len(source):,} images, {run.steps_per_epoch} steps an epoch, {run.total_steps} in all, "
      f"peak learning rate {run.schedule.peak:.4g}, {mesh.size} device(s)"
      + (f"; goes on from step {start}" if start else "")
    )
    watchdog.doing("preparing the images")
    load = functools.partial(
      pipeline.train_batches,
      source,
      batch_size=config.batch_size,
      seed=config.seed,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
      **build.pipeline_options(config),
    )
    batches = load(start_step=start, total_steps=run.total_steps)
    step_fn = _step(config, run, source, mesh, reporter, watchdog)
    drawn = start and (pathlib.Path(workdir) / "views.png").exists()
    if config.log.views and not drawn and jax.process_index() == 0:
      first = next(iter(load(total_steps=1, cache="none") if start else batches))
      preview.save(workdir, run.method, run.recipe, first, config.seed)
    preemption.leave_if_requested()
    loop = _Loop(config, run, mesh, reporter, checkpoints, monitor, watchdog)
    stack.enter_context(parallel.use(mesh))
    return loop.run(step_fn, state, batches, preemption)


def _step(config, run: build.Run, source, mesh, reporter: Reporter, watchdog: Watchdog):
  """Returns the step to call; where the memory of the devices is known, one that fits into it."""
  limit = fit.limit_bytes(config) if config.fit_memory else None
  if not limit:
    return jax.jit(run.step, donate_argnums=0)
  sizes = images.of_source(config, source)
  chosen, compiled = fit.choose(config, sizes, list(mesh.devices.flat), limit, watchdog.doing)
  for change in config_lib.differences(config, chosen):
    reporter.line(f"to fit into {limit / fit.GIB:.1f} GiB of a device: {change}")
  return compiled


class _Loop:
  """Steps, and between them whatever is due: log, monitor, save, leave."""

  def __init__(self, config, run, mesh, reporter, checkpoints, monitor, watchdog):
    self._config = config
    self._schedule = run.schedule
    self._steps_per_epoch = run.steps_per_epoch
    self._total_steps = run.total_steps
    self._mesh = mesh
    self._reporter = reporter
    self._checkpoints = checkpoints
    self._monitor = monitor
    self._watchdog = watchdog
    self._meter = Meter()
    self._metrics: dict[str, float] = {}
    self._alarms: list[str] = []
    self._skipped = self._skipped_in_a_row = 0
    self._replaced, self._replaced_told = 0.0, None  # images, and the epoch that was told of

  def run(self, step_fn, state, batches, preemption) -> Result:
    step = int(parallel.fetch(state.step))
    pending = None  # metrics of the step before, read once the next one is under way
    self._meter.start(step)
    for host_batch in self._loaded(batches, step):
      self._watchdog.doing(f"computing step {step + 1}")
      if pending:
        self._meter.before_next(*pending)
      state, metrics = step_fn(state, parallel.put(host_batch, self._mesh))
      step += 1
      self._checkpoints.poll()
      if pending:
        self._read(*pending)
      pending = step, metrics
      leaving = preemption.requested(self._mesh)
      if leaving or self._due(step, self._config.checkpoint.every_epochs) or self._scores(step):
        pending = self._read(*pending)  # never save before its step is known to be good
        knn = None
        if self._scores(step) and not leaving:
          try:
            knn = self._score(step, state, preemption)
          except errors.Preempted:
            leaving = True
        self._watchdog.doing(f"saving step {step}")
        self._reporter.sync()
        self._checkpoints.save(step, state, knn)
        self._meter.start(step)
      if leaving:
        self._checkpoints.wait()
        raise errors.Preempted(f"SIGTERM: saved step {step}; the same command goes on from there")
    if pending:
      self._read(*pending)
    if not self._metrics:  # resumed when all was done
      self._score(step, state, preemption)
    self._checkpoints.wait()
    return Result(state, self._metrics)

  def _loaded(self, batches, step: int):
    """Yields the batches of the steps after `step`; the watchdog knows when they are waited for."""
    batches = iter(batches)
    while True:
      step += 1
      self._watchdog.doing(f"loading the batch of step {step}")
      batch = next(batches, None)
      if batch is None:
        return
      yield batch

  def _due(self, step: int, every_epochs: float) -> bool:
    if step == self._total_steps:
      return True
    return bool(every_epochs) and step % max(1, round(every_epochs * self._steps_per_epoch)) == 0

  def _scores(self, step: int) -> bool:
    return self._due(step, self._config.monitor.every_epochs)

  def _read(self, step: int, metrics) -> None:
    """Fetches a step's metrics, stops a broken run, and logs when a line is due."""
    values = {k: float(v) for k, v in parallel.fetch(metrics).items()}
    self._count_replaced(step, values["replaced"])
    if values["skipped"]:
      self._skip(step, values)
      return
    self._skipped_in_a_row = 0
    values |= {"skipped": self._skipped, "replaced": self._replaced}
    if step % self._config.log.every_steps and step != self._total_steps:
      return
    seconds = self._meter.read(step)
    values |= {
      "epoch": step / self._steps_per_epoch,
      "learning_rate": float(self._schedule(step - 1)),
      "images_per_second": self._config.batch_size / seconds,
    }
    self._metrics |= values
    self._reporter.metrics(step, values, self._new_alarms(step, values))
    self._reporter.progress(step, values, seconds)

  def _count_replaced(self, step: int, count: float) -> None:
    """Counts unreadable images; the first of an epoch is told, the others are in the metrics."""
    self._replaced += count
    epoch = (step - 1) // self._steps_per_epoch
    if count and epoch != self._replaced_told:
      self._replaced_told = epoch
      self._reporter.line(
        f"step {step}: unreadable images are replaced ({self._replaced:.0f} since the start)"
      )

  def _skip(self, step: int, values: dict[str, float]) -> None:
    """Logs a step that changed nothing (see guard.py), and stops after too many in a row."""
    self._skipped += 1
    self._skipped_in_a_row += 1
    what = f"loss is {values['loss']}, norm of the gradient {values['grad_norm']}"
    if all(np.isfinite(values[name]) for name in ("loss", "grad_norm")):
      what += ", but the update or a statistic is not finite"
    self._reporter.metrics(
      step,
      values | {"skipped": self._skipped, "replaced": self._replaced},
      [f"{what}: the update is skipped, {self._skipped} since the start"],
    )
    if self._skipped_in_a_row >= self._config.max_skipped_steps:
      raise errors.NonFiniteLoss(
        f"{what}, at step {step}, the {self._skipped_in_a_row}. not finite in a row; the last good "
        "checkpoint is kept. Try a lower --config.optimizer.base_lr or a longer "
        "--config.optimizer.warmup_epochs"
      )

  def _new_alarms(self, step: int, values: dict[str, float]) -> list[str]:
    """Returns the alarms of collapse, each once until it clears."""
    monitor = self._config.monitor
    figures = {k.removeprefix("collapse_"): v for k, v in values.items() if "collapse_" in k}
    if step < monitor.alarm_after_steps or not figures:
      return []
    lines = collapse.alarms(
      figures, min_std=monitor.min_std, min_rank=monitor.min_rank, max_cosine=monitor.max_cosine
    )
    new = [line for kind, line in lines.items() if kind not in self._alarms]
    self._alarms = list(lines)
    return new

  def _score(self, step: int, state, preemption: Preemption) -> float | None:
    def poll():
      self._watchdog.doing(f"scoring step {step}")
      preemption.leave_if_requested()

    scores = self._monitor.score(state.params, state.stats, poll)
    if not scores:
      return None
    self._metrics |= scores
    self._reporter.metrics(step, scores)
    self._reporter.line(f"step {step}: {self._monitor.describe(scores)}")
    return scores["knn_top1"]


def _facts(config: ConfigDict, source) -> dict[str, object]:
  """What must be the same on every process."""
  options = {f"config.{key}": value for key, value in config_lib.flatten(config).items()}
  data = {"training images": len(source), "classes": source.num_classes}
  return options | data | workdir_lib.versions()


def _count(params) -> int:
  return sum(int(np.prod(x.shape)) for x in jax.tree.leaves(params))
