"""Reads again what could not be read for the moment.

A network file system that stumbles, a table of open files that is full or memory that is short say
nothing about the file that was asked for. Whoever reads waits a little and asks again; if that does
not help the run ends in a way that starting it again can mend. What is wrong with the file itself
is another matter, and told by other exceptions.

Imports: errors, slow.
"""

import errno
import logging
import os
import pathlib
import stat
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from contrastive_jax import errors, slow

PAUSES_S = (0.1, 0.3, 1.0, 3.0, 10.0)  # between the tries, 14 s in all
_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
_PIECE = 2**18  # bytes read at once
_NOT_REGULAR = {
  stat.S_ISFIFO: "a FIFO",
  stat.S_ISSOCK: "a socket",
  stat.S_ISCHR: "a device",
  stat.S_ISBLK: "a device",
  stat.S_ISDIR: "a folder",
}
_T = TypeVar("_T")


def may_pass(error: BaseException) -> bool:
  """Returns whether an error says nothing of what was read: the system could not, for now.

  Decoders raise OSError too, without a number of the system's. A permission does not pass.
  """
  if isinstance(error, MemoryError | ConnectionError | TimeoutError):
    return True
  if isinstance(error, PermissionError):
    return False
  return isinstance(error, OSError) and error.errno is not None


def is_missing(
  error: OSError, path: str | os.PathLike, within: str | os.PathLike | None = None
) -> bool:
  """Returns whether `error` says that there is no such file, and its folder says so too.

  Args:
    error: of opening or reading `path`.
    path: of a file.
    within: a folder above, whose word counts where those below it are gone; None: only the file's
      own folder counts. Where that is gone as well, or cannot be listed, a disk may be away.
  """
  if error.errno not in _NO_SUCH_FILE:
    return False
  path = os.path.realpath(path)
  within = os.path.dirname(path) if within is None else os.path.realpath(within)
  while path != within:
    folder, name = os.path.split(path)
    try:
      return name not in os.listdir(folder) or error.errno != errno.ENOENT
    except (FileNotFoundError, NotADirectoryError):
      path = folder
    except OSError:
      return False
  return False


def is_away(folder: str | os.PathLike) -> bool:
  """Returns whether a folder that held something is gone or empty: as where a disk is not mounted.

  What is hidden does not count.
  """
  try:
    return all(name.startswith(".") for name in os.listdir(folder))
  except OSError:
    return True


def is_folder(path: str | os.PathLike) -> bool:
  """Returns whether there is such a folder. Raises OSError where that cannot be known.

  `os.path.isdir`, and from Python 3.14 on `Path.is_dir`, say no to that too.
  """
  try:
    return stat.S_ISDIR(os.stat(path).st_mode)
  except (FileNotFoundError, NotADirectoryError):
    return False


def no_regular_file(path: str | os.PathLike) -> str:
  """Returns what lies there if it is no regular file, e.g. "a FIFO"; "" if it is one.

  To open a FIFO or a device is to wait for whoever is at its other end, or to set something off.

  Raises:
    OSError: there is nothing, or the system cannot tell.
  """
  mode = os.stat(path).st_mode
  return next((what for is_so, what in _NOT_REGULAR.items() if is_so(mode)), "")


def names_in(folder: str | os.PathLike) -> list[str]:
  """Returns what a folder holds, nothing if there is none. Raises `ReadFailed`, `UserError`."""

  def listed():
    try:
      return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
      return []

  return patiently(str(folder), listed, may_pass=_any_of_the_system)


def content(path: pathlib.Path) -> bytes | None:
  """Returns the content of a file, None if there is none. Raises `ReadFailed`, `UserError`."""
  return _regular(path, lambda: path.read_bytes())


def lines(path: pathlib.Path, longest: int = 2**20) -> Iterator[bytes | None]:
  """Yields the lines of a file, without their ends, and None for each that is over-long.

  No more than `longest` bytes and a piece of the file are in memory, whatever it holds. Raises
  `ReadFailed`, `UserError`; nothing is yielded if there is no file.
  """
  place, begun, too_long = 0, b"", False
  while piece := _piece(path, place):
    place += len(piece)
    *whole, last = piece.split(b"\n")
    for line in whole:
      fits = not too_long and len(begun) + len(line) <= longest
      yield begun + line if fits else None
      begun, too_long = b"", False
    too_long = too_long or len(begun) + len(last) > longest
    begun = b"" if too_long else begun + last
  if begun or too_long:
    yield None if too_long else begun


def _piece(path: pathlib.Path, place: int) -> bytes | None:
  def read():
    with path.open("rb") as file:
      file.seek(place)
      return file.read(_PIECE)

  return _regular(path, read)


def _regular(path: pathlib.Path, read: Callable[[], bytes]) -> bytes | None:
  """Returns what `read` does of a file, None if there is none; a pipe would be waited for."""

  def looked_at():
    try:
      if stat.S_ISREG(path.stat().st_mode):
        return read()
    except FileNotFoundError:
      return None
    except OSError as error:
      if error.errno not in _NO_SUCH_FILE:
        raise
    raise errors.UserError(f"{path} is no file; move what is there, or give another --workdir")

  return patiently(str(path), looked_at, may_pass=_any_of_the_system)


def _any_of_the_system(error: BaseException) -> bool:
  return isinstance(error, OSError | MemoryError)


def patiently(
  what: str,
  read: Callable[[], _T],
  may_pass: Callable[[BaseException], bool] = may_pass,
) -> _T:
  """Returns what `read` returns, tried again after pauses while it raises what may pass.

  Args:
    what: how a message calls it.
    read: without an effect of its own.
    may_pass: of an exception; another one is raised on at once.

  Raises:
    ReadFailed: the last try failed too.
    UserError: so it did, and it was for want of a permission, which does not come by itself.
  """
  for tries, pause_s in enumerate((*PAUSES_S, None), 1):
    try:
      with slow.named(what):
        return read()
    except Exception as error:
      if not may_pass(error):
        raise
      reason = " ".join(str(error).split())[:200]
      reason = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
      if pause_s is None and isinstance(error, PermissionError):
        raise errors.UserError(
          f"{what} cannot be read ({reason}; tried {tries} times); set the permissions right, or "
          "start as the user that it belongs to"
        ) from error
      if pause_s is None:
        raise errors.ReadFailed(
          f"{what} cannot be read ({reason}; tried {tries} times); when the disk, the network or "
          "the memory is well again, the same command goes on from the last checkpoint"
        ) from error
      if tries == 1:
        logging.getLogger(__name__).warning(
          "warning: %s cannot be read for now (%s); it is tried again", what, reason
        )
    time.sleep(pause_s)
  raise AssertionError("unreachable")
