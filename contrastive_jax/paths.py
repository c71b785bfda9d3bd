"""Paths as a user writes them."""

import os
import re

from contrastive_jax import errors


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
      f"{name} {given} is no path of a file system; give a local or mounted directory"
    )
  return os.path.expanduser(given)
