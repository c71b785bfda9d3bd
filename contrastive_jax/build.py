"""From a config to objects: the one place that knows both, used by training and evaluation."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree
from ml_collections import ConfigDict

from contrastive_jax import augment, errors, methods, models, optim, parallel, run_images
from contrastive_jax import config as config_lib
from contrastive_jax import step as step_lib
from contrastive_jax.config import fields_of
from contrastive_jax.data import pipeline
from contrastive_jax.data.decoding import Decoding
from contrastive_jax.models.network import Network
from contrastive_jax.step import noise, online
from contrastive_jax.step import state as state_lib


class Run(NamedTuple):
  """What a pre-training run consists of, before there are devices or images."""

  net: Network
  method: methods.Method
  recipe: augment.Recipe
  schedule: optim.Schedule
  steps_per_epoch: int
  total_steps: int
  init: Callable[[Array], state_lib.TrainState]  # of a key
  step: step_lib.Step
  noise: noise.Measure | None  # None: not asked for
  chance: float | None  # see `Method.chance`
  idle_steps: int  # see `Method.idle_steps`


def run(config: ConfigDict, num_images: int, num_classes: int, num_devices: int) -> Run:
  """Returns the parts of a run; training and planning build theirs here.

  Args:
    config: of the run.
    num_images: of the training set.
    num_classes: of its labels; 0: it has none.
    num_devices: over which the batch is divided.

  Raises:
    UserError: something in `config` cannot work, by itself or with these numbers.
  """
  check(config)
  parallel.check_batch_size(config.batch_size, num_devices)
  check_micro_batches(config, num_devices)
  parts = config.monitor.noise_parts
  noise.check(parts, config.batch_size, config.model.get("bn_groups", 1), num_devices)
  per_epoch = steps_per_epoch(config, num_images)
  chosen, network, views = method(config), net(config), recipe(config)
  probe = online.Probe(num_classes, config.monitor.online_learning_rate)
  task = methods.Task(
    num_images, num_classes, config.batch_size, config.image_size_px, config.data.channels
  )
  update, schedule = optimizer(config, per_epoch, chosen.frozen(task))
  total, most = config_lib.total_steps(config, per_epoch), np.iinfo(np.int32).max
  if total > most:
    key, limit = ("steps", most) if config.steps else ("epochs", most // per_epoch)
    raise errors.UserError(
      f"{key} {config[key]} are {total} steps, which are counted to {most}; set "
      f"--config.{key}={limit} or less"
    )
  clock = {"seed": config.seed, "steps_per_epoch": per_epoch}
  return Run(
    network,
    chosen,
    views,
    schedule,
    per_epoch,
    total,
    init=state_lib.initialiser(chosen, network, update, probe, task),
    step=step_lib.make(
      chosen,
      network,
      update,
      probe,
      views,
      total_steps=total,
      measure_every=config.log.every_steps,
      **clock,
    ),
    noise=noise.make(chosen, network, views, parts, **clock) if parts else None,
    chance=chosen.chance(task, len(views.views)),
    idle_steps=chosen.idle_steps(task),
  )


def check(config: ConfigDict) -> None:
  """Raises `UserError` for what no run could have, whatever its images, devices and workdir."""
  config_lib.check(config)
  Decoding(**run_images.pipeline_options(config))  # refuses what cannot be
  net(config)
  recipe(config)
  optimizer(config, steps_per_epoch=1)


def check_stored(
  config: ConfigDict, params: PyTree, stats: PyTree, file: str, partly: bool = False
) -> None:
  """Raises `UserError` unless a config, as it was read from a `file`, is one of these weights.

  Args:
    config: of a run.
    params, stats: of its checkpoint.
    file: how an error calls the config.
    partly: whether heads may be missing, as a target network's.
  """
  remedy = "put a good copy there"
  try:
    check(config)
    wanted = _leaves(_shapes(config))
  except errors.UserError as error:
    raise errors.UserError(f"{file} is of no run ({error}); {remedy}") from error
  held = _leaves({"params": params, "batch_stats": stats})
  plain = config_lib.flatten(config_lib.pretrain(config.method.name, config.model.name))
  if partly:
    wanted, held = (
      {name: shape for name, shape in found.items() if name.split("/")[0] in params}
      for found in (wanted, held)
    )
  for name in [*wanted, *held]:
    if wanted.get(name) != held.get(name):
      given = config_lib.flatten({k: config[k] for k in ("model", "method")})
      said = [f"{k} {v}" for k, v in given.items() if k.endswith(".name") or plain[k] != v]
      raise errors.UserError(
        f"{file} is of another network than the checkpoint: {name} is "
        f"{wanted.get(name, 'nowhere')} by {', '.join(said)} and defaults, and "
        f"{held.get(name, 'nowhere')} in the checkpoint; {remedy}"
      )


def _leaves(tree: PyTree) -> dict[str, list[int]]:
  """Returns the shape of each leaf, by its path."""
  flat, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {"/".join(key.key for key in path[1:]): list(leaf.shape) for path, leaf in flat}


def method(config: ConfigDict) -> methods.Method:
  """Returns the method with its hyper-parameters."""
  cls = methods.get(config.method.name)
  unknown = set(config.method) - {"name"} - set(fields_of(cls, config.method))
  if unknown:
    raise errors.UserError(
      f'method "{config.method.name}" has no option {", ".join(sorted(unknown))}; '
      "start from a config file of that method"
    )
  return cls(**fields_of(cls, config.method))


def net(config: ConfigDict) -> Network:
  """Returns the backbone with the method's heads."""
  backbone = {k: v for k, v in config.model.items() if k != "name"}
  whole = method(config).network(models.backbone(config.model.name, **backbone))
  return whole.clone(micro_batches=config.micro_batches)


def check_micro_batches(config: ConfigDict, num_devices: int) -> None:
  """Raises `UserError` unless each micro-batch holds, on each device, whole batch-norm groups.

  Otherwise the parts would have other batch statistics than the undivided batch. That too is of
  whole groups of images. A network without batch norm may be shown any equal parts.
  """
  parts, groups = config.micro_batches, config.model.bn_groups
  if groups < 1:
    raise errors.UserError(f"model.bn_groups {groups} is below 1; set --config.model.bn_groups=1")
  if parts < 1:
    raise errors.UserError(f"micro_batches {parts} is below 1; use 1 for the undivided batch")
  if parts > 1 and groups % (parts * num_devices) and not has_batch_norm(config):
    if config.batch_size % (parts * num_devices):
      raise errors.UserError(
        f"micro_batches {parts}: batch_size {config.batch_size} is not divisible by {parts} parts "
        f"on {num_devices} device(s); use a multiple of {parts * num_devices}"
      )
    return
  if parts > 1 and groups % (parts * num_devices):
    raise errors.UserError(
      f"micro_batches {parts} on {num_devices} device(s) needs model.bn_groups to be a multiple of "
      f"{parts * num_devices}, it is {groups}: batch norm needs all its rows at once; change "
      "bn_groups, or save memory with --config.model.remat=True alone"
    )
  if parts > 1 and config.batch_size % (groups * num_devices):
    raise errors.UserError(
      f"micro_batches {parts}: batch_size {config.batch_size} is not divisible by {groups} "
      f"batch-norm groups on {num_devices} device(s); use a multiple of {groups * num_devices}"
    )
  if config.batch_size % groups:
    below = next(
      n for n in range(min(groups, config.batch_size), 0, -1) if config.batch_size % n == 0
    )
    raise errors.UserError(
      f"model.bn_groups {groups} does not divide batch_size {config.batch_size}; set "
      f"--config.model.bn_groups={below}, or a batch_size that is a multiple of {groups}"
    )


def has_batch_norm(config: ConfigDict) -> bool:
  """Returns whether a layer of the network takes statistics over the batch; computes nothing."""
  return bool(_shapes(config).get("batch_stats"))


def backbone_shapes(config: ConfigDict) -> dict[str, tuple[int, ...]]:
  """Returns the shapes of the backbone's arrays: {"params.LAYER.LEAF", "stats.LAYER.LEAF"}."""
  found = _shapes(config)
  trees = {"params": found["params"], "stats": found.get("batch_stats", {})}
  flat, _ = jax.tree_util.tree_flatten_with_path(
    {k: t.get("backbone", {}) for k, t in trees.items()}
  )
  return {".".join(key.key for key in path): leaf.shape for path, leaf in flat}


def _shapes(config: ConfigDict) -> PyTree:
  """Returns the shapes of weights and batch-norm statistics; computes nothing."""
  network = net(config)

  def init():
    image = jnp.zeros((1, config.image_size_px, config.image_size_px, config.data.channels))
    return network.init(jax.random.key(0), image, train=False)

  return jax.eval_shape(init)


def recipe(config: ConfigDict) -> augment.Recipe:
  """Returns the views of the run, as many as its method needs."""
  options = {k: v for k, v in config.augment.items() if k != "recipe"}
  needed = method(config)
  if options["num_views"] is None:
    options["num_views"] = needed.num_views
  given = options["num_views"]
  if given != needed.num_views and not (needed.any_views and given > needed.num_views):
    raise errors.UserError(
      f'augment.num_views {given}: method "{config.method.name}" needs {needed.num_views}'
      f"{' or more' if needed.any_views else ''}; leave it unset"
    )
  if options["local_views"] is None:
    options["local_views"] = needed.num_local_views
  if options["local_views"] != needed.num_local_views:
    raise errors.UserError(
      f'augment.local_views {options["local_views"]}: method "{config.method.name}" needs '
      f"{needed.num_local_views}; leave it unset"
    )
  return augment.recipe(
    config.augment.recipe,
    size_px=config.image_size_px,
    channels=config.data.channels,
    **options,
  )


def optimizer(
  config: ConfigDict, steps_per_epoch: int, frozen: optim.Frozen = ()
) -> tuple[optax.GradientTransformation, optim.Schedule]:
  """Returns the optimiser and its learning rate per step; `frozen` see `optim.build`.

  A warm-up that is longer than a run of `steps` takes the part of them that it has of `epochs`.
  """
  values = fields_of(optim.schedule, config.optimizer)
  epochs = config_lib.total_steps(config, steps_per_epoch) / steps_per_epoch
  if config.steps and epochs < values["warmup_epochs"] <= config.epochs:
    values["warmup_epochs"] *= epochs / config.epochs
  schedule = optim.schedule(
    batch_size=config.batch_size * config.optimizer.plain_accumulation,
    epochs=epochs,
    steps_per_epoch=steps_per_epoch,
    **values,
  )
  options = fields_of(optim.build, config.optimizer)
  return optim.build(learning_rate=schedule, frozen=frozen, **options), schedule


def steps_per_epoch(config: ConfigDict, num_images: int) -> int:
  """Returns the full batches in an epoch; the last partial one is dropped."""
  return pipeline.steps_per_epoch(num_images, config.batch_size)
