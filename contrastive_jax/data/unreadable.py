"""Tells which images are unreadable and why: the first in words, all of them in a file.

A set may hold thousands; each of several processes and workers meets its own, and a run that is
started again meets them anew.
"""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterable

NAMED = 10  # in words; the others are in the file


class Told:
  """Of one `Store`; goes with it to worker processes, which append to the same file."""

  def __init__(self, path: str | None, known: Iterable[str] = ()):
    """Begins with what is `known` already, which was told.

    Args:
      path: of the file, a line an image; None: no file. Lines wait until its folder is there.
      known: texts as `tell` takes them.
    """
    self._path, self._waiting = path, [_line(text) for text in known]
    self._said_more = False
    self.write()

  def tell(self, text: str, count: int) -> None:
    """Tells of one more.

    Args:
      text: "PATH: reason".
      count: of those met by this process, this one included.
    """
    self._waiting.append(_line(text))
    listed, new = self.write()
    if listed and not new:  # before this run was started again, or by another worker
      return
    if max(count, listed) <= NAMED:
      _warn("warning: an image is unreadable: %s", _line(text))
    elif not self._said_more:
      self._said_more = True
      where = f"the others are listed in {self._path}" if self._path else "no more are named"
      _warn("warning: more than %d images are unreadable: %s", NAMED, where)

  def write(self) -> tuple[int, int]:
    """Writes what waits. Returns how many lines the file now has, and how many of them are new."""
    if not self._waiting or not self._path or not os.path.isdir(os.path.dirname(self._path) or "."):
      return 0, 0
    try:
      with open(self._path, "a+", encoding="utf-8", errors="surrogateescape") as file:
        with contextlib.suppress(OSError):  # a file system without locks: a line may come twice
          fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        there = file.read().splitlines()
        new = [line for line in dict.fromkeys(self._waiting) if line not in set(there)]
        file.writelines(line + "\n" for line in new)
      self._waiting = []
      return len(there) + len(new), len(new)
    except OSError as error:
      _warn(
        "warning: %s cannot be written (%s): unreadable images are not listed", self._path, error
      )
      self._path = None
      return 0, 0


def _warn(text: str, *args: object) -> None:
  """Warns from any process, since each meets images of its own."""
  logging.getLogger(__name__).warning(text, *args, extra={"of_any_process": True})


def _line(text: str) -> str:
  return " ".join(text.split())
