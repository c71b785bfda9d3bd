"""Folders that results are written to: tried before the results are computed, and files in them.

What took hours and then cannot be written is lost. So the folder is made, and as many bytes as are
to come are written there and removed, before the work begins.
"""

import contextlib
import errno
import os
import pathlib
import tempfile
import uuid
from collections.abc import Callable

from contrastive_jax import errors, plural


def ready(folder: pathlib.Path, what: str, remedy: str, num_bytes: int = 2**20) -> None:
  """Makes a folder if need be and tries to write so many bytes there.

  Args:
    folder: where files are to go.
    what: they are, in errors.
    remedy: names another place, in errors, e.g. "give another --out".
    num_bytes: about what is to come.

  Raises:
    UserError: it is no place that can be written.
    SaveFailed: it cannot be written now, which may pass: a full disk, a server that is away.
  """
  there = folder.exists()
  try:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
      file.write(os.urandom(num_bytes))  # a file system may pack zeros
      file.flush()
      os.fsync(file.fileno())
  except OSError as error:
    if not there:
      with contextlib.suppress(OSError):
        folder.rmdir()
    where = f"{what} cannot be written to {folder} ({error.strerror})"
    if error.errno in errors.NO_PLACE:
      raise errors.UserError(f"{where}; {remedy}") from error
    raise errors.SaveFailed(
      f"{where}; nothing was computed yet: make room for {plural.of_bytes(num_bytes)} there and "
      f"give the same command again, or {remedy}"
    ) from error


def check_folder(folder: str | os.PathLike, what: str, remedy: str) -> None:
  """Raises `UserError` where a file stands in the way of a folder; makes and tries nothing.

  Args:
    folder: which may be missing.
    what: it is, in errors, e.g. "workdir".
    remedy: names another place, in errors.
  """
  path = pathlib.Path(folder).absolute()
  with contextlib.suppress(OSError):  # of which whoever writes there tells
    found = next(place for place in (path, *path.parents) if os.path.lexists(place))
    if not found.is_dir():
      raise errors.UserError(
        f"{what} {folder} cannot be written ({found} is no directory); {remedy}"
      )


def check_kind(path: pathlib.Path, kind: Callable[[int], bool], word: str, remedy: str) -> None:
  """Raises `UserError` if what has a name that is needed is of another kind.

  Links count as what they lead to; what cannot be looked at for now is told by who reads it.

  Args:
    path: which may be missing.
    kind: of a mode, e.g. `stat.S_ISREG`.
    word: what belongs there, e.g. "a file".
    remedy: names another place, in errors.
  """
  if not os.path.lexists(path):
    return
  try:
    right, what = kind(path.stat().st_mode), f"no {word.partition(' ')[2]}"
  except OSError as error:
    if error.errno not in (errno.ENOENT, errno.ELOOP):
      return
    right, what = False, "a link to nothing"
  if not right:
    raise errors.UserError(
      f"{path} is in the way: {word} belongs there, and this is {what}; move it, or {remedy}"
    )


def write(path: pathlib.Path, content: str | bytes) -> None:
  """Writes a whole file or nothing, also where several processes write it at once.

  Raises:
    SaveFailed: it cannot be written.
  """
  with errors.saving(str(path), then="give the same command again"):
    path.parent.mkdir(parents=True, exist_ok=True)
    # Its name is short: that of the file itself may be as long as the file system takes.
    temporary = path.with_name(f"{uuid.uuid4().hex}.tmp")
    try:
      with temporary.open("xb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
      os.replace(temporary, path)
    except BaseException:
      temporary.unlink(missing_ok=True)  # on a full disk it would take the room that is left
      raise
