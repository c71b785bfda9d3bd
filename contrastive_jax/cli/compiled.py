"""Keeps what XLA compiles for the next start, in a folder of the user's cache.

JAX can limit that folder itself, but needs another package for it and takes a lock for each
program, also where the home lies on a network. Here the oldest files are removed at a start: nobody
waits, and who misses a file compiles anew.
"""

import contextlib
import hashlib
import logging
import os
import pathlib
import platform
import tempfile

import jax

from contrastive_jax import paths

MOST_BYTES = 2 * 2**30
_SHORTEST_S = 0.1  # what was compiled in less is compiled again


def keep() -> None:
  """Has JAX keep programs, unless it was told where: `JAX_COMPILATION_CACHE_DIR`, also empty.

  What goes wrong is a warning: a run does without.
  """
  log = logging.getLogger(__name__)
  if "JAX_COMPILATION_CACHE_DIR" in os.environ or jax.config.jax_compilation_cache_dir:
    return
  path = folder()
  try:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)  # what lies there is run
    if path.stat().st_uid != os.getuid():
      raise PermissionError(None, "it is another user's")
    with tempfile.TemporaryFile(dir=path) as file:
      file.write(bytes(4096))
    _trim(path.parent, MOST_BYTES)
  except OSError as error:
    reason = error.strerror or type(error).__name__
    log.warning("warning: compiled programs are not kept in %s (%s)", path, reason)
    return
  jax.config.update("jax_compilation_cache_dir", str(path))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", _SHORTEST_S)
  log.info("compiled programs are kept in %s; --nokeep_compiled does without", path)


def folder() -> pathlib.Path:
  """Returns the folder of this machine's processor: code for another's may not run here."""
  return paths.cache() / "compiled" / _processor()


def _processor() -> str:
  told = platform.machine()
  with contextlib.suppress(OSError):  # not on macOS, whose homes are not shared as a rule
    lines = pathlib.Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    known = ("flags", "Features", "model name", "CPU part")
    told += "".join(sorted({line for line in lines if line.startswith(known)}))
  return hashlib.sha256(told.encode()).hexdigest()[:16]


def _trim(root: pathlib.Path, most: int) -> None:
  """Removes files that were not used for longest until there are `most` bytes."""
  found = []
  for path in root.glob("*/*"):
    with contextlib.suppress(FileNotFoundError):  # another process trims
      status = path.stat()
      found.append((max(status.st_atime, status.st_mtime), status.st_size, path))
  total = sum(size for _, size, _ in found)
  for _, size, path in sorted(found):
    if total <= most:
      return
    path.unlink(missing_ok=True)
    total -= size
