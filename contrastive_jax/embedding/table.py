"""Rows as a file that other tools read: .npz, .safetensors or .parquet, piece by piece.

Each has the layers, `label` (-1: none), `index` (position in the set), `name` (path of the file in
its folder; of other sources the index) and the names of the classes, and says what it is of.
"""

import json
import os
import pathlib
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from contrastive_jax import errors

_PIECE = 4096  # rows at a time
_NO_ARROW = "--out={} needs pyarrow; pip install 'contrastive_jax[parquet]', or write .npz"


class Table(NamedTuple):
  """Rows, to be read in pieces."""

  rows: int
  layers: tuple[str, ...]
  widths: dict[str, int]
  read: Callable[[str, int, int], np.ndarray]  # layer, "label" or "index"; first row, end
  name: Callable[[int], str]  # of an index
  label_names: Sequence[str]
  about: dict[str, Any]

  def pieces(self) -> Iterator[tuple[int, int]]:
    """Yields first row and end of each piece."""
    for start in range(0, self.rows, _PIECE):
      yield start, min(start + _PIECE, self.rows)

  def names(self) -> Iterator[list[str]]:
    """Yields the names of the rows of each piece."""
    for start, stop in self.pieces():
      yield [self.name(int(i)) for i in self.read("index", start, stop)]

  @property
  def columns(self) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of the arrays but the names."""
    layers = {name: ("<f4", (self.rows, self.widths[name])) for name in self.layers}
    return layers | {"label": ("<i4", (self.rows,)), "index": ("<i8", (self.rows,))}


def check(path: pathlib.Path) -> None:
  """Raises `UserError` for a file that cannot be written, whatever is in it."""
  if path.suffix not in _WRITERS:
    raise errors.UserError(
      f"--out={path} ends in {path.suffix or 'nothing'!r}; use {', '.join(_WRITERS)}"
    )
  if path.is_dir():
    raise errors.UserError(f"--out={path} is a folder; give a file in it, e.g. {path / 'h.npz'}")
  if path.suffix == ".parquet":
    try:
      import pyarrow.parquet  # noqa: F401
    except ImportError as error:
      raise errors.UserError(_NO_ARROW.format(path)) from error


def write(path: pathlib.Path, table: Table) -> None:
  """Writes a whole file or nothing. Raises `SaveFailed`."""
  temporary = path.with_name(f"{uuid.uuid4().hex}.tmp")
  with errors.saving(str(path), "give the same command again: what was computed is kept"):
    try:
      _WRITERS[path.suffix](temporary, table)
      with temporary.open("rb+") as file:
        os.fsync(file.fileno())
      os.replace(temporary, path)
    finally:
      temporary.unlink(missing_ok=True)


def _npz(path: pathlib.Path, table: Table) -> None:
  longest = max((len(n) for names in table.names() for n in names), default=1)
  text = np.dtype(f"<U{max(longest, 1)}")
  small = {
    "label_names": np.asarray(list(table.label_names), np.str_),
    "about": np.asarray(json.dumps(table.about)),
  }
  with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

    def member(name, descr, shape, pieces):
      info = zipfile.ZipInfo(f"{name}.npy")
      with archive.open(info, "w", force_zip64=True) as file:
        head = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, head)
        for piece in pieces:
          file.write(np.ascontiguousarray(piece).tobytes())

    for name, (descr, shape) in table.columns.items():
      member(name, descr, shape, (table.read(name, *piece) for piece in table.pieces()))
    member("name", text.str, (table.rows,), (np.asarray(n, text) for n in table.names()))
    for name, values in small.items():
      member(name, values.dtype.str, values.shape, [values])


def _safetensors(path: pathlib.Path, table: Table) -> None:
  kinds = {"<f4": "F32", "<i4": "I32", "<i8": "I64"}
  head, end = {}, 0
  size = sum(len(_encoded(name)) for names in table.names() for name in names)
  columns = {k: (kinds[descr], shape) for k, (descr, shape) in table.columns.items()}
  columns |= {"name.ends": ("I64", (table.rows,)), "name.utf8": ("U8", (size,))}
  columns = dict(sorted(columns.items(), key=lambda item: (-_bytes(item[1][0]), item[0])))
  for name, (kind, shape) in columns.items():
    begin, end = end, end + _bytes(kind) * int(np.prod(shape, dtype=np.int64))
    head[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}
  about = {"about": json.dumps(table.about), "label_names": json.dumps(list(table.label_names))}
  text = json.dumps({"__metadata__": about, **head}).encode()
  text += b" " * (-len(text) % 8)
  with path.open("wb") as file:
    file.write(len(text).to_bytes(8, "little") + text)
    for name in columns:
      for piece in _texts(name, table) if name.startswith("name.") else _values(name, table):
        file.write(piece)


def _values(name: str, table: Table) -> Iterator[bytes]:
  for piece in table.pieces():
    yield np.ascontiguousarray(table.read(name, *piece)).tobytes()


def _texts(name: str, table: Table) -> Iterator[bytes]:
  """Yields the names as UTF-8, one after the other, or where each ends."""
  end = 0
  for names in table.names():
    encoded = [_encoded(name) for name in names]
    if name == "name.utf8":
      yield b"".join(encoded)
    else:
      ends = end + np.cumsum([len(text) for text in encoded], dtype=np.int64)
      end = int(ends[-1])
      yield ends.tobytes()


def _encoded(name: str) -> bytes:
  return name.encode("utf-8", "surrogateescape")  # the bytes that the file system has


def _bytes(kind: str) -> int:
  return {"F32": 4, "I32": 4, "I64": 8, "U8": 1}[kind]


def _parquet(path: pathlib.Path, table: Table) -> None:
  import pyarrow as pa
  import pyarrow.parquet as pq

  vectors = {name: pa.list_(pa.float32(), table.widths[name]) for name in table.layers}
  types = {"name": pa.string(), "label": pa.int32(), "label_name": pa.string()}
  about = {"about": json.dumps(table.about), "label_names": json.dumps(list(table.label_names))}
  schema = pa.schema([*types.items(), ("index", pa.int64()), *vectors.items()], metadata=about)
  known = list(table.label_names)
  with pq.ParquetWriter(path, schema) as writer:
    for (start, stop), names in zip(table.pieces(), table.names(), strict=True):
      label = table.read("label", start, stop)
      columns = {
        "name": [n.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for n in names],
        "label": label,
        "label_name": [known[i] if 0 <= i < len(known) else None for i in label],
        "index": table.read("index", start, stop),
      }
      columns = {k: pa.array(v, schema.field(k).type) for k, v in columns.items()}
      for name in table.layers:
        flat = pa.array(table.read(name, start, stop).reshape(-1))
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, table.widths[name])
      writer.write_table(pa.table(columns, schema=schema))


_WRITERS = {".npz": _npz, ".safetensors": _safetensors, ".parquet": _parquet}
