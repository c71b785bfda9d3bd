"""Where a study lies: a folder that all its machines see. What is in a bucket is in bucket.py."""

import contextlib
import os
import pathlib
import uuid
from collections.abc import Iterator
from typing import Any

from contrastive_jax import errors, locking
from contrastive_jax.study import layout


class Place:
  """A study's folder, and how it is shared with whoever else works on the study.

  Attributes:
    root: the folder; of a bucket, a copy on this host of what a study has to know.
  """

  def __init__(self, root: pathlib.Path):
    self.root = root

  def workdir(self, name: str) -> str:
    """Returns the --workdir of a cell's commands."""
    return str(layout.cell(self.root, name))

  def told(self, path: pathlib.Path) -> str:
    """Returns how a file is called where a user is told of it."""
    return str(path)

  def look(self, curves: bool = False) -> None:
    """Brings here what others have done meanwhile; `curves`: what training logged, too."""

  def write(self, path: pathlib.Path, content: str | bytes) -> None:
    """Writes a whole file or nothing, for all to see."""
    layout.write(path, content)

  def keep(self, *paths: pathlib.Path) -> None:
    """Lets all see files that were written here."""

  def write_first(self, path: pathlib.Path, content: str) -> None:
    """Writes a file unless there is one, also where several studies would at once."""
    whole = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.new")
    layout.write(whole, content)
    try:
      os.link(whole, path)
    except FileExistsError:
      pass
    except OSError:  # a file system without links
      if not path.exists():
        os.replace(whole, path)
    finally:
      whole.unlink(missing_ok=True)

  @contextlib.contextmanager
  def held(self, name: str) -> Iterator[tuple[Any, str | None]]:
    """Yields the lock of a cell, and who holds it if that is another."""
    workdir = layout.cell(self.root, name)
    with errors.placing(str(workdir), then="give the same command again"):
      workdir.mkdir(parents=True, exist_ok=True)
      file = (workdir / "cell.lock").open("a+")
    with file:
      yield file, locking.take(file)
