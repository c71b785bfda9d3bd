"""Time and peak memory of NT-Xent with its gradient: optax, dense and tiled, over batch sizes.

python benchmarks/ntxent_memory.py [--rows=2048,4096,...] [--limit_gb=20] > table.md

Every cell runs in a process of its own, so that the peak is its own: the largest resident memory of
the process, Python and JAX (about 0.3 GB) included. A cell that by its formula needs more than the
limit is not run and says so. Rounds alternate over the implementations; the median is quoted.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time

from absl import app, flags

_ROWS = flags.DEFINE_list("rows", "2048,4096,8192,16384,32768,65536", "Rows 2N of the matrix.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds over the implementations.")
_LIMIT_GB = flags.DEFINE_float("limit_gb", 20.0, "Memory that a cell may need.")
_CELL = flags.DEFINE_string("cell", None, "IMPLEMENTATION:ROWS, to run one cell in this process.")

DIM, TEMPERATURE = 128, 0.1
# Bytes that an implementation cannot do without: matrices alive at once in value and gradient.
NEEDS = {
  "optax": lambda n: 4 * n * n * DIM * 2,  # broadcasts [2N, 2N, D]
  "dense": lambda n: 4 * n * n * 3,
  "tiled": lambda n: 4 * n * DIM * 8,
}


def run_cell(name: str, rows: int) -> dict[str, float]:
  """Returns seconds and peak bytes of one value and gradient, after one to compile."""
  import jax
  import jax.numpy as jnp
  import optax

  from contrastive_jax import losses

  z = jax.random.normal(jax.random.key(0), (rows // 2, 2, DIM))
  if name == "optax":
    labels = jnp.tile(jnp.arange(rows // 2), 2)

    def loss(z):
      flat = z.transpose(1, 0, 2).reshape(rows, DIM)
      return optax.losses.ntxent(flat, labels, temperature=TEMPERATURE)
  else:

    def loss(z):
      return losses.ntxent(z, TEMPERATURE, implementation=name)[0]

  f = jax.jit(jax.value_and_grad(loss))
  value, _ = jax.block_until_ready(f(z))
  start = time.perf_counter()
  jax.block_until_ready(f(z))
  return {
    "seconds": time.perf_counter() - start,
    "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "loss": float(value),
  }


def main(_):
  if _CELL.value:
    name, rows = _CELL.value.split(":")
    print(json.dumps(run_cell(name, int(rows))))
    return
  print("| rows | " + " | ".join(f"{n} s | {n} GB" for n in NEEDS) + " | loss |")
  print("|--:" * (2 + 2 * len(NEEDS)) + "|")
  for rows in map(int, _ROWS.value):
    found: dict[str, list] = {name: [] for name in NEEDS}
    for _ in range(_ROUNDS.value):
      for name, needs in NEEDS.items():
        if needs(rows) > _LIMIT_GB.value * 1e9:
          continue
        command = [sys.executable, __file__, f"--cell={name}:{rows}"]
        environment = dict(os.environ, JAX_PLATFORMS="cpu")
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode == 0:
          found[name].append(json.loads(done.stdout.splitlines()[-1]))
    cells = []
    for name, needs in NEEDS.items():
      if found[name]:
        seconds = statistics.median(cell["seconds"] for cell in found[name])
        peak = max(cell["bytes"] for cell in found[name])
        cells += [f"{seconds:.3f}", f"{peak / 1e9:.2f}"]
      else:
        cells += ["-", f"(> {needs(rows) / 1e9:.0f})"]
    values = {f"{cell['loss']:.4f}" for cells_of in found.values() for cell in cells_of}
    print(f"| {rows} | " + " | ".join(cells) + f" | {', '.join(sorted(values))} |", flush=True)


if __name__ == "__main__":
  app.run(main)
