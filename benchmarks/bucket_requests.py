"""Counts the requests that a run in a bucket makes: to start, save, restore, renew; a table.

python benchmarks/bucket_requests.py
"""

import collections
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"  # of the state

import bucket_servers
import damage
import states
from absl import app, logging

from contrastive_jax import paths
from contrastive_jax.workdir import bucket

_KINDS = {"GET": 0, "HEAD": 1, "PUT": 2, "POST": 2, "DELETE": 3}


def main(argv: list[str]) -> None:
  del argv
  logging.set_verbosity(logging.WARNING)
  print("| | reads and lists | HEAD | puts | deletes |\n|---|--:|--:|--:|--:|")
  for kind in bucket_servers.KINDS:
    server = bucket_servers.Server(kind)
    os.environ.update(server.environment)
    with tempfile.TemporaryDirectory() as folder:
      count(server, pathlib.Path(folder))
    server.stop()


def count(server, folder: pathlib.Path) -> None:
  def tell(what):
    counts = collections.Counter(_KINDS[method] for method, _ in server.requests)
    server.requests.clear()
    print(f"| {what}, {server.kind} | " + " | ".join(str(counts[i]) for i in range(4)) + " |")

  os.environ[paths.CACHE] = str(folder / "first")
  with bucket.here(server.address("run")) as (here, mirror):
    tell("start in an empty place")
    for step in (1, 2, 3):
      damage.save(here, states.state(step), mirror=mirror)
      files = [p for p in pathlib.Path(here).glob(f"checkpoints/{step}/**/*") if p.is_file()]
      tell(f"save {step} of {len(files)} files")
  tell("end")
  os.environ[paths.CACHE] = str(folder / "second")
  with bucket.here(server.address("run")) as (here, mirror):
    tell("start elsewhere")
    damage.restore(here, states.state(1), mirror=mirror)
    tell("restore")
    mirror._lease._renew()
    tell("renewing the lease")


if __name__ == "__main__":
  app.run(main)
