"""Row statistics of a similarity matrix: dense, tiled and sharded forms are one function."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import errors, losses, parallel, similarity, tiles
from contrastive_jax.methods import dcl, supcon

TOLERANCE = 2e-6  # a few float32 roundings of values of order 1


def problem(m, k, d=8, seed=0):
  rng = np.random.default_rng(seed)
  vectors = rng.normal(size=(m, d)), rng.normal(size=(k, d))
  unit = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in vectors)
  return tuple(x.astype(np.float32) for x in unit)


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


def weighted(q, k, temperature, weights, **options):
  ids = parallel.row_ids(len(q))
  stats = similarity.row_stats(q, k, ids, ids, temperature=temperature, **options)
  return jnp.sum(stats.logsumexp * weights)


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


def over_itself(u, id, temperature, weights, implementation, tile):
  """A scalar with a gradient, and all statistics, of rows that are their own columns."""
  stats = similarity.row_stats(
    u,
    u,
    id,
    id,
    q_group=(group := id // 4),
    k_group=group,
    temperature=temperature,
    implementation=implementation,
    tile=tile,
  )
  return jnp.sum(stats.logsumexp * weights), stats


@pytest.mark.parametrize("rows, tile", [(33, 5), (32, 8), (33, 32), (9, 100)])
@pytest.mark.parametrize("in_a_mesh", [False, True])
def test_rows_that_are_their_own_columns_give_the_dense_value_and_gradient(rows, tile, in_a_mesh):
  id = np.arange(rows, dtype=np.int32)
  id[-2] = id[0]  # two rows that leave each other out, in tiles far apart
  arrays = problem(rows, 1)[0], id, np.linspace(-1, 2, rows, dtype=np.float32)
  mesh = parallel.make_mesh(jax.devices()[:1])
  f = jax.jit(jax.value_and_grad(over_itself, argnums=(0, 2), has_aux=True), static_argnums=(4, 5))

  def run(implementation):
    with parallel.use(mesh) if in_a_mesh else contextlib.nullcontext():
      u, id, weights = parallel.put(arrays, mesh) if in_a_mesh else arrays
      return f(u, id, jnp.float32(0.3), weights, implementation, tile)

  dense, *others = map(run, ("dense", "tiled", "ring"))
  for other in others:
    for a, b in zip(jax.tree.leaves(dense), jax.tree.leaves(other), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def executions(primitive, jaxpr):
  """How often a program executes a primitive, its loops counted."""
  total = 0
  for eqn in jaxpr.eqns:
    total += eqn.primitive.name == primitive
    for inner in jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
      inner = getattr(inner, "jaxpr", inner)
      if hasattr(inner, "eqns"):
        total += eqn.params.get("length", 1) * executions(primitive, inner)
  return total


@pytest.mark.parametrize("loss", ["ntxent", "supcon", "dcl"])
def test_of_tiles_that_mirror_each_other_one_is_visited(loss):
  z = jnp.asarray(problem(64, 1)[0]).reshape(32, 2, 8)
  formula = {
    "ntxent": losses.ntxent,
    "supcon": lambda z, tau, **form: supcon.supcon(z, jnp.zeros((32, 1)), tau, **form),
    "dcl": dcl.dcl,
  }[loss]

  def products(implementation):
    gradient = jax.grad(lambda z: formula(z, 0.5, implementation=implementation)[0])
    return executions("dot_general", jax.make_jaxpr(gradient)(z).jaxpr)

  original = similarity.row_stats
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(similarity, "row_stats", lambda *a, **k: original(*a, **k | {"tile": 8}))
    extra = products("dense") - 3  # of supcon's classes
    # One product of a tile forward, then one again and one for each of two gradients; the two of a
    # tile on the diagonal are one.
    assert products("tiled") - extra == 28 * (1 + 3) + 8 * (1 + 2) < 64 * (1 + 3)


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


def test_tiled_needs_no_memory_of_the_size_of_the_matrix():
  rows, d = 8192, 16
  x = jax.ShapeDtypeStruct((rows, d), jnp.float32)

  def temporary_bytes(implementation):
    def loss(u):
      ids = jnp.arange(rows)
      stats = similarity.row_stats(u, u, ids, ids, implementation=implementation, tile=512)
      return stats.logsumexp.mean()

    compiled = jax.jit(jax.grad(loss)).lower(x).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  matrix = 4 * rows * rows
  assert temporary_bytes("dense") >= matrix
  assert temporary_bytes("tiled") < matrix / 16


def test_tiles_are_larger_on_a_gpu(monkeypatch):
  q, k = map(jnp.asarray, problem(8, 8))
  seen = []

  def tiled(form, rows, columns):
    seen.append(form.tile)
    return tiles.dense(form, rows, columns)

  monkeypatch.setattr(tiles, "tiled", tiled)
  for backend in ("cpu", "gpu"):
    monkeypatch.setattr(jax, "default_backend", lambda name=backend: name)
    similarity.row_stats(q, k, implementation="tiled")
  assert seen == [1024, 4096]


def test_in_a_ring_columns_travel_and_are_never_gathered():
  mesh = parallel.make_mesh()
  with parallel.use(mesh):
    u = parallel.put(problem(512, 1)[0], mesh)
    weights = parallel.put(np.ones(512, np.float32), mesh)

    def compiled(implementation):
      f = jax.jit(jax.grad(weighted, argnums=(0, 1)), static_argnames=("implementation", "tile"))
      lowered = f.lower(u, u, 0.2, weights, implementation=implementation, tile=64)
      return lowered.compile().as_text()

    texts = {name: compiled(name) for name in ("tiled", "ring")}
  assert "all-gather" in texts["tiled"] and "collective-permute" not in texts["tiled"]
  assert "all-gather" not in texts["ring"] and "collective-permute" in texts["ring"]


def test_columns_travel_once_round_the_ring_less_the_way_home():
  mesh = parallel.make_mesh()  # 8 devices
  with parallel.use(mesh):
    u, weights = parallel.put((problem(32, 1)[0], np.ones(32, np.float32)), mesh)

    def journeys(f):
      return executions("ppermute", jax.make_jaxpr(f)(u).jaxpr)

    def loss(u):
      return weighted(u, u, 0.2, weights, implementation="ring")

    arrays = 3  # of a block of columns: vectors, ids, groups
    assert journeys(loss) == 7 * arrays
    assert journeys(jax.grad(loss)) == 7 * arrays + 7 * arrays + 8  # a gradient must come home


def test_the_choice_follows_the_sizes_of_matrix_and_columns():
  with parallel.use(parallel.make_mesh()):  # 8 devices
    assert similarity.choose(8192, (8192, 128)) == "dense"  # 32 MiB on each
    assert similarity.choose(65_536, (65_536, 128)) == "tiled"  # 32 MiB of columns
    assert similarity.choose(2**20, (2**20, 128)) == "ring"  # 512 MiB of columns
    assert similarity.choose(2**20, (2**20, 128), sharded=False) == "tiled"  # a bank
  assert similarity.choose(2**20, (2**20, 128)) == "tiled"  # alone nothing can travel


@pytest.mark.parametrize(
  "limit_gib, chosen",  # 2**17 rows on 8 devices: a matrix of 8 GiB, 64 MiB of columns
  [(None, "tiled"), (8, "ring"), (15.7, "tiled"), (16, "tiled"), (17, "tiled"), (500, "dense")],
)
def test_the_choice_follows_the_memory_of_a_device(limit_gib, chosen, monkeypatch):
  class Device:
    def memory_stats(self):
      return limit_gib and {"bytes_limit": int(limit_gib * 2**30)}

  similarity._memory_bytes.cache_clear()
  with parallel.use(parallel.make_mesh()), monkeypatch.context() as patch:
    patch.setattr(jax, "local_devices", lambda: [Device()])
    assert similarity.choose(2**17, (2**17, 128)) == chosen
  similarity._memory_bytes.cache_clear()


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
