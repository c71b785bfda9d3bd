#!/bin/sh
# Orbax's CheckpointManager takes a loss that is NaN for the best: a run that diverges deletes its good
# checkpoints one by one, and best_step() is one of NaN weights.
#
# Version:  orbax-checkpoint 0.12.8, the newest that Python 3.11 can have, jax 0.10.2, Linux.
# Expected: best_fn, which its documentation has for keeping checkpoints "based on the quality of given
#           metrics rather than recency", with max_to_keep=2 keeps the two lowest losses by best_mode="min",
#           whatever else a run comes to, as PyTorch Lightning's ModelCheckpoint does, to which NaN is the
#           worst; or a NaN is refused.
# Seen:     losses of 3, 2, 1, NaN, NaN, NaN leave steps 4 and 5, both NaN, and best_step() is 5; step 2, the
#           best, is deleted when the second NaN is saved. One NaN in the middle is enough: of 0.5, NaN, 0.9
#           and 0.7 the 0.5 is deleted and 0.9 is kept. best_mode="max" does the same, and so does BestN as a
#           preservation_policy, which is what best_fn becomes. Nothing is said.
# Why:      both sort by the metric alone. NaN is neither more nor less than any number, so that it stays
#           where it was saved, last, which is where the best are, and keeps apart what is on either side of
#           it. No report of it was found.
# For us:   a checkpoint's score is the share of images that kNN has right, of features that are all finite
#           (contrastive_jax/evaluation/knn.py); a step that is not is skipped, and the newest checkpoints
#           stay whatever their scores (workdir/checkpoint.py, docs/reliability.md).
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  orbax-checkpoint==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
export HOME="$work" JAX_PLATFORMS=cpu TMPDIR="$work"
"$work/env/bin/python" -W ignore - <<'PYTHON'
import math
import tempfile

import numpy as np
import orbax.checkpoint as ocp

KEPT = 2


def loss_of(metrics):
  return metrics["loss"]


def saved(losses, **options):
  """Returns the losses of the steps that are left, and that of the best step."""
  options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False, **options)
  with ocp.CheckpointManager(tempfile.mkdtemp(), options=options) as manager:
    for step, loss in enumerate(losses):
      tree = ocp.args.StandardSave({"weights": np.full(2, loss)})
      manager.save(step, args=tree, metrics={"loss": loss})
    manager.wait_until_finished()
    best = manager.best_step()
    return [losses[step] for step in manager.all_steps()], losses[best]


nan = math.nan
for name, losses, mode, left, best in (
  ("without a NaN", [0.5, 2.0, 0.9, 0.7], "min", [0.5, 0.7], 0.5),
  ("diverges at the end", [3.0, 2.0, 1.0, nan, nan, nan], "min", [nan, nan], nan),
  ("one in the middle", [0.5, nan, 0.9, 0.7], "min", [0.9, 0.7], 0.7),
  ("accuracy, at the end", [0.3, 0.6, 0.9, nan, nan, nan], "max", [nan, nan], nan),
):
  found = saved(losses, best_fn=loss_of, best_mode=mode, max_to_keep=KEPT)
  print(f"{name:21} {mode}: of {losses} {found[0]} are left, best {found[1]}")
  assert str(found) == str((left, best)), found
policy = ocp.checkpoint_managers.BestN(get_metric_fn=loss_of, reverse=True, n=KEPT)
found = saved([0.5, nan, 0.9, 0.7], preservation_policy=policy)
print("BestN", found[0])
assert found[0] == [0.9, 0.7], found
print("as described")
PYTHON
