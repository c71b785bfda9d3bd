"""Weights & Biases: the same metrics and pictures, offline unless the user's WANDB_MODE says else.

Offline, wandb writes to WORKDIR/wandb and asks nobody; `wandb sync WORKDIR/wandb/offline-run-*`
uploads it later. It is an extra, and imported only where it is asked for. What it gets wrong in the
middle of a run is a warning: it is no reason to lose one.
"""

import contextlib
import json
import logging
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from contrastive_jax import errors

_NONE = "log.wandb needs wandb; pip install 'contrastive_jax[wandb]', or set log.wandb=False"


def check() -> None:
  """Raises `UserError` if wandb is not installed."""
  try:
    import wandb  # noqa: F401
  except ImportError as error:
    raise errors.UserError(_NONE) from error


class WandbLog:
  """A run of wandb; one for each process that works on a run of ours, in one group.

  Args:
    workdir: of the run.
    config: of the run, as JSON.
  """

  def __init__(self, workdir: pathlib.Path, config: str):
    check()
    import wandb

    with errors.placing(str(workdir / "wandb")):
      self._run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "contrastive_jax"),
        group=workdir.resolve().name,
        dir=str(workdir),
        mode=os.environ.get("WANDB_MODE", "offline"),
        config=json.loads(config),
        settings=wandb.Settings(silent=True, console="off", save_code=False, disable_git=True),
      )

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Writes scalars of a step."""
    self._log(dict(values), step)

  def picture(self, name: str, path: pathlib.Path) -> None:
    """Writes a PNG file, at the step that is told next or was told last."""
    with _only_warned():
      import wandb

      self._log({name: wandb.Image(str(path))}, None)

  def close(self) -> None:
    with _only_warned():
      self._run.finish()

  def _log(self, values: dict[str, Any], step: int | None) -> None:
    with _only_warned():
      self._run.log(values, step=step)


@contextlib.contextmanager
def _only_warned() -> Iterator[None]:
  try:
    yield
  except Exception as error:  # of whatever its service says
    logging.getLogger(__name__).warning("warning: wandb: %s: %s", type(error).__name__, error)
