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
from collections.abc import Callable
from typing import TypeVar

from contrastive_jax import errors, slow

PAUSES_S = (0.1, 0.3, 1.0, 3.0, 10.0)  # between the tries, 14 s in all
_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
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
  """Returns what a folder holds, nothing if there is none. Raises `ReadFailed`."""

  def listed():
    try:
      return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
      return []

  return patiently(str(folder), listed)


def content(path: pathlib.Path) -> bytes | None:
  """Returns the content of a file, None if there is none. Raises `ReadFailed`."""

  def read():
    try:
      return path.read_bytes()
    except FileNotFoundError:
      return None

  return patiently(str(path), read, may_pass=lambda e: isinstance(e, OSError | MemoryError))


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
