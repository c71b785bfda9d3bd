"""Trees of arrays as files, through Orbax: the only file that knows it."""

import contextlib
import logging
import pathlib
import sys
from collections.abc import Iterator

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging as absl_logging
from etils import epath
from jaxtyping import PyTree


def write(directory: pathlib.Path, trees: dict[str, PyTree[np.ndarray]]) -> None:
  """Writes each tree to a folder of its name; this process alone, which waits for no other."""
  this = jax.process_index()
  alone = ocp.options.MultiprocessingOptions(
    primary_host=this, active_processes={this}, barrier_sync_key_prefix="alone"
  )
  handler = ocp.StandardCheckpointHandler(multiprocessing_options=alone)
  with (
    _without_tracebacks(),
    ocp.Checkpointer(handler, multiprocessing_options=alone) as checkpointer,
  ):
    for name, tree in trees.items():
      checkpointer.save(epath.Path(directory) / name, args=ocp.args.StandardSave(tree))


def read(directory: pathlib.Path, like: PyTree | None = None) -> PyTree[np.ndarray]:
  """Reads the tree of a folder, with the shapes and types of `like` or else those of the files."""
  handler, path = ocp.StandardCheckpointHandler(), epath.Path(directory)
  like = handler.metadata(path).tree if like is None else like
  # Only shape and type of what is asked for count: no memory.
  asked = jax.tree.map(lambda x: np.broadcast_to(np.zeros((), x.dtype), x.shape), like)
  return handler.restore(path, args=ocp.args.StandardRestore(asked))


@contextlib.contextmanager
def _without_tracebacks() -> Iterator[None]:
  """Keeps threads of Orbax and TensorStore from printing the failure that the caller will tell."""
  hook = sys.unraisablehook
  orbax, loops = absl_logging.get_absl_logger(), logging.getLogger("asyncio")
  sys.unraisablehook = lambda told: None  # after the first failure come those of other files
  orbax.addFilter(_not_of_orbax)
  loops.addFilter(_not_of_orbax)
  try:
    yield
    # Not after a failure: more may follow. Orbax waits for the first alone; of the others asyncio
    # tells when it collects them, which may be at the end of the process.
    sys.unraisablehook = hook
    loops.removeFilter(_not_of_orbax)
  finally:
    orbax.removeFilter(_not_of_orbax)


def _not_of_orbax(record: logging.LogRecord) -> bool:
  """What asyncio tells of Orbax names its code or the folder that it was writing."""
  return "orbax" not in record.pathname + record.getMessage()
