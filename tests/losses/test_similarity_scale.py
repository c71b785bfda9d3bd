"""Row statistics of a similarity matrix at scale: work, memory, what travels, and the choice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rows import problem, weighted

from contrastive_jax import losses, parallel
from contrastive_jax.losses import similarity, tiles
from contrastive_jax.methods import dcl, supcon


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


def itself(u, weights):
  """A scalar of rows that are their own columns, in a ring."""
  return weighted(u, u, 0.2, weights, implementation="ring", tile=4)


def of_others(u, weights):
  """The same of columns that could be others."""
  return weighted(u, u * 1, 0.2, weights, implementation="ring", tile=4)


def traced(f, num_devices, rows):
  mesh = parallel.make_mesh(jax.devices()[:num_devices])
  with parallel.use(mesh):
    arrays = parallel.put((problem(rows, 1)[0], np.ones(rows, np.float32)), mesh)
    return jax.make_jaxpr(f)(*arrays).jaxpr


@pytest.mark.parametrize("num_devices, nearer, opposite", [(2, 0, 1), (3, 1, 0), (8, 3, 1)])
def test_in_a_ring_as_well(num_devices, nearer, opposite):
  rows = 12 * num_devices  # three tiles on each
  there = (3 + nearer * 9) * (1 + 3) + (3 + opposite * 9) * (1 + 2)
  assert executions("dot_general", traced(jax.grad(itself), num_devices, rows)) == there
  whole = executions("dot_general", traced(jax.grad(of_others), num_devices, rows))
  assert whole == num_devices * 9 * (1 + 3) > there


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
  arrays = 3  # of a block of columns: vectors, ids, groups
  assert executions("ppermute", traced(of_others, 8, 32)) == 7 * arrays
  forward_and_back = 7 * arrays + 7 * arrays + 8  # a gradient must come home
  assert executions("ppermute", traced(jax.grad(of_others), 8, 32)) == forward_and_back


def test_rows_that_are_their_own_columns_travel_half_round_the_ring():
  running = 4  # figures of rows that travel with them, and home
  forward = 4 * 3 + (3 + 1) * running
  assert executions("ppermute", traced(itself, 8, 32)) == forward
  backward = 4 * (3 + 2) + (3 + 1)  # with the row's logsumexp and its weight; the gradient
  assert executions("ppermute", traced(jax.grad(itself), 8, 32)) == forward + backward


def test_a_device_of_a_ring_has_no_room_for_all_rows():
  rows, mesh = 16_384, parallel.make_mesh()
  z = jax.ShapeDtypeStruct((rows // 2, 2, 128), jnp.float32, sharding=parallel.sharded(mesh))

  def temporary_bytes(implementation):
    def loss(z):
      return losses.ntxent(z, 0.1, implementation=implementation, tile=64)[0]

    with parallel.use(mesh):
      return jax.jit(jax.grad(loss)).lower(z).compile().memory_analysis().temp_size_in_bytes

  all_rows = 4 * rows * 128
  assert temporary_bytes("ring") < all_rows
  assert temporary_bytes("tiled") > 2 * all_rows  # the rows and their gradient


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
