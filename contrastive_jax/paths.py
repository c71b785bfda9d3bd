"""Paths and names of files as a user writes them."""

import os
import re

from contrastive_jax import errors

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
  if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", given):
    raise errors.UserError(
      f"{name} {given} is no path of a file system; give a local or mounted directory (gs:// and "
      "s3:// are for runs, their evaluation and images)"
    )
  return os.path.expanduser(given)
