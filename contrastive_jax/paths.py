"""Paths and names of files as a user writes them, and the folder of what may be made again."""

import os
import pathlib
import re

from contrastive_jax import errors

CACHE = "CONTRASTIVE_JAX_CACHE"  # the variable that names the folder of `cache`
_MAX_NAME_BYTES = 100  # file systems take 255; what is added to a name needs room, too


def check_name(key: str, name: str) -> None:
  """Raises `UserError`, which calls a name by its `key`, unless files can be named after it."""
  hint = 'use letters, digits, "_", "-", and "." inside'
  if not re.fullmatch(r"[\w-][\w.-]*", name):
    raise errors.UserError(f'{key} "{name[:_MAX_NAME_BYTES]}" is no file name; {hint}')
  if len(name.encode()) > _MAX_NAME_BYTES:
    raise errors.UserError(
      f'{key} "{name[:20]}..." has {len(name.encode())} bytes, and files are named after it; '
      f"use at most {_MAX_NAME_BYTES}"
    )


def local(path: str | os.PathLike, name: str) -> str:
  """Returns a path of this machine's file systems, `~` and `~user` expanded.

  Args:
    path: as it was given.
    name: of the flag or key that it was given by.

  Raises:
    UserError: it names a bucket or another place that no file system shows.
  """
  given = os.fspath(path)
  if not given:
    raise errors.UserError(f"{name} is empty; give a directory")
  if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", given):
    raise errors.UserError(
      f"{name} {given} is no path of a file system; give a local or mounted directory (gs:// and "
      "s3:// are for runs, their evaluation and images)"
    )
  if re.match(r"(gs|s3):/", given):  # so pathlib writes an address: it would be a folder "gs:"
    raise errors.UserError(
      f"{name} {given} has one slash where an address of a bucket has two; give "
      f"{given.replace(':/', '://', 1)}, as text (pathlib drops a slash), or ./{given} for a folder"
    )
  return os.path.expanduser(given)


def cache() -> pathlib.Path:
  """Returns the user's cache folder, which need not be there: nothing in it is needed.

  `CONTRASTIVE_JAX_CACHE` names it; else it is in `XDG_CACHE_HOME`, which counts if it is absolute,
  says its standard; else in `~/.cache`.
  """
  if given := os.environ.get(CACHE):
    return pathlib.Path(os.path.expanduser(given)).absolute()
  home = os.environ.get("XDG_CACHE_HOME", "")
  home = home if os.path.isabs(home) else os.path.expanduser("~/.cache")
  return pathlib.Path(home, "contrastive_jax").absolute()
