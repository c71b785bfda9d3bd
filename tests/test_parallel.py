"""Movements of data over the mesh, and their transposes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from contrastive_jax import errors, parallel


@pytest.fixture
def mesh():
  return parallel.make_mesh()


def test_put_and_local_rows_keep_the_order(mesh):
  rows = np.arange(32).reshape(16, 2)
  placed = parallel.put({"x": rows}, mesh)["x"]
  assert len(placed.addressable_shards) == 8
  assert {shard.data.shape for shard in placed.addressable_shards} == {(2, 2)}
  np.testing.assert_array_equal(parallel.local_rows(placed), rows)


def test_on_a_cpu_a_batch_is_there_before_a_program_asks_for_it():
  """Or a thread of XLA's own would run the program, and keep none of its memory."""
  mesh = parallel.make_mesh(jax.devices()[:1])
  batch = parallel.put([np.zeros((8, 2**19), np.float32) for _ in range(8)], mesh)
  assert all(x.is_ready() for x in batch)


def test_the_gradient_of_a_gather_sums_over_devices(mesh):
  x = np.arange(8, dtype=np.float32)

  def f(x):
    return jnp.sum(jnp.outer(x, parallel.gather(x)))  # (sum x)^2

  with parallel.use(mesh):
    grad = jax.jit(jax.grad(f))(parallel.put(x, mesh))
  np.testing.assert_allclose(grad, np.full(8, 2 * x.sum()))


@pytest.mark.parametrize("replicated", [False, True])
def test_over_rows_gives_every_row_all_columns_and_columns_all_gradients(mesh, replicated):
  rows, columns = np.arange(8, dtype=np.float32), np.arange(16, dtype=np.float32) + 1

  def f(rows, columns):
    products = parallel.over_rows(lambda r, c: jnp.outer(r, c).sum(axis=1), rows, columns)
    return jnp.sum(products * rows)  # sum_i r_i^2 sum_j c_j

  with parallel.use(mesh):
    placed = parallel.replicate(columns, mesh) if replicated else parallel.put(columns, mesh)
    value, (dr, dc) = jax.jit(jax.value_and_grad(f, argnums=(0, 1)))(
      parallel.put(rows, mesh), placed
    )
  np.testing.assert_allclose(value, (rows**2).sum() * columns.sum())
  np.testing.assert_allclose(dr, 2 * rows * columns.sum())
  np.testing.assert_allclose(dc, np.full(16, (rows**2).sum()))


def test_a_misplaced_batch_axis_fails_while_it_is_traced(mesh):
  """What the Explicit axis is for: joining views on the batch axis would move every image."""
  x = np.zeros((8, 4), np.float32)
  with parallel.use(mesh), pytest.raises(Exception, match="reshape is not supported"):
    jax.jit(lambda x: x.reshape(2, 4, 4))(parallel.put(x, mesh))


def test_without_a_mesh_everything_is_the_identity():
  x = jnp.arange(4.0)
  np.testing.assert_array_equal(parallel.gather(x), x)
  np.testing.assert_array_equal(parallel.over_rows(lambda r, c: r + c, x, x), 2 * x)
  np.testing.assert_array_equal(parallel.row_ids(3), [0, 1, 2])


@pytest.mark.parametrize(
  "batch_size,line",
  [(100, "use 96 or 104"), (3, "use 8"), (0, "is not positive")],
)
def test_a_batch_that_does_not_divide_names_those_that_do(batch_size, line):
  with pytest.raises(errors.UserError, match=line):
    parallel.check_batch_size(batch_size, 8)
  parallel.check_batch_size(96, 8)


def test_a_state_is_cut_over_as_many_devices_as_divide_it_best():
  """Six devices divide no axis of a network; three of them may repeat what two hold in parts."""
  mesh = parallel.make_mesh(jax.devices()[:6])
  kernel = jax.ShapeDtypeStruct((5, 5, 256, 512), np.float32)
  divided = parallel.with_shards(mesh, {"kernel": kernel})
  assert dict(divided.shape) == {"replicas": 3, "shards": 2}
  assert parallel.cut(kernel, divided).shard_shape(kernel.shape) == (5, 5, 256, 256)
  eight = parallel.with_shards(parallel.make_mesh(), {"kernel": kernel})
  assert dict(eight.shape) == {"data": 8}
  nothing = parallel.with_shards(mesh, {"bias": jax.ShapeDtypeStruct((7,), np.float32)})
  assert nothing.axis_names == ("data",)


@pytest.mark.parametrize("shards", [2, 4, 8])
def test_rows_of_a_table_that_is_cut_by_columns(shards):
  mesh = parallel.make_mesh(shards=shards)
  table = np.arange(1000 * 64, dtype=np.float32).reshape(1000, 64)
  index = np.random.default_rng(0).permutation(1000)[:32].astype(np.int32).reshape(16, 2)
  new = -np.arange(16 * 64, dtype=np.float32).reshape(16, 64)
  with parallel.use(mesh):
    placed = jax.device_put(table, jax.NamedSharding(mesh, P(None, mesh.axis_names[-1])))
    rows = parallel.put({"index": index, "new": new}, mesh)

    def changed(table, index, new):
      found = parallel.look_up(table, index)
      first = parallel.gather(index[:, 0]).at[3].add(1000)  # beyond the table
      return found, parallel.write(table, first, new), parallel.as_rows(table)

    found, after, whole = jax.jit(changed)(placed, rows["index"], rows["new"])
  assert after.sharding == placed.sharding
  expected = table.copy()
  kept = np.arange(16) != 3
  expected[index[kept, 0]] = new[kept]
  np.testing.assert_array_equal(found, table[index])
  np.testing.assert_array_equal(after, expected)
  np.testing.assert_array_equal(whole, table)
  assert whole.sharding.shard_shape(whole.shape) == (125, 64)
