"""The weights that a run starts from, and those that it leaves for other programs at its end."""

import json
import os
import pathlib
from collections.abc import Callable

from ml_collections import ConfigDict

from contrastive_jax import errors, export_names
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.processes import agree
from contrastive_jax.weights import export, folder, matching, start
from contrastive_jax.workdir import checkpoint_files

NAME = "init.json"
_FLAG = "--config.checkpoint.export"


def weights(config: ConfigDict, workdir: str) -> start.Weights | None:
  """Returns what `config.init` names, fit for the run's network and equal on every process.

  None where there is nothing, or a checkpoint to go on from: then the file need not be there.

  Raises:
    UserError: it is missing, damaged, or of another network.
    ReadFailed: it cannot be read for now.
  """
  begun = checkpoint_files.any_in(checkpoint_files.root(workdir))
  if not config.init.path or (begun and not config.checkpoint.restart):
    return None
  with agree.mistakes_shared():
    found = matching.check(start.read(**config.init), config)
  agree.check_equal({f"init.path {config.init.path}": found.digest})
  return found


def note(
  workdir: str, found: start.Weights | None, written: Callable[[pathlib.Path], None]
) -> None:
  """Writes down where the first weights came from; `written` is called with the file."""
  if found is None:
    return
  path = pathlib.Path(workdir) / NAME
  said = {
    "source": found.source,
    "layout": found.layout,
    "digest": found.digest,
    "model": found.model,
    "taken": found.taken,
    "not_taken": found.unused,
  }
  with errors.placing(str(path)):
    workdir_lib.write(path, json.dumps(said, indent=2) + "\n")
  written(path)


def check_export(config: ConfigDict, workdir: str) -> None:
  """Raises `UserError` for an export at the end that could not be, before the run begins."""
  for form in eval_config.names(config.checkpoint.export):
    export.check_form(form, flag=_FLAG)
    export.check_network(config, form, _FLAG)
    folder.check(os.path.join(workdir, export_names.FOLDER, form))


def export_at_end(config: ConfigDict, workdir: str) -> None:
  """Exports the last checkpoint of a run, local or in a bucket; called by every process."""
  for form in eval_config.names(config.checkpoint.export):
    export.run(workdir, form, try_place=False)
