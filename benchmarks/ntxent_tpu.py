"""Temporaries a chip of NT-Xent with its gradient on TPU slices, by the TPU compiler alone.

python benchmarks/ntxent_tpu.py [--slices=v5e:4x4,v5e:16x16] [--rows=65536,...] > table.md

Needs the extra tpu, and no TPU (see docs/planning.md). Every cell is compiled in a process of its
own. Where the compiler refuses a program for its size, the table has what it says that it would
need, after ">".
"""

import json
import re
import subprocess
import sys

from absl import app, flags

from contrastive_jax.plan import topology

_SLICES = flags.DEFINE_string("slices", "v5e:4x4,v5e:16x16", "Topologies.")
_ROWS = flags.DEFINE_list("rows", "65536,262144,1048576,2097152", "Rows 2N of the matrix.")
_IMPLEMENTATIONS = flags.DEFINE_list("implementations", "dense,tiled,ring", "Of the loss.")
_TILE = flags.DEFINE_integer("tile", 1024, "Rows and columns of a tile.")
_CELL = flags.DEFINE_string("cell", None, "IMPLEMENTATION/ROWS, to compile one in this process.")

DIM, TEMPERATURE, GIB = 128, 0.1, 2**30


def compile_cell(name: str, rows: int, asked: topology.Topology) -> dict:
  """Returns the bytes a chip of value and gradient, and of its arguments; or why it is refused."""
  import jax
  import jax.numpy as jnp

  from contrastive_jax import losses, parallel

  mesh = parallel.make_mesh(topology.devices(asked))

  def loss(z):
    return losses.ntxent(z, TEMPERATURE, implementation=name, tile=_TILE.value)[0]

  z = jax.ShapeDtypeStruct((rows // 2, 2, DIM), jnp.float32, sharding=parallel.sharded(mesh))
  try:
    with parallel.use(mesh):
      stats = jax.jit(jax.value_and_grad(loss)).lower(z).compile().memory_analysis()
  except jax.errors.JaxRuntimeError as error:
    if "RESOURCE_EXHAUSTED" not in str(error):
      raise
    return {"refused": " ".join(str(error).split())}
  return {"temporaries": stats.temp_size_in_bytes, "arguments": stats.argument_size_in_bytes}


def cell(name: str, rows: int, asked: topology.Topology) -> str:
  """Returns a cell of the table, GiB."""
  done = subprocess.run(
    [
      sys.executable,
      __file__,
      f"--cell={name}/{rows}",
      f"--slices={asked}",
      f"--tile={_TILE.value}",
    ],
    env=topology.environment(asked),
    stdout=subprocess.PIPE,
    text=True,
  )
  if done.returncode:
    return "failed"
  found = json.loads(done.stdout.splitlines()[-1])
  if "refused" in found:
    needed = re.search(r"Used ([\d.]+[KMGT]) of", found["refused"])
    return f"> {needed[1]}" if needed else "refused"
  return f"{found['temporaries'] / GIB:.3f}"


def main(_) -> None:
  slices = topology.parse(_SLICES.value)
  if _CELL.value:
    name, rows = _CELL.value.split("/")
    print(json.dumps(compile_cell(name, int(rows), slices[0])))
    return
  columns = [(s, name) for s in slices for name in _IMPLEMENTATIONS.value]
  print("| rows | " + " | ".join(f"{s} {name}" for s, name in columns) + " |")
  print("|--:" * (1 + len(columns)) + "|")
  for rows in map(int, _ROWS.value):
    cells = [cell(name, rows, asked) for asked, name in columns]
    print(f"| {rows:,} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
  app.run(main)
