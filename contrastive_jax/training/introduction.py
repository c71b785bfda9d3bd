"""The first line of a run: what is trained on what, how many steps, from where it goes on."""

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from contrastive_jax import build, data, plural
from contrastive_jax.step.state import TrainState


def line(
  config: ConfigDict,
  run: build.Run,
  state: TrainState,
  source: data.Source,
  held_out: data.Source | None,
  mesh: Mesh,
  start: int,
) -> str:
  """Returns the first line of a run."""
  unused = len(source) % config.batch_size
  left_out = plural.of(
    unused,
    "image a pass is left out, since it fills no batch",
    "images a pass are left out, since they fill no batch",
  )
  weights = sum(int(np.prod(x.shape)) for x in jax.tree.leaves(state.params))
  return (
    f"{config.method.name} {config.model.name}: {weights:,} parameters, "
    f"{plural.of(len(source), 'image')}"
    f"{f' ({len(held_out):,} more held out)' if held_out else ''}, "
    f"{plural.of(run.steps_per_epoch, 'step')} an epoch, {run.total_steps} in all, "
    f"peak learning rate {run.schedule.peak:.4g}, {mesh.size} device(s)"
    + _warmup(config, run)
    + (f"; {left_out}" if unused else "")
    + (f"; goes on from step {start}, {_epoch(start, run)}" if start else "")
  )


def _epoch(step: int, run: build.Run) -> str:
  """Says where a step lies: with another batch size or set not where it lay when it was taken."""
  total = f"{run.total_steps / run.steps_per_epoch:.2f}".removesuffix(".00")
  return f"epoch {step / run.steps_per_epoch:.2f} of {total}"


def _warmup(config: ConfigDict, run: build.Run) -> str:
  """Says if the warm-up is shorter than it would be in as many epochs as the config has."""
  asked = config.optimizer.warmup_epochs
  if run.schedule.warmup_steps >= round(asked * run.steps_per_epoch):
    return ""
  return (
    f"; the warm-up takes {run.schedule.warmup_steps} of them, the part that {asked:g} are of "
    f"{plural.of(config.epochs, 'epoch')}"
  )
