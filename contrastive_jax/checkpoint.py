"""Checkpoints of a run through Orbax: the only file that knows it.

A workdir holds `config.json` and `checkpoints/STEP/{model,training}`; `model` (weights and
batch-norm statistics) is all that evaluation reads. Data position and random keys follow from the
step, so a restored state continues bit for bit.
"""

import pathlib
from typing import NamedTuple

import jax
import orbax.checkpoint as ocp
from etils import epath
from jaxtyping import PyTree
from ml_collections import ConfigDict

from contrastive_jax import config as config_lib
from contrastive_jax import errors
from contrastive_jax.state import TrainState

_MODEL = ("params", "stats")
_TRAINING = ("step", "opt_state", "memory", "probe")


class Run(NamedTuple):
  """What evaluation needs of a finished or running pre-training."""

  config: ConfigDict
  params: PyTree  # numpy
  stats: PyTree
  step: int


class Checkpoints:
  """The checkpoints of one workdir, saved in the background, kept by recency and by kNN."""

  def __init__(self, workdir: str, *, keep: int = 2, keep_best: int = 1):
    policy = ocp.checkpoint_managers
    self._manager = ocp.CheckpointManager(
      epath.Path(workdir).absolute() / "checkpoints",
      options=ocp.CheckpointManagerOptions(
        preservation_policy=policy.AnyPreservationPolicy(
          [
            policy.LatestN(keep),
            policy.BestN(
              get_metric_fn=lambda metrics: metrics["knn"],
              n=keep_best,
              keep_checkpoints_without_metrics=False,
            ),
          ]
        ),
        cleanup_tmp_directories=True,
      ),
      item_handlers={name: ocp.StandardCheckpointHandler() for name in ("model", "training")},
    )

  def save(self, step: int, state: TrainState, knn: float | None = None) -> None:
    """Starts to save `state`, with its kNN accuracy if it was measured; no-op if it is there."""
    if step in self._manager.all_steps():
      return
    self._manager.save(
      step,
      args=ocp.args.Composite(
        model=ocp.args.StandardSave({k: getattr(state, k) for k in _MODEL}),
        training=ocp.args.StandardSave({k: getattr(state, k) for k in _TRAINING}),
      ),
      metrics=None if knn is None else {"knn": knn},
    )

  def restore(self, like: TrainState) -> TrainState | None:
    """Returns the newest state with the shapes and shardings of `like`, None if there is none.

    Raises:
      UserError: the checkpoint is of another network, optimiser or method.
    """
    step = self._manager.latest_step()
    if step is None:
      return None
    parts = {}
    for item, names in (("model", _MODEL), ("training", _TRAINING)):
      abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
        {k: getattr(like, k) for k in names},
      )
      _check_same_tree(self._manager.item_metadata(step)[item].tree, abstract, step)
      restored = self._manager.restore(
        step, args=ocp.args.Composite(**{item: ocp.args.StandardRestore(abstract)})
      )
      parts.update(restored[item])
    return TrainState(**parts)

  def wait(self) -> None:
    """Returns when every save has reached the disk."""
    self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits for the saves and stops the background threads."""
    self._manager.close()


def load_run(workdir: str, step: int | None = None) -> Run:
  """Reads config, weights and statistics of a run: its newest checkpoint, or that of `step`.

  Raises:
    UserError: `workdir` is no run, has no checkpoint, or none of that step.
  """
  root = pathlib.Path(workdir)
  if not (root / "config.json").is_file():
    raise errors.UserError(
      f"workdir {workdir} holds no run (no config.json); give the --workdir of a train.py run"
    )
  config = config_lib.from_json((root / "config.json").read_text())
  steps = saved_steps(workdir)
  if not steps:
    raise errors.UserError(
      f"workdir {workdir} holds no checkpoint yet; let train.py reach its first save"
    )
  if step is not None and step not in steps:
    raise errors.UserError(f"workdir {workdir} has no checkpoint of step {step}; it has {steps}")
  step = steps[-1] if step is None else step
  path = epath.Path(root).absolute() / "checkpoints" / str(step) / "model"
  handler = ocp.StandardCheckpointHandler()
  sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  abstract = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
    handler.metadata(path).tree,
  )
  model = jax.device_get(handler.restore(path, args=ocp.args.StandardRestore(abstract)))
  return Run(config, model["params"], model["stats"], step)


def saved_steps(workdir: str) -> list[int]:
  """Returns the steps of the complete checkpoints, oldest first."""
  root = pathlib.Path(workdir) / "checkpoints"
  names = [path.name for path in root.iterdir()] if root.is_dir() else []
  return sorted(int(name) for name in names if name.isdigit())


def _check_same_tree(saved: PyTree, asked: PyTree, step: int) -> None:
  """Raises `UserError` that names the first leaf whose presence or shape differs."""
  old, new = _leaves(saved), _leaves(asked)
  for path in [*new, *old]:
    if old.get(path) != new.get(path):
      raise errors.UserError(
        f"checkpoint {step} has {path} {old.get(path, 'nowhere')}, this config makes it "
        f"{new.get(path, 'nowhere')}; use the run's own config or a new --workdir"
      )


def _leaves(tree: PyTree) -> dict[str, tuple[int, ...]]:
  flat, _ = jax.tree_util.tree_flatten_with_path(tree)

  def name(path):
    parts = (getattr(k, "key", getattr(k, "name", getattr(k, "idx", None))) for k in path)
    return ".".join(str(part) for part in parts)

  return {name(path): tuple(leaf.shape) for path, leaf in flat}
