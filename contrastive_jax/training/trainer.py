"""Pre-training from a config: builds the objects, resumes, and runs the loop."""

import contextlib
import functools
import json
import pathlib
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from contrastive_jax import build, compiling, data, errors, limits, parallel, run_images, unread
from contrastive_jax import config as config_lib
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.buckets.mirror import Nowhere
from contrastive_jax.data import given as given_lib
from contrastive_jax.data import pipeline
from contrastive_jax.plan import fit, images, program
from contrastive_jax.processes import agree, hosts
from contrastive_jax.processes.preemption import Preemption
from contrastive_jax.processes.watchdog import Watchdog
from contrastive_jax.step import Step, collapse
from contrastive_jax.step import state as state_lib
from contrastive_jax.step.state import TrainState
from contrastive_jax.training import (
  changed_batch,
  introduction,
  next_command,
  opening,
  preview,
  starting,
)
from contrastive_jax.training import spent as spent_lib
from contrastive_jax.training.alarms import Alarms
from contrastive_jax.training.due import Due
from contrastive_jax.training.loop import Loop, Result
from contrastive_jax.training.minutes import Minutes
from contrastive_jax.training.monitor import Monitor
from contrastive_jax.training.noise import Noise
from contrastive_jax.training.readings import Readings
from contrastive_jax.training.skips import Skips
from contrastive_jax.training.spent import Spent
from contrastive_jax.weights import start as start_lib
from contrastive_jax.workdir import bucket, files, lock
from contrastive_jax.workdir.checkpoint import Checkpoints
from contrastive_jax.workdir.report import Earlier, Reporter


def train(
  config: ConfigDict,
  workdir: str,
  devices: list[jax.Device] | None = None,
  given: given_lib.Images | None = None,
) -> Result:
  """Trains to the end, going on from the newest checkpoint in `workdir` if there is one.

  Args:
    config: from a file in `configs/`, or `config.pretrain()`.
    workdir: directory of config, metrics and checkpoints, made if missing; or gs://BUCKET/PATH,
      s3://BUCKET/PATH.
    devices: of this run; all by default.
    given: images of the source "given", by split.

  Raises:
    UserError: something in config, data or workdir cannot work; nothing was overwritten.
    NonFiniteLoss: loss or gradient stayed NaN or infinite; the last checkpoint is from before.
    SaveFailed: a checkpoint or the metrics could not be written.
    Preempted: SIGTERM; the state was saved and the same call goes on.
    KeyboardInterrupt: Ctrl-C; the same. A second one: at once, with the last checkpoint.
    PeerLost: another process of the run is gone.
  """
  with Preemption() as preemption, hosts.losses_named():
    with agree.mistakes_shared():
      build.check(config)  # what no run can have is said before what this workdir cannot
      starting.check_export(config, workdir)
      unread.check_paths(config)
    with bucket.here(workdir) as (folder, mirror):
      return _train(config, folder, devices, preemption, mirror, workdir, given)


def _train(
  config: ConfigDict,
  workdir: str,
  devices: list[jax.Device] | None,
  preemption: Preemption,
  mirror: Nowhere,
  asked: str,
  given: given_lib.Images | None,
) -> Result:
  """Trains in a local `workdir`, which was `asked` for as such or as a bucket."""
  begun = time.monotonic()
  with agree.mistakes_shared():
    config = workdir_lib.ordered(workdir, config)
  with data.one_look():
    mesh, source, held_out, image_set = opening.checked(config, workdir, devices, given)
    config = opening.with_value_range(config, source)
    scored = opening.scored(config, source, given)
  to_score = next_command.to_score(config, asked, source, held_out, scored)
  run = build.run(config, len(source), source.num_classes, mesh.size)
  mesh = state_lib.divided(run.init, mesh) if config.fsdp else mesh
  weights = starting.weights(config, workdir)
  begin = {"seed": config.seed, "mesh": mesh, "fsdp": config.fsdp}
  state = state_lib.create(run.init, **begin, given=weights and start_lib.given(weights))
  unreadable = _unreadable_path(workdir)
  monitor = Monitor.create(config, source, held_out, run.net, run.recipe, mesh, unreadable)
  step_fn, forms = _traced(config, run, source, state, mesh)
  preemption.leave_if_requested()
  with _held(workdir, config, mirror) as (watchdog, checkpoints):
    listed = getattr(source, "listing", None)
    # Again: now no other can write there.
    changes = workdir_lib.check(workdir, config, image_set, listed)
    watchdog.doing("restoring the last checkpoint")
    if found := checkpoints.restore(state):
      state = found.replace(memory=run.method.resume(found.memory, state.memory))
    start = int(parallel.fetch(state.step))
    weights = None if start else weights
    _check_something_is_left(config, run, start)
    # Not before the checkpoint is known to fit.
    versions = workdir_lib.stamp(workdir, config, image_set, start, mirror.stamped)
    written_anew = ""
    if jax.process_index() == 0:
      written_anew = files.written_anew(workdir, listed)
      files.keep(workdir, listed, mirror.stamped)
      starting.note(workdir, weights, mirror.stamped)
    spent = Spent(pathlib.Path(workdir) / spent_lib.NAME, start, begun)
    with _reporter(workdir, config, run, start) as reporter:
      reporter.console.line(introduction.line(config, run, state, source, held_out, mesh, start))
      if config.fsdp:
        reporter.console.line(state_lib.what_is_cut(state, mesh))
      from_weights = weights and weights.said()
      for form in filter(None, (from_weights, *forms, written_anew)):
        reporter.console.line(form)
      for change in changes:
        reporter.console.line(f"other than before, as was allowed: {change}")
        key, before, *_ = change.split()
        if key == "batch_size" and not any(other.startswith("images ") for other in changes):
          sizes = int(before), config.batch_size
          reporter.console.line(changed_batch.said(start, len(source), *sizes))
      if versions:
        reporter.console.line(
          f"other than up to step {start}: {'; '.join(versions)} (versions.json keeps both)"
        )
      watchdog.doing("preparing the images")
      load = _loader(config, source, unreadable)
      batches = load(start_step=start, total_steps=run.total_steps)
      reporter.console.line(batches.describe())
      step_fn = _fitting(config, source, mesh, reporter, watchdog) or step_fn
      views = None
      if _views_are_wanted(config, workdir, start):
        first = next(iter(load(total_steps=1, cache="none") if start else batches))
        views = preview.save(workdir, run.method, run.recipe, first, config.seed)
      if views or not start:
        reporter.show(config_lib.to_json(config), views)
      preemption.leave_if_requested()
      loop = _loop(config, run, mesh, monitor, checkpoints, reporter, watchdog, spent)
      if start < run.total_steps:
        checkpoints.try_out(state)
        reporter.console.line("compiling the step, once a start: seconds to minutes")
      with parallel.use(mesh):
        result = loop.run(step_fn, state, batches, preemption)
      starting.export_at_end(config, asked)
      reporter.console.line(f"done; to score it: {to_score}")
      return result


def _check_something_is_left(config: ConfigDict, run: build.Run, start: int) -> None:
  """Raises `UserError` if the checkpoint lies beyond the end that epochs and batches now have."""
  if start > run.total_steps and config.steps:
    raise errors.UserError(
      f"the checkpoint is of step {start}, beyond steps {config.steps}: nothing is left to train; "
      f"set --config.steps={start + 1} or more"
    )
  if start > run.total_steps:
    raise errors.UserError(
      f"the checkpoint is of step {start}, beyond the {run.total_steps} steps of epochs "
      f"{config.epochs} with batch_size {config.batch_size}, {run.steps_per_epoch} an epoch: "
      f"nothing is left to train; set --config.epochs={-(-start // run.steps_per_epoch) + 1} "
      "or more"
    )


@contextlib.contextmanager
def _held(
  workdir: str, config: ConfigDict, mirror: Nowhere
) -> Iterator[tuple[Watchdog, Checkpoints]]:
  """Keeps the workdir for this run alone, watched, with its checkpoints open."""
  with agree.mistakes_shared():
    workdir_lib.make(workdir)
  with lock.hold(workdir), Watchdog(**config.watchdog) as watchdog:
    options = config_lib.fields_of(Checkpoints, config.checkpoint)
    with contextlib.closing(Checkpoints(workdir, mirror=mirror, **options)) as checkpoints:
      watchdog.beside(checkpoints.under_way)
      yield watchdog, checkpoints


def _reporter(
  workdir: str, config: ConfigDict, run: build.Run, start: int
) -> contextlib.closing[Reporter]:
  return contextlib.closing(
    Reporter(
      workdir,
      total_steps=run.total_steps,
      start_step=start,
      tensorboard=config.log.tensorboard,
      wandb_config=config_lib.to_json(config) if config.log.wandb else "",
    )
  )


def _unreadable_path(workdir: str) -> str:
  """Returns where this process lists the images that it could not read."""
  number = jax.process_index()
  return str(pathlib.Path(workdir) / f"unreadable{f'.{number}' if number else ''}.txt")


def _loader(
  config: ConfigDict, source: data.Source, unreadable: str
) -> Callable[..., pipeline.Batches]:
  """Returns `pipeline.train_batches` of this run and process; what is open is which steps."""
  return functools.partial(
    pipeline.train_batches,
    source,
    batch_size=config.batch_size,
    seed=config.seed,
    list_unreadable=unreadable,
    order_name=config.data.order,
    **pipeline.this_process(),
    **run_images.pipeline_options(config),
  )


def _traced(
  config: ConfigDict, run: build.Run, source: data.Source, state: TrainState, mesh: Mesh
) -> tuple[Step, list[str]]:
  """Returns the step to call, and the lines in which its parts tell which form they take.

  It is traced here, once: what it refuses is said before anything is made.
  """
  step = compiling.often(run.step, donate_argnums=0)
  size_px = images.of_source(config, source).size_px
  form = run_images.form(config)
  count = config.batch_size * (run.method.num_views if _is_cpu(mesh) else 0)
  limits.check_host(
    {
      "a batch of images": config.batch_size * size_px**2 * form.channels * form.dtype.itemsize,
      "its views": count * config.image_size_px**2 * form.channels * np.dtype(np.float32).itemsize,
    },
    "take a smaller batch_size, data.host_size_px or image_size_px",
  )
  with parallel.use(mesh), program.held_back() as lines:
    jax.eval_shape(step, state, program.host_batch(config.batch_size, size_px, mesh, form))
  return step, lines


def _is_cpu(mesh: Mesh) -> bool:
  return mesh.devices.flat[0].platform == "cpu"


def _fitting(
  config: ConfigDict, source: data.Source, mesh: Mesh, reporter: Reporter, watchdog: Watchdog
) -> Step | None:
  """Returns a step that fits into the memory of the devices; None where that is not known."""
  limit = fit.limit_bytes(config) if config.fit_memory else None
  if not limit:
    return None
  sizes = images.of_source(config, source)
  chosen, compiled = fit.choose(config, sizes, list(mesh.devices.flat), limit, watchdog.doing)
  for change in config_lib.changes(*map(config_lib.flatten, (config, chosen))):
    reporter.console.line(f"to fit into {limit / fit.GIB:.1f} GiB of a device: {change}")
  return compiled


def _views_are_wanted(config: ConfigDict, workdir: str, start: int) -> bool:
  """Returns whether this process is to draw views.png: once a run, even if asked for later."""
  drawn = start and (pathlib.Path(workdir) / "views.png").exists()
  return config.log.views and not drawn and jax.process_index() == 0


def _loop(
  config: ConfigDict,
  run: build.Run,
  mesh: Mesh,
  monitor: Monitor,
  checkpoints: Checkpoints,
  reporter: Reporter,
  watchdog: Watchdog,
  spent: Spent,
) -> Loop:
  due = Due(
    steps_per_epoch=run.steps_per_epoch,
    total_steps=run.total_steps,
    log_every_steps=config.log.every_steps,
    save_every_epochs=config.checkpoint.every_epochs,
    score_every_epochs=config.monitor.every_epochs,
  )
  noise = Noise(compiling.often(run.noise) if run.noise else None, due)
  earlier = Earlier(*json.loads(agree.texts(json.dumps(reporter.earlier))[0]))
  alarms = Alarms(
    run.chance,
    warmup_steps=run.schedule.warmup_steps,
    idle_steps=run.idle_steps,
    after_steps=config.monitor.alarm_after_steps,
    lasting_steps=config.monitor.lasting_steps,
    min_gradient=config.monitor.min_gradient,
    **config_lib.fields_of(collapse.alarms, config.monitor),
  )
  readings = Readings(
    reporter,
    due,
    compiling.once(run.schedule),  # each of its operations would be compiled by itself
    config.batch_size,
    Skips(config.max_skipped_steps),
    alarms,
    noise,
    spent,
    earlier.latest,
  )
  minutes = Minutes(config.checkpoint.every_minutes, mesh)
  scored = "knn_top1" in earlier.of_last
  return Loop(
    *(mesh, due, minutes, noise, readings, monitor, checkpoints, reporter, watchdog, spent, scored)
  )
