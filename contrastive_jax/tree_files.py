"""Trees of arrays as files, through Orbax: the only file that knows it."""

import contextlib
import pathlib
import sys
from collections.abc import Iterator

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
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
  hook, logger = sys.unraisablehook, logging.get_absl_logger()

  def not_orbax(record):
    return "orbax" not in record.pathname

  sys.unraisablehook = lambda told: None  # after the first failure come those of other files
  logger.addFilter(not_orbax)
  try:
    yield
    sys.unraisablehook = hook  # not after a failure: more may follow
  finally:
    logger.removeFilter(not_orbax)
