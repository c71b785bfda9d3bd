"""Trees of arrays as files, through Orbax: the only file that knows it."""

import contextlib
import gc
import logging
import os
import pathlib
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging as absl_logging
from etils import epath
from jaxtyping import PyTree

from contrastive_jax import errors

_CLOSED = "Event loop is closed"  # what a thread of TensorStore meets that comes after the failure
_QUIET_S, _LONGEST_S = 1.0, 30.0
_PLAIN = re.compile(r"[A-Za-z0-9_./ =,+@:~-]{1,1000}")  # of a path: what no library reads as more


def write(directory: pathlib.Path, trees: dict[str, PyTree[np.ndarray]]) -> None:
  """Writes each tree to a folder of its name; this process alone, which waits for no other."""
  this = jax.process_index()
  alone = ocp.options.MultiprocessingOptions(
    primary_host=this, active_processes={this}, barrier_sync_key_prefix="alone"
  )
  handler = ocp.StandardCheckpointHandler(multiprocessing_options=alone)
  os.makedirs(directory, exist_ok=True)
  with (
    _plainly_named(directory) as plain,
    _without_tracebacks(),
    ocp.Checkpointer(handler, multiprocessing_options=alone) as checkpointer,
  ):
    for name, tree in trees.items():
      checkpointer.save(plain / name, args=ocp.args.StandardSave(tree))


def read(directory: pathlib.Path, like: PyTree | None = None) -> PyTree[np.ndarray]:
  """Reads the tree of a folder, with the shapes and types of `like` or else those of the files."""
  handler = ocp.StandardCheckpointHandler()
  with _plainly_named(directory) as path:
    like = handler.metadata(path).tree if like is None else like
    # Only shape and type of what is asked for count: no memory.
    asked = jax.tree.map(lambda x: np.broadcast_to(np.zeros((), x.dtype), x.shape), like)
    return handler.restore(path, args=ocp.args.StandardRestore(asked))


@contextlib.contextmanager
def _plainly_named(directory: pathlib.Path) -> Iterator[epath.Path]:
  """Yields a path of a folder that Orbax and TensorStore take letter by letter.

  Of the whole path they read `[`, `?` and `**` as patterns and write a backslash's part elsewhere
  (Orbax 0.12.8, `lr[0.1]`; findings/orbax_path_patterns.sh): where a letter may mean more they get
  a link from the temporary folder.

  Raises:
    UserError: that has such a path too.
  """
  given = os.path.abspath(directory)
  if _PLAIN.fullmatch(given):
    yield epath.Path(given)
    return
  with tempfile.TemporaryDirectory(prefix="contrastive_jax_") as folder:
    if not _PLAIN.fullmatch(folder):
      raise errors.UserError(
        f"{given} has letters that Orbax takes for patterns, and so has the temporary folder "
        f"{folder}; set TMPDIR to a plain path, or give another --workdir"
      )
    link = os.path.join(folder, "checkpoint")
    os.symlink(given, link)
    yield epath.Path(link)


@contextlib.contextmanager
def _without_tracebacks() -> Iterator[None]:
  """Keeps threads of Orbax and TensorStore from printing the failure that the caller will tell.

  Orbax waits for the first file that fails alone. Of the others TensorStore tells from its threads,
  as what cannot be raised, and asyncio when it collects them: both are waited for.
  """
  hook, last = sys.unraisablehook, time.monotonic()
  orbax, loops = absl_logging.get_absl_logger(), logging.getLogger("asyncio")

  def hold(told) -> None:
    nonlocal last
    if not isinstance(told.exc_value, RuntimeError) or _CLOSED not in str(told.exc_value):
      hook(told)
    last = time.monotonic()

  sys.unraisablehook = hold
  orbax.addFilter(_not_of_orbax)
  loops.addFilter(_not_of_orbax)
  try:
    yield
  except BaseException as error:
    begun = last = time.monotonic()
    while time.monotonic() - last < _QUIET_S and time.monotonic() - begun < _LONGEST_S:
      time.sleep(_QUIET_S / 10)
    _let_go(error)
    raise
  finally:
    sys.unraisablehook = hook
    loops.removeFilter(_not_of_orbax)
    orbax.removeFilter(_not_of_orbax)


def _let_go(error: BaseException | None) -> None:
  """Frees what the frames of a failure hold, so that asyncio tells of it now."""
  while error is not None:
    traceback.clear_frames(error.__traceback__)
    error = error.__cause__ or error.__context__
  gc.collect()


def _not_of_orbax(record: logging.LogRecord) -> bool:
  """What asyncio tells of Orbax names its code or the folder that it was writing."""
  return "orbax" not in record.pathname + record.getMessage()
