"""Records of ArrayRecord files, one by one or many at once; what fails may pass or not."""

import copy
import dataclasses
import errno
import re
from collections.abc import Sequence

import numpy as np

from contrastive_jax import errors, slow


def record(records, index: int) -> bytes:
  """Returns a record. Raises OSError if it is the system that could not read.

  A reader that has failed stays so: then the files are opened anew.
  """
  try:
    return records[index]
  except RuntimeError as error:
    if not re.match(r"\w+\(\) failed: ", str(error)):  # "open() failed: Too many open files; ..."
      raise
    records.data_source = copy.copy(records.data_source)
    raise OSError(errno.EIO, str(error)) from error


class Ahead:
  """Records read at once; any other, or all if that failed, are read when asked for."""

  def __init__(self, records, indices):
    self._records = records
    try:
      self._held = dict(zip(indices, records.__getitems__(indices), strict=True))
    except Exception:  # one damaged record: find out which, one by one
      self._held = {}

  def __len__(self):
    return len(self._records)

  def __getitem__(self, index):
    return self._held[index] if index in self._held else record(self._records, index)


@dataclasses.dataclass(frozen=True)
class _Part:
  """What `ArrayRecordDataSource` takes for a whole file."""

  filename: str
  skip: int
  take: int
  examples_in_shard: int


class Files:
  """Some ArrayRecord files and how many records each holds."""

  def __init__(self, paths: Sequence[str], lengths: Sequence[int]):
    self.paths, self.lengths = list(paths), list(lengths)
    self._past = np.cumsum(self.lengths)

  def __len__(self) -> int:
    return int(self._past[-1])

  def named(self, index: int) -> str:
    """Says which record of which file an example is, both counted from 0."""
    number = int(np.searchsorted(self._past, index, side="right"))
    return (
      f"record {index - int(self._past[number]) + self.lengths[number]} of {self.paths[number]}"
    )

  def opened(self) -> "_Opened":
    """Returns the records of all files, in order."""
    return _Opened(self)


class _Opened:
  """Records by number; `data_source` is replaced after a failure, see `record`."""

  def __init__(self, files: Files):
    from array_record.python import array_record_data_source

    parts = zip(files.paths, files.lengths, strict=True)
    self.data_source = array_record_data_source.ArrayRecordDataSource(
      [_Part(path, 0, length, length) for path, length in parts if length]
    )

  def __getitem__(self, index: int) -> bytes:
    return self.data_source[index]

  def __getitems__(self, indices: Sequence[int]) -> Sequence[bytes]:
    return self.data_source.__getitems__(indices)


def length(path: str) -> int:
  """Returns how many records a file holds. Raises UserError: it is damaged."""
  from array_record.python import array_record_module

  try:
    with slow.named(path):
      reader = array_record_module.ArrayRecordReader(path)
      try:
        return reader.num_records()
      finally:
        reader.close()
  except (RuntimeError, ValueError) as error:
    with open(path, "rb"):  # raises what the system says, if it is the system that cannot
      pass
    raise errors.UserError(
      f"{path} is no whole ArrayRecord file ({' '.join(str(error).split())[:200]}); copy it again, "
      "or name others"
    ) from error
