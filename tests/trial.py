"""A method with one residual block: its step, compiled and run on some devices."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

from contrastive_jax import augment, methods, optim, parallel
from contrastive_jax import step as step_lib
from contrastive_jax.models import resnet
from contrastive_jax.plan import arithmetic
from contrastive_jax.step import online
from contrastive_jax.step import state as state_lib

SIZE_PX, BATCH, CLASSES, NUM_IMAGES, SEED = 16, 32, 4, 160, 3
WITH_WHOLE_RECIPE = ("simclr", "looc")  # the second shares operations between views
# A sum over 8 devices rounds differently from a sum over 1; batch norm over few rows enlarges it.
TOLERANCE = 1e-4  # of each array's largest value


def host_batch():
  rng = np.random.default_rng(0)
  return {
    "image": rng.integers(0, 256, (BATCH, SIZE_PX, SIZE_PX, 3), dtype=np.uint8),
    "extent": np.full((BATCH, 2), SIZE_PX, np.int32),
    "label": rng.integers(0, CLASSES, BATCH, dtype=np.int32),
    "index": np.arange(100, 100 + BATCH, dtype=np.int32),
    "mask": np.ones(BATCH, bool),
    "replaced": np.zeros(BATCH, np.int32),
  }


def recorder():
  """An optimiser step that changes nothing and keeps the gradient in its state."""
  return optax.GradientTransformation(
    init=lambda params: jax.tree.map(jnp.zeros_like, params),
    update=lambda updates, state, params=None: (updates, updates),
  )


def small(name, **options):
  """A method with its defaults, but widths, queues and the like of at most 64, and some options."""
  cls = methods.get(name)

  def shrink(value):
    if isinstance(value, tuple):
      return tuple(shrink(v) for v in value)
    return min(value, 64) if isinstance(value, int) and not isinstance(value, bool) else value

  values = {f.name: shrink(f.default) for f in dataclasses.fields(cls)}
  if "num_classes" in values:
    values["num_classes"] = CLASSES  # a classifier must fit the task
  if "min_area" in values:
    # XLA resamples a crop to 5e-6 alike for another number of images, enough to switch a ReLU.
    values["min_area"] = 1.0
  for option in {"freeze_steps", "freeze_epochs"} & set(values):
    values[option] = 0  # a layer that stands still at first is tested when it moves
  return cls(**values | options)


def recipe(method, whole):
  """SimCLR's views, or views that are only turned: to compile crops takes longer than a method."""
  found = augment.recipe(
    "simclr_cifar",
    SIZE_PX,
    num_views=method.num_views,
    rotate=1.0,
    local_views=method.num_local_views,
  )
  if whole:
    return found
  turned = tuple(
    tuple(operation for operation in view if operation[0] == "rotate") for view in found.views
  )
  return dataclasses.replace(found, views=turned)


class Trial:
  """A method with one residual block on some devices; its step is compiled once and run twice."""

  def __init__(self, name, num_devices, like=None, fsdp=False, variant=({}, {}), shards=None):
    mesh = parallel.make_mesh(jax.devices()[:num_devices], shards)
    options, network = variant
    self.name, self.method = name, small(name, **options)
    network = {"stem": "cifar_s2", "zero_gamma": False} | network
    backbone = resnet.ResNet((1,), resnet.BasicBlock, 8, **network)
    self.net = self.method.network(backbone)
    optimizer = optax.chain(recorder(), optim.build("sgd", 0.1, weight_decay=1e-4))
    probe = online.Probe(CLASSES)
    if like:
      self.state = parallel.replicate(jax.device_get(like.state), mesh)
    else:
      task = methods.Task(NUM_IMAGES, CLASSES, BATCH, SIZE_PX)
      init = state_lib.initialiser(self.method, self.net, optimizer, probe, task)
      self.state = state_lib.create(init, seed=SEED, mesh=mesh, fsdp=fsdp)
    step = step_lib.make(
      self.method,
      self.net,
      optimizer,
      probe,
      recipe(self.method, whole=name in WITH_WHOLE_RECIPE),
      seed=SEED,
      steps_per_epoch=4,
      total_steps=8,
    )
    with parallel.use(mesh):
      batch = parallel.put(host_batch(), mesh)
      lowered = jax.jit(step).lower(self.state, batch)
      compiled = lowered.compile()
      after, metrics = compiled(self.state, batch)
      second, _ = compiled(after, batch)  # refuses a state of another form or sharding
    self.argument_bytes = compiled.memory_analysis().argument_size_in_bytes
    self.run, self.batch, self.sharding = compiled, batch, parallel.replicated(mesh)
    self.after, self.second, self.metrics = jax.device_get((after, second, metrics))
    # What is left where two sums of the size of 1 cancel: it rounds as 1 does, however near to 0.
    if "collapse_cosine" in self.metrics:
      self.metrics["collapse_cosine"] = 1 + np.float64(self.metrics["collapse_cosine"])
    self.gradient = self.after.opt_state[0]
    self.source, self.text = lowered.as_text(), compiled.as_text()
    self.flops = compiled.cost_analysis()["flops"] + arithmetic.missed(self.text)


def assert_close(tree, other):
  def check(path, a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    scale = max(np.abs(a).max(initial=0), 1e-3)
    assert np.abs(a - b).max(initial=0) <= TOLERANCE * scale, jax.tree_util.keystr(path)

  jax.tree_util.tree_map_with_path(check, tree, other)
