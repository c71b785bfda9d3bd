"""Properties that every method must have; a file in methods/ is enrolled by being there."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from contrastive_jax import augment, checkpoint, methods, online, optim, parallel
from contrastive_jax import state as state_lib
from contrastive_jax import step as step_lib
from contrastive_jax.models import resnet

SIZE_PX, BATCH, CLASSES, NUM_IMAGES, SEED = 16, 32, 4, 160, 3
# Compiling takes the time: all counts for one method, the largest for the others.
# `pytest --all-devices` asks for all.
DEVICE_COUNTS = (2, 4, 8)
WITH_ALL_COUNTS = ("simclr",)
WITH_WHOLE_RECIPE = ("simclr", "looc")  # the second shares operations between views
# What defaults leave out, for the equality of devices alone: options of the method, of the network.
VARIANTS = {
  "swav": ({"queue_size": 64, "queue_from_epoch": 0}, {}),
  "looc": ({"queue_size": 0}, {}),
  "instdisc": ({"num_noise": 0}, {}),
  "moco": ({"queue_size": 0, "symmetric": True}, {"bn_groups": 4}),
}
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

  def __init__(self, name, num_devices, like=None, fsdp=False, variant=({}, {})):
    mesh = parallel.make_mesh(jax.devices()[:num_devices])
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
      compiled = jax.jit(step).lower(self.state, batch).compile()
      after, metrics = compiled(self.state, batch)
      second, _ = compiled(after, batch)  # refuses a state of another form or sharding
    self.argument_bytes = compiled.memory_analysis().argument_size_in_bytes
    self.run, self.batch, self.sharding = compiled, batch, parallel.replicated(mesh)
    self.after, self.second, self.metrics = jax.device_get((after, second, metrics))
    self.gradient = self.after.opt_state[0]
    self.text, self.flops = compiled.as_text(), compiled.cost_analysis()["flops"]


class Trials:
  """The trials of one method, each made when it is first asked for."""

  def __init__(self, name):
    self.name, self._made = name, {}

  def on(self, num_devices):
    if num_devices not in self._made:
      like = self.on(1) if num_devices > 1 else None
      self._made[num_devices] = Trial(self.name, num_devices, like)
    return self._made[num_devices]


@pytest.fixture(scope="module", params=methods.names())
def trials(request):
  yield Trials(request.param)
  jax.clear_caches()  # a process may hold so many memory maps; every program holds some


def assert_close(tree, other):
  def check(path, a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    scale = max(np.abs(a).max(initial=0), 1e-3)
    assert np.abs(a - b).max(initial=0) <= TOLERANCE * scale, jax.tree_util.keystr(path)

  jax.tree_util.tree_map_with_path(check, tree, other)


def test_loss_is_finite_and_every_trained_leaf_gets_a_gradient(trials):
  assert np.isfinite(trials.on(1).metrics["loss"])
  for path, leaf in jax.tree_util.tree_leaves_with_path(trials.on(1).gradient):
    assert np.all(np.isfinite(leaf)), jax.tree_util.keystr(path)
    assert np.any(leaf), f"{jax.tree_util.keystr(path)} is not trained"


def test_memory_gets_no_gradient(trials):
  t = trials.on(1)
  if not t.state.memory:
    pytest.skip(f"{t.name} remembers nothing")
  shape = (BATCH, t.method.num_views, SIZE_PX, SIZE_PX, 3)
  views = jax.random.uniform(jax.random.key(0), shape)
  batch = {k: host_batch()[k] for k in ("label", "index")} | {"views": views}
  if t.method.num_local_views:
    batch["local_views"] = jnp.repeat(views[:, :1], t.method.num_local_views, axis=1)

  def loss(memory):
    key = jax.random.key(1)
    return t.method.loss(t.net, t.state.params, t.state.stats, memory, batch, key)[0]

  grads = jax.jit(jax.grad(loss, allow_int=True))(t.state.memory)
  for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
    if leaf.dtype != jax.dtypes.float0:
      assert not np.any(leaf), jax.tree_util.keystr(path)


def test_devices_do_not_change_loss_gradient_or_state(trials, request):
  everything = request.config.getoption("--all-devices") or trials.name in WITH_ALL_COUNTS
  for count in DEVICE_COUNTS if everything else DEVICE_COUNTS[-1:]:
    one, many = trials.on(1), trials.on(count)
    assert_close((one.after, one.metrics), (many.after, many.metrics))  # the gradient is in `after`


@pytest.mark.parametrize(
  "name",
  [pytest.param(n, marks=pytest.mark.thorough if n in ("swav", "looc") else ()) for n in VARIANTS],
)
def test_devices_do_not_change_a_variant(name):
  one = Trial(name, 1, variant=VARIANTS[name])
  many = Trial(name, 8, like=one, variant=VARIANTS[name])
  for trial in (one, many):  # it counts comparisons of cosines that may differ by rounding alone
    trial.metrics.pop("contrastive_accuracy", None)
  assert_close((one.after, one.metrics), (many.after, many.metrics))
  jax.clear_caches()


def test_a_restored_run_goes_on_bit_for_bit(trials, tmp_path):
  t = trials.on(1)
  checkpoints = checkpoint.Checkpoints(str(tmp_path))
  checkpoints.save(1, jax.device_put(t.after, t.sharding))
  checkpoints.wait()
  restored = checkpoints.restore(t.state)
  checkpoints.close()
  resumed, _ = t.run(restored, t.batch)
  for path, leaf in jax.tree_util.tree_leaves_with_path(jax.device_get(resumed)):
    twin = dict(jax.tree_util.tree_leaves_with_path(t.second))[path]
    assert np.array_equal(leaf, twin), jax.tree_util.keystr(path)


def test_work_is_divided_over_devices(trials):
  assert 8 * trials.on(8).flops <= 1.15 * trials.on(1).flops


def test_only_embeddings_travel_between_devices(trials):
  """The only arrays of four axes, as images have, are the gradients of kernels."""
  t = trials.on(8)
  kernels = {leaf.shape for leaf in jax.tree.leaves(t.state.params)}
  found = collectives(t.text)
  assert "all-reduce" in {kind for kind, _ in found}, "the test must see the gradients' sum"
  for kind, shapes in found:
    assert kind in ("all-gather", "all-reduce", "reduce-scatter"), kind
    for shape in shapes:
      assert len(shape) < 4 or (kind == "all-reduce" and shape in kernels), (kind, shape)


def collectives(text):
  """Returns (kind, shapes of its results) of every collective in compiled text."""
  found = []
  for line in text.splitlines():
    match = re.search(
      r"= (.*?) (all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute"
      r"|collective-broadcast)(-start)?\(",
      line,
    )
    if match:
      shapes = re.findall(r"\w+\[([\d,]*)\]", match.group(1))
      found.append((match.group(2), [tuple(int(d) for d in s.split(",") if d) for s in shapes]))
  return found


def test_a_step_keeps_the_form_of_the_state(trials):
  t = trials.on(8)

  def form(tree):
    return jax.tree.map(lambda x: (x.shape, x.dtype), tree)

  assert form(t.state) == form(t.after)
  assert jax.tree.structure(t.state) == jax.tree.structure(t.after)
