"""Damages the newest checkpoint of a run in random places and tells what came of it; a table.

python benchmarks/bit_flips.py --trials=200

Each trial flips one bit of a file of the newest checkpoint, cuts the file off, or deletes it, on a
fresh copy, and resumes and evaluates from that copy. Right is: the undamaged newest state, or the
state before it after a line that says so. With --orbax_alone the same weights are saved by Orbax,
its files of arrays are damaged, and it reads them without digests.
"""

import collections
import contextlib
import io
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

import damage
import jax
import numpy as np
import orbax.checkpoint as ocp
import tiny_config
from absl import app, flags, logging
from etils import epath

from contrastive_jax.training import trainer
from contrastive_jax.workdir import loading

_TRIALS = flags.DEFINE_integer("trials", 200, "Damages.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the damages.")
_ALONE = flags.DEFINE_bool("orbax_alone", False, "Read the model with Orbax, without digests.")

ORBAX = "orbax"  # the folder of the weights as Orbax saves them
OUTCOMES = ("newest", "told, one before", "error", "WRONG AND SILENT")


def main(argv: list[str]) -> None:
  del argv
  logging.set_verbosity(logging.WARNING)
  rng = np.random.default_rng(_SEED.value)
  with tempfile.TemporaryDirectory() as folder:
    run = pathlib.Path(folder) / "run"
    config = tiny_config.tiny(model__width=1.0)  # arrays too large for TensorStore's inner nodes
    final = trainer.train(config, str(run), jax.devices()[:1]).state
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
      checkpointer.save(epath.Path(run / ORBAX), args=ocp.args.StandardSave(model_of(final)))
    older = pathlib.Path(folder) / "older"
    shutil.copytree(run, older)
    shutil.rmtree(older / "checkpoints" / "12")
    before, _ = resume(older, final)
    counts = {kind: collections.Counter() for kind in damage.DAMAGES}
    for trial in range(_TRIALS.value):
      kind = damage.DAMAGES[trial % len(counts)]
      copy = pathlib.Path(folder) / "copy"
      shutil.copytree(run, copy)
      newest = copy / "checkpoints" / "12"
      place = copy / ORBAX / "ocdbt.process_0" / "d" if _ALONE.value else newest
      damage.damage(rng.choice(damage.files(place)), kind, rng)
      outcomes = orbax(copy / ORBAX, final) if _ALONE.value else ours(copy, final, before)
      counts[kind].update(outcomes)
      shutil.rmtree(copy)
  print(
    f"| {_TRIALS.value} damages | " + " | ".join(OUTCOMES) + " |\n|---|" + "--:|" * len(OUTCOMES)
  )
  for kind, found in counts.items():
    print(f"| {kind} | " + " | ".join(str(found[o]) for o in OUTCOMES) + " |")


def ours(copy: pathlib.Path, final, before) -> list[str]:
  """Evaluates, then resumes from a damaged run: two outcomes."""
  found = []
  for read in (evaluate, resume):
    told = io.StringIO()
    try:
      with contextlib.redirect_stderr(told):
        state, pick = read(copy, final)
    except Exception as error:
      print(f"{read.__name__}: {error!r}", file=sys.stderr)
      found.append("error")
      continue
    if damage.same(state, pick(final)):
      found.append("newest")
    elif "is skipped" in told.getvalue() and damage.same(state, pick(before)):
      found.append("told, one before")
    else:
      found.append("WRONG AND SILENT")
  return found


def evaluate(workdir: pathlib.Path, like):
  del like
  run = loading.load_run(str(workdir))
  return (run.params, run.stats), lambda state: jax.device_get((state.params, state.stats))


def resume(workdir: pathlib.Path, like):
  return damage.restore(workdir, like), lambda state: state


def model_of(final):
  return jax.device_get({"params": final.params, "stats": final.stats})


def orbax(folder: pathlib.Path, final) -> list[str]:
  model = model_of(final)
  try:
    read = ocp.StandardCheckpointHandler().restore(
      epath.Path(folder), args=ocp.args.StandardRestore(model)
    )
  except Exception:  # of any kind: that Orbax noticed is what is counted
    return ["error"]
  return ["newest" if damage.same(read, model) else "WRONG AND SILENT"]


if __name__ == "__main__":
  app.run(main)
