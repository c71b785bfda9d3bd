"""Properties that every method must have; a file in methods/ is enrolled by being there."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trial

from contrastive_jax import methods
from contrastive_jax.workdir import checkpoint

# Compiling takes the time: two counts for one method, the largest for the others.
# `pytest --all-devices` asks for all.
DEVICE_COUNTS = (2, 4, 8)
WITH_TWO_COUNTS = ("simclr",)
# What defaults leave out, for the equality of devices alone: options of the method, of the network.
VARIANTS = {
  "swav": ({"queue_size": 64, "queue_from_epoch": 0}, {}),
  "looc": ({"queue_size": 0}, {}),
  "instdisc": ({"num_noise": 0}, {}),
  "moco": ({"queue_size": 0, "symmetric": True}, {"bn_groups": 4}),
}


class Trials:
  """The trials of one method, each made when it is first asked for."""

  def __init__(self, name):
    self.name, self._made = name, {}

  def on(self, num_devices):
    if num_devices not in self._made:
      like = self.on(1) if num_devices > 1 else None
      self._made[num_devices] = trial.Trial(self.name, num_devices, like)
    return self._made[num_devices]


@pytest.fixture(scope="module", params=methods.names())
def trials(request):
  yield Trials(request.param)
  jax.clear_caches()  # a process may hold so many memory maps; every program holds some


def test_loss_is_finite_and_every_trained_leaf_gets_a_gradient(trials):
  assert np.isfinite(trials.on(1).metrics["loss"])
  for path, leaf in jax.tree_util.tree_leaves_with_path(trials.on(1).gradient):
    assert np.all(np.isfinite(leaf)), jax.tree_util.keystr(path)
    assert np.any(leaf), f"{jax.tree_util.keystr(path)} is not trained"


def test_memory_gets_no_gradient(trials):
  t = trials.on(1)
  if not t.state.memory:
    pytest.skip(f"{t.name} remembers nothing")
  shape = (trial.BATCH, t.method.num_views, trial.SIZE_PX, trial.SIZE_PX, 3)
  views = jax.random.uniform(jax.random.key(0), shape)
  batch = {k: trial.host_batch()[k] for k in ("label", "index")} | {"views": views}
  if t.method.num_local_views:
    batch["local_views"] = jnp.repeat(views[:, :1], t.method.num_local_views, axis=1)

  def loss(memory):
    key = jax.random.key(1)
    return t.method.loss(t.net, t.state.params, t.state.stats, memory, batch, key)[0]

  grads = jax.jit(jax.grad(loss, allow_int=True))(t.state.memory)
  for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
    if leaf.dtype != jax.dtypes.float0:
      assert not np.any(leaf), jax.tree_util.keystr(path)


def test_no_product_has_a_matrix_of_one_number_on_its_right(trials):
  # XLA's CPU library makes garbage of a sum after such a product (docs/devices.md).
  assert not _products_with_one_number(trials.on(1).source)


def test_products_with_a_matrix_of_one_number_are_found():
  def wrong(k, scale):
    blurred = jax.lax.conv(k[None, None], jnp.ones((2, 1, 3, 3)), (1, 1), "SAME")
    return k @ jnp.full_like(k, 0.5), k @ jnp.broadcast_to(scale, k.shape).T, blurred

  square, number = jnp.ones((4, 4)), jnp.float32(3)
  assert len(_products_with_one_number(jax.jit(wrong).lower(square, number).as_text())) == 3
  assert not _products_with_one_number(jax.jit(jnp.matmul).lower(square, square).as_text())


def _products_with_one_number(program):
  """Returns the lines of a program in StableHLO with a matrix or a kernel of equal numbers."""
  defined = re.compile(r"\s*(%\w+)(?::\d+)? = (.*)")
  filled = re.compile(
    r"stablehlo\.(?:constant dense<[^[>]+>|broadcast_in_dim %\w+, dims = \[\]) : .*tensor<\d+x\d+x"
  )
  same = re.compile(r"(?:sdy\.sharding_constraint|stablehlo\.(?:convert|transpose)) (%\w+)")
  product = re.compile(r"stablehlo\.(?:dot_general |convolution\()%\w+, (%\w+)[,)]")
  found, of_one_number = [], set()
  for line in program.splitlines():
    if match := product.search(line):
      found += [line] if match[1] in of_one_number else []
    if match := defined.match(line):  # a name is given again behind the region that had it
      name, operation = match.groups()
      kept = same.match(operation)
      is_filled = filled.match(operation) or kept and kept[1] in of_one_number
      (of_one_number.add if is_filled else of_one_number.discard)(name)
  return found


def test_devices_do_not_change_loss_gradient_or_state(trials, request):
  counts = DEVICE_COUNTS[::2] if trials.name in WITH_TWO_COUNTS else DEVICE_COUNTS[-1:]
  for count in DEVICE_COUNTS if request.config.getoption("--all-devices") else counts:
    one, many = trials.on(1), trials.on(count)
    trial.assert_close(
      (one.after, one.metrics), (many.after, many.metrics)
    )  # the gradient is in `after`


@pytest.mark.parametrize(
  "name",
  [pytest.param(n, marks=pytest.mark.thorough if n in ("swav", "looc") else ()) for n in VARIANTS],
)
def test_devices_do_not_change_a_variant(name):
  one = trial.Trial(name, 1, variant=VARIANTS[name])
  many = trial.Trial(name, 8, like=one, variant=VARIANTS[name])
  for found in (one, many):  # it counts comparisons of cosines that may differ by rounding alone
    found.metrics.pop("contrastive_accuracy", None)
  trial.assert_close((one.after, one.metrics), (many.after, many.metrics))
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
