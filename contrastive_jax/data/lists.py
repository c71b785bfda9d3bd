"""Folders are listed once a run: by one process, in whose list the others and the workers read.

Of 14 million files a list takes minutes, so that process keeps it in the user's cache: a workdir is
not to be written before the run may have it, and a list may be read by many runs. The other
processes of the run that see the cache take it, if its digest is the one that they are told;
workers share its pages. The workdir gets a copy of its own when the run begins, from which a later
start says what has changed.
"""

import hashlib
import logging
import os
import pathlib

from contrastive_jax import paths
from contrastive_jax.data import splits
from contrastive_jax.data.listing import Listing, load, save
from contrastive_jax.data.walk import scan

_KEPT_FROM = 100_000  # files; fewer are listed in a second or so, and by every process

_made: set[str] = set()  # digests of what this process listed
_trusted: set[str] = set()  # of what another process of the run did


def of(
  root: pathlib.Path,
  suffixes: tuple[str, ...],
  kept_in: str = "",
  outside: frozenset[str] = splits.SYSTEM,
) -> Listing:
  """Lists a folder, or takes the list that another process of the run has just made.

  Args:
    root: of the set.
    suffixes: of the files that belong to it, in lower case.
    kept_in: folder for long lists; "": that of the user's cache.
    outside: names of folders that do not belong to it.
  """
  place = _place(root, kept_in)
  if _trusted and (known := load(place)) and known.digest in _trusted:
    return known
  found = scan(root, suffixes, True, outside)
  _made.add(found.digest)
  if len(found) < _KEPT_FROM:
    return found
  try:
    place.parent.mkdir(parents=True, exist_ok=True)
    save(
      found, place, place.with_name(f"{place.name}.{os.getpid()}.tmp")
    )  # others may write it too
    return load(place) or found
  except OSError as error:
    logging.getLogger(__name__).warning(
      "warning: the list of %d files cannot be kept in %s (%s): every process makes it anew, and "
      "each worker holds it; set --config.data.folder.listings to a folder that all can write",
      *(len(found), place.parent, error.strerror),
    )
    return found


def made() -> list[str]:
  """Returns the digests of what this process has listed, for the others of its run."""
  return sorted(_made)


def trust(digests: list[str]) -> None:
  """Takes lists with these digests, where they are kept, in place of listing again."""
  _trusted.update(digests)


def _place(root: pathlib.Path, kept_in: str) -> pathlib.Path:
  folder = pathlib.Path(kept_in) if kept_in else paths.cache() / "listings"
  name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:20]
  return folder / f"{name}.files"
