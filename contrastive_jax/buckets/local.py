"""Copies of what lies in buckets, on this host in the user's cache folder.

What lies there may be removed while no run uses it.
"""

import contextlib
import fcntl
import pathlib
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from typing import TypeVar

from contrastive_jax import errors, locking, paths
from contrastive_jax.buckets.address import Address
from contrastive_jax.buckets.objects import opening

_T = TypeVar("_T")
_OWN = ("folder.id", "folder.lock")


@contextlib.contextmanager
def held(address: Address, process: int = 0) -> Iterator[tuple[pathlib.Path, str]]:
  """Makes the folder of a run and keeps it for this process alone; yields it and its identity.

  Processes of one run have a folder each, whether they share a host or not.

  Raises:
    UserError: it cannot be made, or a run uses it.
  """
  folder = paths.cache() / "runs" / f"{address.slug}{f'.{process}' if process else ''}"
  with contextlib.ExitStack() as stack:
    with _placing(folder):
      folder.mkdir(parents=True, exist_ok=True)
      file = stack.enter_context((folder / _OWN[1]).open("a+"))
    holder = locking.take(file)
    if holder is not None:
      raise errors.UserError(
        f"workdir {address} is in use by {holder}; wait for its end, stop it, or give another "
        "--workdir"
      )
    with _placing(folder):
      name = folder / _OWN[0]
      if not name.exists() or not name.read_text().strip():
        name.write_text(uuid.uuid4().hex + "\n")
      # Where there are no locks nothing is known of who else has the folder.
      identity = name.read_text().strip() if _is_locked(folder / _OWN[1]) else uuid.uuid4().hex
    yield folder, identity


def _is_locked(path: pathlib.Path) -> bool:
  with path.open("a") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      return True
    except OSError:
      return False
  return False


def emptied(folder: pathlib.Path) -> bool:
  """Removes what a folder of a run holds; returns whether there was anything."""
  found = [path for path in folder.iterdir() if path.name not in _OWN]
  for path in found:
    if path.is_dir() and not path.is_symlink():
      shutil.rmtree(path)
    else:
      path.unlink()
  return bool(found)


@contextlib.contextmanager
def filled(address: Address, name: str, fill: Callable[[pathlib.Path], _T]) -> Iterator[_T]:
  """Fills a folder that goes with the context, its last parts those of the address.

  Args:
    address: of what it is a copy.
    name: of the flag that it was given by, or what it is.
    fill: called with the folder, writes what is wanted there; what it returns is yielded.

  Raises:
    UserError: there is no such bucket, or it may not be used.
    ReadFailed, SaveFailed: its server does not answer, or this host has no room.
  """
  parent = paths.cache() / "reads"
  with contextlib.ExitStack() as stack:
    with errors.placing(f"the local copy of {address}"), opening(address, name):
      parent.mkdir(parents=True, exist_ok=True)
      home = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(dir=parent)))
      folder = home / address.bucket / address.path
      folder.mkdir(parents=True)
      found = fill(folder)
    with called(folder, address):
      yield found


@contextlib.contextmanager
def called(folder: pathlib.Path, address: Address) -> Iterator[None]:
  """Names the bucket, which the user gave, in mistakes that are told of its copy on this host."""
  try:
    yield
  except errors.UserError as error:
    raise type(error)(str(error).replace(str(folder), str(address))) from error


def _placing(folder: pathlib.Path) -> contextlib.AbstractContextManager:
  return errors.placing(
    f"the local copy {folder}", f"give the same command again ({paths.CACHE} names another folder)"
  )
