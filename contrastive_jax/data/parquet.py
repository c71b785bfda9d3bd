"""Parquet files with image bytes, and folders that Hugging Face's `datasets` saved, by PyArrow.

Labels are read when the set is opened, images when asked for. A Parquet file is read by row groups:
one image takes the reading and unpacking of its whole group, so that an epoch in random order of a
set that does not fit the cache reads it as many times over as a group has rows. Arrow files, which
`save_to_disk` writes, are mapped and have no such cost; for the others there is
`contrastive_jax prepare`.
"""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from contrastive_jax import errors, reading, slow
from contrastive_jax.data import Unreadable, encoded, images, saved_folder, shards, text_labels
from contrastive_jax.data.columns import Columns, chosen, no_classes, tell_of_no_classes
from contrastive_jax.data.identity import digest
from contrastive_jax.options import option

_EXAMPLE = "'DIR/{split}-*.parquet'"


@dataclasses.dataclass(frozen=True)
class Options:
  path: str = option(
    "", "DIR, DIR/{split}-*.parquet, or a folder by save_to_disk of datasets", identity=False
  )
  image: str = option("", "column of images; empty: image, or the only one that can be")
  label: str = option("", "column of classes; empty: label, or the only class column; none: none")
  names: str = option("", "file with the names of all classes, a line each", identity=False)
  cache_mb: int = option(512, "of row groups that each process keeps unpacked, MB", identity=False)
  max_megapixels: int = option(
    images.MAX_MEGAPIXELS,
    "of an image: a JPEG of more is decoded at 1/2, 1/4 or 1/8, any other is replaced",
  )
  cache_gb: float = option(
    50.0, "of files in a bucket, which are kept on this host: at most so much", identity=False
  )

  def __post_init__(self):
    images.check_cache(self.cache_gb, "data.parquet.cache_gb")
    images.check_limit(self.max_megapixels, "data.parquet.max_megapixels")
    if self.cache_mb < 0:
      raise errors.UserError(f"data.parquet.cache_mb {self.cache_mb} is negative; use 0 or more")


class Tables(encoded.Encoded):
  """The rows of some files, in order."""

  def __init__(self, tables, columns: Columns, labels, names, factors, max_megapixels: int):
    super().__init__(labels, names, max_megapixels)
    self._tables, self._columns, self.factors = tables, columns, factors

  def encoded(self, position: int) -> tuple[bytes, str]:
    file, row = self._tables.place(position)
    path = self._tables.files[file]
    name = f"row {row} of {path}"
    try:
      with slow.named(name):
        content, beside = self._columns.image_of(self._tables, file, row)
    except (MemoryError, Unreadable):
      raise
    except Exception as error:  # PyArrow raises its own kinds, and OSError without a number
      if reading.may_pass(error):
        raise
      raise Unreadable(f"{name}: {type(error).__name__}: {error}") from error
    if content is not None:
      return content, name
    if not beside:
      raise Unreadable(f"{name}: it holds no image")
    path = os.path.join(os.path.dirname(path), beside)
    return images.read_bytes(path, os.path.dirname(path), self._max_megapixels), path

  def content(self) -> str:
    """Returns a digest of names and sizes of files, of labels, and which column is the image."""
    told = repr((self._columns.image, self._tables.described())).encode()
    return digest([told, self.labels.astype(np.int64).data])

  def in_files(self) -> Iterator[tuple[str, int]]:
    return zip(self._tables.files, np.diff(self._tables.starts).tolist(), strict=True)


def build(split: str, options: Options) -> Tables:
  """Opens the files of a split and reads their labels.

  Raises:
    UserError: PyArrow is not installed, there is no such file or split, one is damaged, columns are
      not what they have to be, or labels are no classes.
  """
  try:
    from contrastive_jax.data import tables
  except ModuleNotFoundError as error:
    if error.name != "pyarrow":
      raise
    raise errors.UserError(
      "data.source=parquet needs the package pyarrow; install the extra parquet: "
      "pip install -e '.[parquet]'"
    ) from error
  files = _files(options.path, split, options.cache_gb)
  opened = tables.Tables(files, options.cache_mb)
  columns = chosen(opened.schema, opened.files[0], options.image, options.label)
  values, what = np.full(len(opened), -1), f"the labels {columns.label} of {opened.files[0]}"
  if columns.label:
    try:
      values = opened.column(columns.label)
    except ValueError as error:
      given = columns.label, opened.schema, opened.files[0]
      if options.label:
        raise errors.UserError(
          f"{no_classes(*given)} ({error}); set data.parquet.label, to none for no labels"
        ) from error
      tell_of_no_classes(*given)
  names = encoded.read_names(options.names, "data.parquet.names") or columns.names
  others = _labels_of_others(columns.label, opened.files, split, options)
  labels, names = encoded.class_numbers(values, names, what, "data.parquet.names", others)
  factors = {key: opened.column(key) for key in columns.factors}
  opened.warn_of_cost(columns.image)
  return Tables(opened, columns, labels, names, factors, options.max_megapixels)


def _labels_of_others(
  label: str, own: Sequence[str], split: str, options: Options
) -> Iterator[text_labels.Found]:
  """Yields the labels of the other splits, of whose files nothing else is read.

  Raises UserError: they are afar.
  """
  from contrastive_jax.data import tables

  shards.check_near(options.path, "data.parquet")
  seen = set(own)
  for name in saved_folder.names(options.path) or shards.other_splits(options.path, split):
    files: list[pathlib.Path] = []
    with contextlib.suppress(errors.UserError):  # there is no such split
      files = [f for f in _files(options.path, name, options.cache_gb) if str(f) not in seen]
    if files:
      seen.update(map(str, files))
      yield tables.Tables(files, 0).labels(label)


def _files(given: str, split: str, cache_gb: float) -> list[pathlib.Path]:
  saved = saved_folder.files(given.replace("{split}", split), split)
  if saved:
    return saved
  wanted = shards.Wanted("data.parquet.path", (".parquet", ".arrow"), _EXAMPLE, cache_gb)
  found = shards.find(given, split, wanted)
  folders = sorted({str(path.parent) for path in found})
  if len(folders) > 1 and reading.is_folder(given):
    raise errors.UserError(
      f"the files of the split {split!r} lie in {folders[0]} and {folders[1]}, which may be two "
      "sets or forms of one; set data.parquet.path to one of them, or to a pattern with {split}"
    )
  return found
