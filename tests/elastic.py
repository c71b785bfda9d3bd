"""A run that notes what it restores and sees, started as several processes of several devices.

`run` starts it; `python tests/elastic.py SETTINGS` is one of its processes.
"""

import json
import os
import pathlib
import shutil
import sys
from typing import NamedTuple

import conftest
import damage
import jax
import members
import numpy as np
import tiny_config
import whole_runs

from contrastive_jax import augment, build, keys, parallel
from contrastive_jax.processes import hosts
from contrastive_jax.training import trainer
from contrastive_jax.workdir import checkpoint, loading

TOPOLOGIES = ((1, 1), (1, 4), (2, 2), (4, 1))  # processes, devices of each
STEPS_AN_EPOCH, EPOCHS = 4, 2
ROUNDING = 2e-6  # of a view's numbers, which go from -2.5 to 2.8


class Seen(NamedTuple):
  """What a run noted. Arrays are in the order of the global batch, whatever the processes."""

  restored: dict[str, str]  # leaf: digest, of the state that it began with
  saved: dict[str, str]  # of its last checkpoint
  index: np.ndarray  # [steps, B]
  image: np.ndarray  # bytes as loaded, [steps, B, S, S, 3]
  views: np.ndarray  # [steps, B, V, H, W, 3]
  loss: dict[int, float]


def run(
  folder: pathlib.Path,
  processes: int,
  devices: int,
  *,
  leave_after: int | None = None,
  epochs: int = EPOCHS,
  python: str = sys.executable,
) -> Seen:
  """Trains in `folder`/run, from its newest checkpoint if it has one.

  Args:
    folder: of the run, and of what it notes.
    processes: of the run.
    devices: of each process.
    leave_after: steps, after whose save the run is broken off; None: to the end.
    epochs: of the whole run.
    python: that runs it, with JAX and all that the package needs.
  """
  notes = folder / "notes"
  port = members.free_port()
  shutil.rmtree(notes, ignore_errors=True)
  notes.mkdir(parents=True)
  started = []
  for process in range(processes):
    place = [f"127.0.0.1:{port}", processes, process] if processes > 1 else None
    settings = {
      "folder": str(folder),
      "place": place,
      "devices": devices,
      "leave_after": leave_after,
      "epochs": epochs,
    }
    started.append(members.start(python, __file__, json.dumps(settings)))
  codes, said = members.ends(started)
  assert codes == [0] * processes, "\n".join(said)
  parts = [np.load(notes / f"{process}.npz") for process in range(processes)]
  joined = {k: np.concatenate([p[k] for p in parts], axis=1) for k in ("index", "image", "views")}
  saved = loading.saved_steps(str(folder / "run"))[-1]
  [restored] = loading.saved_steps(str(notes))
  return Seen(
    damage.digests(notes, restored),
    damage.digests(folder / "run", saved),
    loss=whole_runs.losses(folder / "run"),
    **joined,
  )


def config(epochs):
  """With a queue, batch norm over all devices, and a learning rate that lets a loss be compared."""
  return tiny_config.tiny(
    "moco",
    epochs=epochs,
    method__queue_size=64,
    optimizer__base_lr=0.003,
    log__every_steps=1,
    checkpoint__keep=epochs,
  )


def main(settings: dict) -> None:
  """One process of `run`."""
  # Before JAX looks for devices; the import of conftest asked for eight.
  count = f"--xla_force_host_platform_device_count={settings['devices']}"
  os.environ["XLA_FLAGS"] = f"{conftest.ONE_DEVICE_FLAGS} {count}"
  if settings["place"]:
    hosts.connect(*settings["place"])
  folder, c = pathlib.Path(settings["folder"]), config(settings["epochs"])
  notes = {"index": [], "image": [], "views": []}
  see = jax.jit(
    lambda *images: augment.views(build.recipe(c), keys.stream(c.seed, "views"), *images)
  )
  loop_run = trainer.Loop.run

  def noted(batches, mesh, step, leave_after):
    for batch in batches:
      if step == leave_after:
        return
      on_devices = parallel.put(tuple(batch[k] for k in ("image", "extent", "index")), mesh)
      notes["index"].append(batch["index"])
      notes["image"].append(batch["image"])
      notes["views"].append(parallel.local_rows(see(step // STEPS_AN_EPOCH, *on_devices)))
      step += 1
      yield batch

  def noting(self, step_fn, state, batches, preemption):
    step = int(parallel.fetch(state.step))
    copies = checkpoint.Checkpoints(str(folder / "notes"))
    copies.save(step, state)
    copies.wait()
    batches = noted(batches, self.mesh, step, settings["leave_after"])
    return loop_run(self, step_fn, state, batches, preemption)

  trainer.Loop.run = noting
  trainer.train(c, str(folder / "run"))
  np.savez(
    folder / "notes" / f"{jax.process_index()}.npz", **{k: np.stack(v) for k, v in notes.items()}
  )


if __name__ == "__main__":
  main(json.loads(sys.argv[1]))
