"""A folder of results in a bucket: written here, and put there as soon as it is."""

import contextlib
import pathlib
import tempfile
from collections.abc import Callable, Iterator

from contrastive_jax import errors
from contrastive_jax.buckets import local
from contrastive_jax.buckets.address import Address
from contrastive_jax.buckets.objects import Objects, opening


@contextlib.contextmanager
def folder(address: Address, name: str) -> Iterator[tuple[pathlib.Path, Callable[[], None]]]:
  """Yields a folder with the JSON files that are there, and a function that puts what is new.

  Args:
    address: of the folder.
    name: of the flag that it was given by, or of the workdir that it is in.

  Raises:
    UserError: there is no such bucket, or it may not be written: an object is put and removed.
    ReadFailed, SaveFailed: its server does not answer, or this host has no room.
  """
  with tempfile.TemporaryDirectory(prefix="contrastive_jax_") as temporary:
    here, objects = pathlib.Path(temporary), Objects(address)
    with opening(address, name):
      there = objects.listed()
      objects.try_writing()
      for file, size in there.items():
        if file.endswith(".json") and "/" not in file:
          objects.download(file, here / file, size)
    known = {path: path.stat().st_mtime_ns for path in here.iterdir()}

    def put():
      with errors.saving(str(address), then="give the same command again"):
        for path in sorted(here.iterdir()):
          changed = path.stat().st_mtime_ns
          if path.suffix != ".tmp" and known.get(path) != changed:
            objects.put(path.name, path.read_bytes())
            known[path] = changed

    with local.called(here, address):
      yield here, put
