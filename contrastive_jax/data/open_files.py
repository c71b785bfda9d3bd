"""Parts of some files, read where they lie. Files stay open: over a network, opening is slow."""

import collections
import errno
import os
import threading
from collections.abc import Sequence

from contrastive_jax import errors, slow

_MOST = 128  # open at a time, in each process


class OpenFiles:
  """Reads parts of files, from many threads; a copy in another process opens its own."""

  def __init__(self, paths: Sequence[str], sizes: Sequence[int]):
    """Takes paths and what their sizes are by the index that says where parts lie."""
    self._paths, self._sizes = paths, sizes
    self._begin()

  def _begin(self):
    self._lock = threading.Lock()
    self._open: collections.OrderedDict[int, _File] = collections.OrderedDict()

  def __getstate__(self):
    return {"_paths": self._paths, "_sizes": self._sizes}

  def __setstate__(self, state):
    self.__dict__.update(state)
    self._begin()

  def read(self, number: int, offset: int, size: int) -> bytes:
    """Returns `size` bytes of a file.

    Raises:
      OSError: the system could not; the file is opened anew the next time.
      UserError: the file is of another size than it was.
    """
    with slow.named(self._paths[number]):
      file = self._opened(number)
      try:
        found = os.pread(file.descriptor, size, offset)
        while 0 < len(found) < size and (
          more := os.pread(file.descriptor, size - len(found), offset + len(found))
        ):
          found += more  # a signal, or more than a system gives at once
      except OSError as error:
        with self._lock:
          self._open.pop(number, None)
        error.filename = error.filename or self._paths[number]
        raise
      if len(found) != size:
        raise OSError(errno.EIO, "it ends before its size", self._paths[number])
      return found

  def _opened(self, number: int) -> "_File":
    with self._lock:
      if number in self._open:
        self._open.move_to_end(number)
        return self._open[number]
    path = self._paths[number]
    file = _File(path)
    if file.size != self._sizes[number]:
      raise errors.UserError(
        f"{path} had {self._sizes[number]:,} bytes and has {file.size:,}: it changed since the run "
        "began; put the former file there, or start again"
      )
    with self._lock:
      file = self._open.setdefault(number, file)
      if len(self._open) > _MOST:
        self._open.popitem(last=False)  # closed when the last thread has read
      return file


class _File:
  """A descriptor that lives as long as whoever reads from it."""

  def __init__(self, path: str):
    self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    self.size = os.fstat(self.descriptor).st_size

  def __del__(self, close=os.close):  # at the end of Python `os` may be gone
    if hasattr(self, "descriptor"):
      close(self.descriptor)
