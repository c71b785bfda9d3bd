"""Time of NT-Xent in a ring of CPU devices, half round against all the way; a ratio.

XLA_FLAGS=--xla_force_host_platform_device_count=8 python benchmarks/ring_time.py [--rows=16384]

Value and gradient, alternating; medians of the rounds. All the way is what columns take that are
not the very array of the rows.
"""

import statistics
import time

import jax
from absl import app, flags

from contrastive_jax import losses, parallel
from contrastive_jax.losses import similarity

_ROWS = flags.DEFINE_integer("rows", 16_384, "Rows 2N of the matrix.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Of both.")

DIM, TEMPERATURE = 128, 0.1


def half_round(z):
  """Returns the loss of views [N, 2, D]."""
  return losses.ntxent(z, TEMPERATURE, implementation="ring")[0]


def all_the_way(z):
  """Returns the same, of columns that could be others."""
  original = similarity.row_stats
  similarity.row_stats = lambda q, k, *args, **kwargs: original(q, k * 1, *args, **kwargs)
  try:
    return half_round(z)
  finally:
    similarity.row_stats = original


def main(argv: list[str]) -> None:
  del argv
  mesh = parallel.make_mesh()
  z = jax.random.normal(jax.random.key(0), (_ROWS.value // 2, 2, DIM))
  z = parallel.put(jax.device_get(z), mesh)
  with parallel.use(mesh):
    ways = [jax.jit(jax.value_and_grad(f)).lower(z).compile() for f in (half_round, all_the_way)]
  seconds = {way: [] for way in ways}
  for _ in range(_ROUNDS.value + 1):
    for way in ways:
      start = time.perf_counter()
      loss, _ = jax.block_until_ready(way(z))
      seconds[way].append(time.perf_counter() - start)
      print(f"loss {loss:.5f}  {seconds[way][-1]:.2f} s", flush=True)
  half, whole = (statistics.median(seconds[way][1:]) for way in ways)
  print(f"{_ROWS.value:,} rows, {len(mesh.devices)} devices: {half / whole:.2f} of the time")


if __name__ == "__main__":
  app.run(main)
