"""Row statistics of a similarity matrix: dense, tiled and sharded forms are one function."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rows import over_itself, problem, weighted

from contrastive_jax import errors, parallel
from contrastive_jax.losses import similarity

TOLERANCE = 2e-6  # a few float32 roundings of values of order 1


def loop_oracle(q, k, q_id, k_id, q_group, k_group, temperature):
  """Row by row, column by column, in float64."""
  lse, mean, top = [], [], []
  for i in range(len(q)):
    kept, others = [], []
    for j in range(len(k)):
      s = float(np.dot(q[i].astype(np.float64), k[j].astype(np.float64))) / temperature
      if k_id[j] != q_id[i]:
        kept.append(s)
        if k_group[j] != q_group[i]:
          others.append(s)
    kept = np.array(kept)
    weights = np.exp(kept - kept.max())
    lse.append(kept.max() + np.log(weights.sum()))
    mean.append((weights * kept).sum() / weights.sum())
    top.append(max(others))
  return np.array(lse), np.array(mean), np.array(top)


@pytest.mark.parametrize("implementation,tile", [("dense", 0), ("tiled", 7), ("ring", 7)])
@pytest.mark.parametrize("m,k", [(24, 24), (24, 10)])
def test_equals_a_float64_loop(implementation, tile, m, k):
  q, columns = problem(m, k)
  ids = np.arange(m), np.arange(k)
  groups = ids[0] // 2, ids[1] // 2
  stats = similarity.row_stats(
    jnp.asarray(q),
    jnp.asarray(columns),
    *map(jnp.asarray, ids),
    q_group=jnp.asarray(groups[0]),
    k_group=jnp.asarray(groups[1]),
    temperature=0.5,
    implementation=implementation,
    tile=tile,
  )
  for got, wanted in zip(stats, loop_oracle(q, columns, *ids, *groups, 0.5), strict=True):
    np.testing.assert_allclose(got, wanted, rtol=TOLERANCE, atol=1e-5)


def products(jaxpr):
  """Types of the factors and of the result of every product in a program."""
  for eqn in jaxpr.eqns:
    if eqn.primitive.name == "dot_general":
      yield tuple(str(v.aval.dtype) for v in (*eqn.invars, *eqn.outvars))
    for inner in jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
      inner = getattr(inner, "jaxpr", inner)
      if hasattr(inner, "eqns"):
        yield from products(inner)


@pytest.mark.parametrize("implementation", ["dense", "tiled", "ring"])
def test_bfloat16_products_are_added_in_float32(implementation):
  q, k = problem(8, 8)

  def form(implementation):
    def loss(q, k):
      return weighted(q, k, 0.5, np.ones(8, np.float32), implementation=implementation, tile=4)

    return set(products(jax.make_jaxpr(jax.value_and_grad(loss, argnums=(0, 1)))(q, k).jaxpr))

  assert form(implementation) == {("float32",) * 3}
  rough = form(f"{implementation}:bfloat16")
  assert ("bfloat16", "bfloat16", "float32") in rough
  assert "bfloat16" not in {result for *_, result in rough}, rough


@pytest.mark.parametrize("implementation", ["dense", "tiled", "ring"])
def test_bfloat16_products_are_near_those_of_float32(implementation):
  q, k = problem(64, 64, d=256)
  weights = np.linspace(-1, 2, 64, dtype=np.float32)
  f = jax.value_and_grad(weighted, argnums=(0, 1))
  value, grads = f(q, k, 0.5, weights, implementation=implementation, tile=16)
  rough, rough_grads = f(q, k, 0.5, weights, implementation=f"{implementation}:bfloat16", tile=16)
  # A factor keeps 8 bits, and the errors of 256 products cancel for the most part.
  np.testing.assert_allclose(rough, value, rtol=1e-4)
  assert rough != value
  for a, b in zip(rough_grads, grads, strict=True):
    assert a.dtype == jnp.float32
    np.testing.assert_allclose(a, b, atol=6e-3 * np.abs(b).max())


def test_an_unknown_type_of_products_is_named():
  q, k = problem(4, 4)
  with pytest.raises(errors.UserError, match='products of type "int8" .* tiled:bfloat16'):
    similarity.row_stats(jnp.asarray(q), jnp.asarray(k), implementation="tiled:int8")


@pytest.mark.parametrize("tile", [5, 16, 100])
def test_tiled_gradient_equals_dense_gradient(tile):
  q, k = problem(33, 33)
  weights = np.linspace(-1, 2, 33, dtype=np.float32)
  grad = jax.grad(weighted, argnums=(0, 1, 2))
  dense = grad(q, k, 0.3, weights, implementation="dense")
  tiled = grad(q, k, 0.3, weights, implementation="tiled", tile=tile)
  for a, b in zip(dense, tiled, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
  "devices, rows, tile",  # no devices: not in a mesh
  [(0, 33, 5), (0, 9, 100), (1, 32, 8), (1, 33, 32), (2, 18, 4), (3, 24, 4), (8, 72, 4)],
)
def test_rows_that_are_their_own_columns_give_the_dense_value_and_gradient(devices, rows, tile):
  id = np.arange(rows, dtype=np.int32)
  id[-2] = id[0]  # two rows that leave each other out, in tiles far apart
  arrays = problem(rows, 1)[0], id, np.linspace(-1, 2, rows, dtype=np.float32)
  mesh = devices and parallel.make_mesh(jax.devices()[:devices])
  f = jax.jit(jax.value_and_grad(over_itself, argnums=(0, 2), has_aux=True), static_argnums=(4, 5))

  def run(implementation):
    with parallel.use(mesh) if mesh else contextlib.nullcontext():
      u, id, weights = parallel.put(arrays, mesh) if mesh else arrays
      return f(u, id, jnp.float32(0.3), weights, implementation, tile)

  dense, *others = map(run, ("dense", "tiled", "ring"))
  for other in others:
    for a, b in zip(jax.tree.leaves(dense), jax.tree.leaves(other), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-5)


def test_dense_gradient_equals_central_differences_in_float64():
  q, k = problem(6, 6, d=3)
  ids = np.arange(6)

  def value(q):
    return loop_oracle(q, k, ids, ids, ids, ids, 0.7)[0].sum()

  numeric = np.zeros_like(q, dtype=np.float64)
  for index in np.ndindex(*q.shape):
    step = np.zeros_like(q, dtype=np.float64)
    step[index] = 1e-5
    numeric[index] = (value(q + step) - value(q - step)) / 2e-5
  got = jax.grad(weighted)(q, k, 0.7, np.ones(6, np.float32), implementation="dense")
  np.testing.assert_allclose(got, numeric, atol=1e-5)


@pytest.mark.parametrize("implementation", ["dense", "tiled", "ring"])
@pytest.mark.parametrize("replicated_columns", [False, True])
def test_devices_do_not_change_value_or_gradient(implementation, replicated_columns):
  q, k = problem(32, 32)
  weights = np.linspace(0, 1, 32, dtype=np.float32)

  def run(num_devices):
    mesh = parallel.make_mesh(jax.devices()[:num_devices])
    with parallel.use(mesh):
      columns = parallel.replicate(k, mesh) if replicated_columns else parallel.put(k, mesh)
      f = jax.jit(
        jax.value_and_grad(weighted, argnums=(0, 1)), static_argnames=("implementation", "tile")
      )
      return jax.device_get(
        f(
          parallel.put(q, mesh),
          columns,
          0.2,
          parallel.put(weights, mesh),
          implementation=implementation,
          tile=5,
        )
      )

  one = run(1)
  q_gradient = one[1][0]
  assert np.abs(q_gradient).max() > 1e-3
  for num_devices in (2, 8):
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), one, run(num_devices)
    )


def test_without_ids_every_column_counts():
  q, k = problem(4, 9)
  got = similarity.row_stats(jnp.asarray(q), jnp.asarray(k)).logsumexp
  np.testing.assert_allclose(got, jax.nn.logsumexp(q @ k.T, axis=-1), rtol=1e-5)


def test_tiled_survives_similarities_that_overflow_exp():
  q, k = problem(8, 8)
  got = similarity.row_stats(
    jnp.asarray(q), jnp.asarray(k), temperature=1e-3, implementation="tiled", tile=3
  )
  s = (q.astype(np.float64) @ k.T.astype(np.float64)) / 1e-3  # up to 1000
  exact = s.max(axis=-1) + np.log(np.exp(s - s.max(axis=-1, keepdims=True)).sum(axis=-1))
  np.testing.assert_allclose(got.logsumexp, exact, rtol=1e-5)


def test_only_the_logsumexp_carries_a_gradient():
  q, k = problem(8, 8)
  for implementation in ("dense", "tiled", "ring"):

    def others(q, implementation=implementation):
      stats = similarity.row_stats(q, jnp.asarray(k), implementation=implementation, tile=3)
      return stats.mean.sum() + stats.top.sum()

    assert not np.any(jax.grad(others)(jnp.asarray(q)))


def test_unknown_implementation_is_named():
  q, k = problem(4, 4)
  with pytest.raises(errors.UserError, match='"fast" is unknown; use auto, dense'):
    similarity.row_stats(jnp.asarray(q), jnp.asarray(k), implementation="fast")
