"""Rows of Parquet and Arrow files at random, by PyArrow: what `parquet` reads through.

With `joined` the only module of this folder that imports PyArrow.
"""

import collections
import logging
import os
import pathlib
import threading
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contrastive_jax import errors, reading, slow
from contrastive_jax.data import joined, text_labels

_MB = 10**6


class Tables:
  """Some files of one schema as rows in order. A copy in another process opens its own."""

  def __init__(self, files: Sequence[pathlib.Path], cache_mb: int):
    """Opens files.

    Args:
      files: Parquet files, or Arrow files in one of its two forms.
      cache_mb: of unpacked row groups that are kept.

    Raises:
      UserError: one is damaged or has other columns than the first, or there are no rows.
    """
    self.files, self._cache_bytes = [str(file) for file in files], cache_mb * _MB
    self._begin()
    self.schema, rows = None, []  # the columns of all files as one
    self._groups = []  # of each file the first row of each group, and the end
    for file in self.files:
      schema, groups = reading.patiently(file, lambda file=file: _opened(file))
      if self.schema is None:
        self.schema = schema
      elif not schema.equals(self.schema, check_metadata=True):
        self.schema = joined.schemas(self.schema, schema, file, self.files[0])
      self._groups.append(groups)
      rows.append(int(groups[-1]))
    self.starts = np.cumsum([0, *rows])
    if not self.starts[-1]:
      raise errors.UserError(f"{self.files[0]} and all beside it have no row; name other files")

  def _begin(self):
    self._lock, self._held = threading.Lock(), 0
    self._kept: collections.OrderedDict[tuple, pa.ChunkedArray] = collections.OrderedDict()
    self._mapped: dict[int, pa.Table] = {}
    self._footers: dict[int, pq.FileMetaData] = {}

  def __getstate__(self):
    left = ("_lock", "_held", "_kept", "_mapped", "_footers")
    return {key: value for key, value in self.__dict__.items() if key not in left}

  def __setstate__(self, state):
    self.__dict__.update(state)
    self._begin()

  def __len__(self) -> int:
    return int(self.starts[-1])

  def place(self, position: int) -> tuple[int, int]:
    """Returns the number of the file of a row, and the row's number in it."""
    file = int(np.searchsorted(self.starts, position, side="right")) - 1
    return file, position - int(self.starts[file])

  def described(self) -> list[tuple[str, int, int]]:
    """Returns name, size in bytes and number of rows of each file."""
    rows = np.diff(self.starts).tolist()
    return [
      (os.path.basename(f), os.path.getsize(f), n) for f, n in zip(self.files, rows, strict=True)
    ]

  def cell(self, file: int, row: int, leaf: str) -> bytes | str | None:
    """Returns a value of a row; `leaf` is a column, or COLUMN.FIELD of a struct."""
    if not self.files[file].endswith(".parquet"):
      return _field(self._table(file), leaf)[row].as_py()
    group = int(np.searchsorted(self._groups[file], row, side="right")) - 1
    return self._group(file, group, leaf)[row - int(self._groups[file][group])].as_py()

  def column(self, name: str) -> np.ndarray:
    """Returns a column: integers, -1 where there is none, or texts, "" where there is none.

    Raises ValueError: of floats one is no whole number.
    """
    parts = []
    for number, file in enumerate(self.files):

      def read(number=number, file=file):
        with slow.named(f"{name} of {file}"):
          if not file.endswith(".parquet"):
            return self._table(number).column(name)
          with pq.ParquetFile(file) as opened:
            return opened.read([name], use_threads=False).column(name)

      parts.append(_checked(file, lambda read=read, file=file: reading.patiently(file, read)))
    kind = joined.types(self.schema.field(name).type, pa.null())
    parts = [part.cast(kind) if pa.types.is_null(part.type) else part for part in parts]
    return np.concatenate([_numbers(part) for part in parts])

  def labels(self, name: str) -> text_labels.Found:
    """Returns each value of a column once, and how many rows have one; of floats whole numbers."""
    if name not in self.schema.names or pa.types.is_null(self.schema.field(name).type):
      return text_labels.Found(np.array([], np.str_), 0)
    return text_labels.found(self.column(name))

  def warn_of_cost(self, image: str) -> None:
    """Says what an image costs to read, where row groups are large and do not fit the cache."""
    sizes, rows = [], []
    for file in self.files:
      if file.endswith(".parquet"):
        known = pq.read_metadata(file)
        for number in range(known.num_row_groups):
          group = known.row_group(number)
          chunks = (group.column(i) for i in range(group.num_columns))
          sizes.append(
            sum(
              c.total_uncompressed_size for c in chunks if c.path_in_schema.split(".")[0] == image
            )
          )
          rows.append(group.num_rows)
    if rows and sum(sizes) > self._cache_bytes and max(rows) > 1:
      logging.getLogger(__name__).warning(
        "warning: row groups of %s hold %d rows of %.3g MB on average, and in random order each "
        "image takes the reading of a whole one, %.3g times what it needs; contrastive_jax prepare "
        "copies the set into records that are read one by one",
        *(self.files[0], np.mean(rows), np.mean(sizes) / _MB, np.mean(rows)),
      )

  def _table(self, file: int) -> pa.Table:
    with self._lock:
      if file not in self._mapped:
        self._mapped[file] = _mapped(self.files[file])
      return self._mapped[file]

  def _group(self, file: int, group: int, leaf: str) -> pa.ChunkedArray:
    key = (file, group, leaf)
    with self._lock:
      if key in self._kept:
        self._kept.move_to_end(key)
        return self._kept[key]
    with pq.ParquetFile(self.files[file], metadata=self._footers.get(file)) as opened:
      self._footers[file] = opened.metadata
      found = _field(opened.read_row_group(group, [leaf], use_threads=False), leaf)
    with self._lock:
      if found.nbytes <= self._cache_bytes and key not in self._kept:
        self._kept[key], self._held = found, self._held + found.nbytes
        while self._held > self._cache_bytes:
          self._held -= self._kept.popitem(last=False)[1].nbytes
    return found


def _field(table: pa.Table, leaf: str) -> pa.ChunkedArray:
  column, _, inside = leaf.partition(".") if leaf not in table.column_names else (leaf, "", "")
  found = table.column(column)
  return pc.struct_field(found, inside) if inside else found


def _opened(file: str) -> tuple[pa.Schema, np.ndarray]:
  """Returns the columns of a file, and the first row of each of its row groups, and the end."""
  with slow.named(file):
    return _checked(file, lambda: _looked_at(file))


def _looked_at(file: str) -> tuple[pa.Schema, np.ndarray]:
  if not file.endswith(".parquet"):
    table = _mapped(file)
    return table.schema, np.array([0, table.num_rows])
  with pq.ParquetFile(file) as opened:
    groups = (opened.metadata.row_group(i) for i in range(opened.metadata.num_row_groups))
    return opened.schema_arrow, np.cumsum([0, *(group.num_rows for group in groups)])


def _checked(file: str, read):
  try:
    return read()
  except (pa.ArrowException, ValueError, OSError) as error:
    if reading.may_pass(error) or isinstance(error, PermissionError | errors.UserError):
      raise
    said = " ".join(str(error).split())[:200]
    raise errors.UserError(
      f"{file} is no whole Parquet or Arrow file ({said}); copy it again, or name others"
    ) from error


def _mapped(file: str) -> pa.Table:
  """Returns an Arrow file, mapped: its rows are read when they are looked at."""
  source = pa.memory_map(file)
  try:
    return pa.ipc.open_stream(source).read_all()  # as `datasets` writes it
  except pa.ArrowInvalid:
    return pa.ipc.open_file(pa.memory_map(file)).read_all()


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
  if pa.types.is_floating(column.type):
    values = column.cast(pa.float64()).to_numpy()  # NaN where there is none
    values = np.where(np.isnan(values), -1.0, values)
    if not np.array_equal(values, np.trunc(np.clip(values, -(2.0**53), 2.0**53))):
      raise ValueError("a value is no whole number")
    return values.astype(np.int64)
  if pa.types.is_dictionary(column.type):
    column = column.cast(column.type.value_type)
  if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
    return pc.fill_null(column.cast(pa.int64()), -1).to_numpy()
  return pc.fill_null(column.cast(pa.string()), "").to_numpy().astype(str)
