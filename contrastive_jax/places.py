"""Folders that results are written to: tried before the results are computed, and files in them.

What took hours and then cannot be written is lost. So the folder is made, and as many bytes as are
to come are written there and removed, before the work begins.
"""

import os
import pathlib
import tempfile
import uuid

from contrastive_jax import errors


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
  try:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
      file.write(os.urandom(num_bytes))  # a file system may pack zeros
      file.flush()
      os.fsync(file.fileno())
  except OSError as error:
    where = f"{what} cannot be written to {folder} ({error.strerror})"
    if error.errno in errors.NO_PLACE:
      raise errors.UserError(f"{where}; {remedy}") from error
    raise errors.SaveFailed(
      f"{where}; nothing was computed yet: make room for {num_bytes / 1e6:.1f} MB there and give "
      f"the same command again, or {remedy}"
    ) from error


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
