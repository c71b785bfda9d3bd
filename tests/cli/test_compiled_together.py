"""Processes share the folder of compiled programs, also where one was killed while it wrote."""

import json
import os
import sys

import members
import pytest

CODE = """
import json, os, sys
import jax
import jax.numpy as jnp
import numpy as np
os.environ.pop("JAX_COMPILATION_CACHE_DIR")
jax.config.update("jax_compilation_cache_dir", None)
if len(sys.argv) > 2:
  jax.distributed.initialize(sys.argv[1], num_processes=2, process_id=int(sys.argv[2]))
from contrastive_jax import parallel
from contrastive_jax.cli import compiled
seen = []
jax.monitoring.register_event_listener(lambda name, **_: seen.append(name.rpartition("/")[2]))
compiled.keep()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
mesh = parallel.make_mesh()
with parallel.use(mesh):
  x = parallel.put(np.ones(8 // jax.process_count(), np.float32), mesh)
  del seen[:]
  total = jax.jit(lambda x: jnp.sum(jnp.sin(x)))(x)
  total = float(parallel.fetch(total))
print(json.dumps([total, seen.count("cache_hits"), seen.count("cache_misses")]), file=sys.stderr)
"""


@pytest.fixture
def started(tmp_path):
  """A function that starts two processes, connected or not: what each computed and found."""

  def start(connected):
    place = [f"127.0.0.1:{members.free_port()}"] if connected else []
    more = {"CONTRASTIVE_JAX_CACHE": str(tmp_path / "cache")}
    both = [
      members.start(sys.executable, "-c", CODE, *place, *([str(i)] if connected else []), **more)
      for i in range(2)
    ]
    codes, said = members.ends(both)
    assert codes == [0, 0], "\n".join(said)
    return [json.loads(text.strip().splitlines()[-1]) for text in said], "\n".join(said)

  return start


@pytest.mark.slow
def test_processes_share_one_folder(started, tmp_path):
  first, _ = started(True)
  folder = tmp_path / "cache" / "compiled"
  assert [hits for _, hits, _ in first] == [0, 0] and len(list(folder.rglob("jit_*-cache"))) > 0
  again, _ = started(True)
  # JAX has process 0 alone write; on CPUs the key of another's program is another one.
  assert again[0][1] == 1 and {total for total, *_ in again} == {first[0][0]}

  alone, _ = started(False)  # two runs of one process each, at once
  assert {total for total, *_ in alone} == {alone[0][0]}
  for path in folder.rglob("*-cache"):  # as a process leaves it that is killed while it writes
    os.truncate(path, path.stat().st_size // 2)
  damaged, said = started(False)
  assert [total for total, *_ in damaged] == [total for total, *_ in alone]
  assert "Error reading persistent compilation cache entry" in said, "and it is compiled anew"
