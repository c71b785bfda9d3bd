"""Files in which well-known sets say of which class and split their images are."""

import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from contrastive_jax import errors
from contrastive_jax.data.rows import Row
from contrastive_jax.data.splits import Tree


class Known(NamedTuple):
  """A set whose files name all its images."""

  what: str  # how a line calls its files
  images: Any  # the folder, below which their names are
  rows: list[Row]


def below(place: Any, names: Sequence[str]) -> Any:
  """Returns what lies in a folder by these names, one in the other."""
  for name in names:
    place = place / name
  return place


def lines(path: Any, tree: Tree, columns: int) -> list[tuple[int, list[str]]]:
  """Returns (line, fields) of a file of text. Raises UserError: a line has too few fields."""
  found = []
  text = content(path, tree).decode("utf-8-sig", errors="replace")
  for number, line in enumerate(text.splitlines(), 1):
    fields = re.split(r"\t" if "\t" in line else " +", line.strip())
    if line.strip() and not line.startswith("#"):
      if len(fields) < columns:
        raise errors.UserError(
          f"{path}, line {number}: {line.strip()!r} has fewer than {columns} fields; copy the file "
          "again"
        )
      found.append((number, fields))
  return found


def content(path: Any, tree: Tree) -> bytes:
  """Returns what a file holds. Raises UserError: it is not there, though others of its set are."""
  if not tree.is_file(path):
    raise errors.UserError(f"there is no {path}, and others of its set are there; copy it again")
  return tree.content(path)


def mat(path: Any, tree: Tree) -> dict[str, Any]:
  """Returns the arrays of a file of MATLAB. Raises UserError: it is none."""
  return arrays(content(path, tree), path)


def arrays(content: bytes, path: Any, squeeze: bool = True) -> dict[str, Any]:
  """Returns the arrays that a file of MATLAB holds, without dimensions of 1 if these are squeezed.

  Raises UserError: it is no such file.
  """
  from scipy import io as scipy_io

  try:
    return scipy_io.loadmat(io.BytesIO(content), squeeze_me=squeeze)
  except Exception as error:  # a damaged file makes it raise almost anything
    if isinstance(error, OSError | MemoryError):
      raise
    of_hdf5 = isinstance(error, NotImplementedError)  # SciPy's word for MATLAB's form 7.3
    again = "save it in form 7 (save -v7)" if of_hdf5 else "copy it again"
    raise errors.UserError(f"{path} is no file of MATLAB ({error}); {again}") from error
