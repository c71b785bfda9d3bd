"""Time and peak memory of NT-Xent with its gradient on a GPU: optax, dense and tiled; a table.

python benchmarks/ntxent_gpu.py [--rows=8192,...] [--tiles=1024,4096] > table.md

One process an implementation, which goes through the rows upwards, so that the allocator's peak is
that of the last; where it runs out of memory the others stop. Seconds are the median of five, after
one to compile. The error is that of the gradient against float64 on the host, at 2,048 rows:
norm of the difference over norm.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np
from absl import app, flags

_ROWS = flags.DEFINE_list("rows", "8192,32768,65536,262144,1048576", "Rows 2N of the matrix.")
_TILES = flags.DEFINE_list("tiles", "1024,4096", "Rows and columns of a tile.")
_NAME = flags.DEFINE_string("name", None, "IMPLEMENTATION@TILE, to measure one in this process.")
_MOST_SECONDS = 4.0  # rows beyond are measured once, and then no more

DIM, TEMPERATURE = 128, 0.1


def loss_of(name: str):
  """Returns the loss of z [N, 2, D]."""
  import jax.numpy as jnp
  import optax

  from contrastive_jax import losses

  name, _, tile = name.partition("@")
  if name != "optax":
    return lambda z: losses.ntxent(z, TEMPERATURE, implementation=name, tile=int(tile))[0]

  def loss(z):
    labels = jnp.tile(jnp.arange(len(z)), 2)
    flat = z.transpose(1, 0, 2).reshape(-1, DIM)
    return optax.losses.ntxent(flat, labels, temperature=TEMPERATURE)

  return loss


def gradient64(z: np.ndarray) -> np.ndarray:
  """Returns the gradient of NT-Xent (SimCLR, eq. 1) by z [N, 2, D] in float64."""
  flat = z.astype(np.float64).reshape(-1, DIM)
  n = len(flat)
  norm = np.linalg.norm(flat, axis=1, keepdims=True)
  u = flat / norm
  s = u @ u.T / TEMPERATURE
  np.fill_diagonal(s, -np.inf)
  p = np.exp(s - s.max(axis=1, keepdims=True))
  p /= p.sum(axis=1, keepdims=True)
  p[np.arange(n), np.arange(n) ^ 1] -= 1
  du = (p + p.T) @ u / (TEMPERATURE * n)
  return ((du - (du * u).sum(axis=1, keepdims=True) * u) / norm).reshape(z.shape)


def measure(name: str) -> None:
  """Prints a JSON line for each number of rows."""
  import jax

  f = jax.jit(jax.value_and_grad(loss_of(name)))
  z = jax.random.normal(jax.random.key(0), (1024, 2, DIM))
  exact = gradient64(np.asarray(z))
  error = np.linalg.norm(np.asarray(f(z)[1]) - exact) / np.linalg.norm(exact)
  for rows in map(int, _ROWS.value):
    z = jax.random.normal(jax.random.key(0), (rows // 2, 2, DIM))
    try:
      jax.block_until_ready(f(z))
      seconds = []
      while len(seconds) < 5 and sum(seconds) < _MOST_SECONDS:
        start = time.perf_counter()
        value, _ = jax.block_until_ready(f(z))
        seconds.append(time.perf_counter() - start)
    except jax.errors.JaxRuntimeError as failure:
      print(json.dumps({"name": name, "rows": rows, "failed": str(failure)[:80]}), flush=True)
      return
    found = {
      "name": name,
      "rows": rows,
      "seconds": statistics.median(seconds),
      "bytes": (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0),
      "loss": float(value),
      "gradient_error": float(error),
    }
    print(json.dumps(found), flush=True)
    if found["seconds"] > _MOST_SECONDS:
      return


def main(_):
  if _NAME.value:
    measure(_NAME.value)
    return
  tiled = [f"{name}@{tile}" for tile in _TILES.value for name in ("tiled", "tiled:bfloat16")]
  names = ["optax", "dense@0", "dense:bfloat16@0", *tiled]
  found = {}
  for name in names:
    command = [sys.executable, __file__, f"--name={name}", f"--rows={','.join(_ROWS.value)}"]
    environment = dict(os.environ, XLA_PYTHON_CLIENT_MEM_FRACTION="0.95")
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
      cell = json.loads(line)
      found[name, cell["rows"]] = cell
  print(f"| rows | {' | '.join(names)} | loss |\n|--:{'|--:' * len(names)}|---|")
  for rows in map(int, _ROWS.value):
    cells, losses = [], set()
    for name in names:
      cell = found.get((name, rows), {})
      if "seconds" in cell:
        cells.append(f"{1e3 * cell['seconds']:.4g} ms, {cell['bytes'] / 1e9:.2f} GB")
        losses.add(f"{cell['loss']:.4f}")
      else:
        cells.append(cell.get("failed", "-"))
    print(f"| {rows:,} | {' | '.join(cells)} | {', '.join(sorted(losses))} |")
  apart = {name: cell["gradient_error"] for (name, _), cell in found.items() if "loss" in cell}
  errors = [f"{apart[name]:.0e}" if name in apart else "-" for name in names]
  print(f"| gradient's error | {' | '.join(errors)} | |")


if __name__ == "__main__":
  app.run(main)
