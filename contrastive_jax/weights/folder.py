"""Where an export goes, whole or not there at all: a folder, or one of a bucket.

A folder is written beside its place under another name, and renamed when all of it is on the disk.
One that an export left there before is replaced, unless anything else lies there too. In a bucket
nothing can be renamed: the file by which an export is known is removed first and put last, so that
none is taken for whole before.
"""

import contextlib
import os
import pathlib
import re
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping

from contrastive_jax import errors, places, reading
from contrastive_jax.buckets import address
from contrastive_jax.buckets.objects import Objects, opening
from contrastive_jax.export_names import FIRST, MARK, NAMES
from contrastive_jax.workdir import checkpoint_files


def check(place: str) -> None:
  """Raises `UserError` where nothing can be written, or something lies that no export has made."""
  if address.is_bucket(place):
    _check_bucket(address.parsed(place, "the export"))
    return
  folder = pathlib.Path(place)
  places.check_folder(folder, "the export", "give another --out")
  _check_names(place, reading.names_in(folder), (MARK,))


@contextlib.contextmanager
def tried(place: str) -> Iterator[None]:
  """Tries to write beside a folder before what goes there is made; one in a bucket was, by `check`.

  The folders above it are made, and removed again if they are empty after an error.

  Raises:
    UserError: nothing can be written there.
    SaveFailed: nothing can be now.
  """
  if address.is_bucket(place):
    yield
    return
  above = pathlib.Path(place).absolute().parent
  made = [path for path in (above, *above.parents) if not path.exists()]
  try:
    places.ready(above, "the export", "give another --out")
    yield
  except BaseException:  # Ctrl-C, too
    for path in made:
      with contextlib.suppress(OSError):
        path.rmdir()
    raise


def _check_bucket(to: address.Address) -> None:
  objects = Objects(to)
  with opening(to, "the export"):
    _check_names(str(to), objects.listed(), (MARK, FIRST))
    objects.try_writing()


def _check_names(place: str, there: Collection[str], known_by: tuple[str, ...]) -> None:
  """Raises `UserError` unless a place is empty, or holds an export and nothing else."""
  others = sorted(set(there) - set(NAMES))
  if not others and not set(there) & set(known_by):
    others = sorted(there)  # with names of ours, but of somebody's: Hugging Face's are the same
  if others:
    named = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    raise errors.UserError(
      f"{place} holds other files ({named}), which an export would replace; give another --out"
    )


def write(place: str, files: Mapping[str, bytes]) -> None:
  """Writes files, `MARK` among them, in the place of an earlier export. Raises `SaveFailed`."""
  with errors.saving(place, then="give the same command again"):
    if address.is_bucket(place):
      _put(Objects(address.parsed(place, "the export")), files)
    else:
      _rename(pathlib.Path(place), files)


def _put(objects: Objects, files: Mapping[str, bytes]) -> None:
  there = objects.listed()
  objects.delete(*({MARK} & there.keys()))
  for name in sorted(files.keys() - {MARK}, key=lambda name: name != FIRST):
    objects.put(name, files[name])
  objects.delete(*(there.keys() - files.keys()))
  objects.put(MARK, files[MARK])


def _rename(folder: pathlib.Path, files: Mapping[str, bytes]) -> None:
  own = uuid.uuid4().hex
  fresh, old = (folder.with_name(f".{folder.name}.{own}.{end}") for end in ("tmp", "old.tmp"))
  try:
    for name, content in files.items():
      places.write(fresh / name, content)
    if folder.exists():
      os.rename(folder, old)
    os.rename(fresh, folder)
    checkpoint_files.sync(folder.parent)
  finally:
    shutil.rmtree(fresh, ignore_errors=True)
  leftover = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{32}}(\.old)?\.tmp")
  for name in filter(leftover.fullmatch, os.listdir(folder.parent)):  # of killed exports too
    shutil.rmtree(folder.with_name(name), ignore_errors=True)
