"""A workdir that is in a bucket: the folder of this host in which its run works."""

import contextlib
import logging
from collections.abc import Iterator

import jax

from contrastive_jax import errors, paths
from contrastive_jax.buckets import address, local, mirror
from contrastive_jax.processes import agree


@contextlib.contextmanager
def here(workdir: str) -> Iterator[tuple[str, mirror.Nowhere]]:
  """Yields the folder of a run on this host, and what keeps a bucket like it.

  Args:
    workdir: as it was given: a folder, which is yielded as it is, or the address of a bucket, which
      is this run's alone within the context.

  Raises:
    UserError: the bucket is not there, may not be used, or another run has it.
    ReadFailed, SaveFailed: its server does not answer, or this host has no room.
  """
  if not address.is_bucket(workdir):
    yield workdir, mirror.Nowhere()
    return
  place = address.parsed(workdir, "--workdir")
  with mirror.opened(place, jax.process_index(), together) as found:
    with local.called(found.folder, place):
      logging.getLogger(__name__).info(
        "%s: the run works in its copy %s (%s names another cache folder)",
        *(place, found.folder, paths.CACHE),
      )
      yield str(found.folder), found


@contextlib.contextmanager
def together() -> Iterator[None]:
  """`agree.mistakes_shared`, for what could not be written, too: others would wait in vain."""
  with agree.mistakes_shared():
    try:
      yield
    except errors.SaveFailed as error:
      if jax.process_count() == 1:
        raise
      raise errors.ReadFailed(str(error)) from error
