"""What one process writes of a checkpoint, and how any process reads of it what it needs.

A file holds pieces of leaves, each a box of one leaf, in the format of safetensors
(https://huggingface.co/docs/safetensors), so that other programs can open it. The library of that
name is not used: its NumPy side loads no bfloat16 (findings/safetensors_numpy_bfloat16.sh), and it
reads through a memory map, where a disk that stumbles ends the process instead of raising an error.

A piece has a digest for each of its blocks, of 16 MiB or a row. Whoever reads a block compares it,
before the numbers are used; what is not asked for is not read.
"""

import json
import os
import pathlib
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from contrastive_jax import reading, slow
from contrastive_jax.buckets.fetched import Block
from contrastive_jax.workdir import boxes, digests, manifest, packed
from contrastive_jax.workdir.boxes import Box

BLOCK_BYTES = 2**24
Table = dict[str, Any]  # what a manifest says of a file: "bytes", "block_bytes", "header", "pieces"
_LENGTH = struct.Struct("<Q")  # of the header, before it
_TYPES = {
  "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32",
  "int32": "I32", "uint64": "U64", "int64": "I64", "float16": "F16", "bfloat16": "BF16",
  "float32": "F32", "float64": "F64", "complex64": "C64", "float8_e4m3fn": "F8_E4M3",
  "float8_e5m2": "F8_E5M2",
}  # fmt: skip


class Piece(NamedTuple):
  """A box of a leaf in a file."""

  leaf: str
  box: Box
  offset: int  # of its first byte in the file
  digests: list[str]  # of its blocks


def write(path: pathlib.Path, arrays: Mapping[tuple[str, Box], np.ndarray], forms: dict) -> Table:
  """Writes pieces of leaves to a file, and waits until they are on the disk.

  Args:
    path: of the file, in a folder that exists.
    arrays: the pieces, of any number.
    forms: {leaf: {"shape", "dtype"}}, of whole leaves.
  """
  # The widest first, so that all begin at a multiple of their width.
  ordered = sorted(arrays.items(), key=lambda piece: -piece[1].dtype.itemsize)
  head = _head(ordered, forms)
  offset, pieces = len(head), []
  with path.open("wb") as file:
    file.write(head)
    for (leaf, box), array in ordered:
      content, found = memoryview(_bytes(array)), []
      begin = 0
      for block in boxes.blocks(box, BLOCK_BYTES // array.itemsize):
        end = begin + block.size * array.itemsize
        found.append(digests.of(content[begin:end]))
        file.write(content[begin:end])
        begin = end
      pieces.append(Piece(leaf, box, offset, found))
      offset += array.nbytes
    file.flush()
    os.fsync(file.fileno())
  return {
    "bytes": offset,
    "block_bytes": BLOCK_BYTES,
    "header": [len(head), digests.of(head)],
    "pieces": pieces,
  }


def parsed(table: Table, forms: dict) -> Table:
  """Returns a table as `write` does, of one that was JSON, or that a manifest has (`packed`)."""
  if "packed" in table:
    table, pieces = packed.unpack(table, sorted(forms), forms)
    return table | {"pieces": [Piece(*each) for each in pieces]}

  def piece(leaf, box, offset, digests):
    start, shape = box
    return Piece(leaf, Box(tuple(start), tuple(shape)), offset, digests)

  return table | {"pieces": [piece(*each) for each in table["pieces"]]}


def _head(ordered: list[tuple[tuple[str, Box], np.ndarray]], forms: dict) -> bytes:
  """Returns what precedes the numbers of a safetensors file."""
  entries, offset = {}, 0
  for (leaf, box), array in ordered:
    ranges = [f"{a}:{a + n}" for a, n in zip(box.start, box.shape, strict=True)]
    is_whole = box == boxes.whole(forms[leaf]["shape"])
    entries[leaf if is_whole else f"{leaf}[{','.join(ranges)}]"] = {
      "dtype": _TYPES[array.dtype.name],
      "shape": list(array.shape),
      "data_offsets": [offset, offset + array.nbytes],
    }
    offset += array.nbytes
  text = json.dumps(entries, separators=(",", ":")).encode()
  text += b" " * (-len(text) % 8)
  return _LENGTH.pack(len(text)) + text


def _bytes(array: np.ndarray) -> np.ndarray:
  """Returns the bytes of a contiguous array: no copy."""
  return array.reshape(-1).view(np.uint8)


def check(directory: pathlib.Path, name: str, table: Table, forms: dict) -> None:
  """Reads a file once and raises `Damaged` unless all of it is what was written.

  It takes the memory of a block.
  """
  with Reader(directory, {name: table}, forms) as reader:
    for leaf in dict.fromkeys(piece.leaf for piece in table["pieces"]):
      reader.check(leaf)


class Reader:
  """Context manager that reads leaves, or boxes of them, from the files of a checkpoint.

  Any thread may read. Errors of the system are raised as they are; they say nothing of the files.

  Args:
    directory: of the checkpoint.
    tables: {file: what the manifest says of it}.
    forms: {leaf: {"shape", "dtype"}}.
  """

  def __init__(self, directory: pathlib.Path, tables: Mapping[str, Table], forms: dict):
    self._directory, self._tables, self._forms = directory, tables, forms
    self._open: dict[str, int] = {}
    self._lock = threading.Lock()
    self._of_leaf: dict[str, list[tuple[str, Piece]]] = {}
    for name, table in tables.items():
      for piece in table["pieces"]:
        self._of_leaf.setdefault(piece.leaf, []).append((name, piece))

  def __enter__(self) -> "Reader":
    return self

  def __exit__(self, *_) -> None:
    while self._open:
      os.close(self._open.popitem()[1])

  def needed(self, held: Mapping[str, Iterable[Box]]) -> dict[str, tuple[int, list[Block]]]:
    """Returns what is read for boxes of leaves: bytes of each file, its header and its blocks."""
    found: dict[str, list[Block]] = {}
    for leaf, asked in held.items():
      itemsize = np.dtype(self._forms[leaf]["dtype"]).itemsize
      for name, piece in self._of_leaf.get(leaf, []):
        if all(boxes.overlap(piece.box, box) is None for box in asked):
          continue
        blocks = found.setdefault(name, [Block(0, *self._tables[name]["header"])])
        for block, offset, digest in self._blocks(name, piece, itemsize):
          if any(boxes.overlap(block, box) is not None for box in asked):
            blocks.append(Block(offset, block.size * itemsize, digest))
    return {name: (self._tables[name]["bytes"], blocks) for name, blocks in found.items()}

  def read(self, leaf: str, box: Box | None = None) -> np.ndarray:
    """Returns a box of a leaf, or the whole leaf.

    Raises:
      Damaged: a block of it is not what was written, or missing.
    """
    box = boxes.whole(self._forms[leaf]["shape"]) if box is None else box
    out = np.empty(box.shape, self._forms[leaf]["dtype"])
    filled = 0
    for name, piece in self._of_leaf.get(leaf, []):
      if boxes.overlap(piece.box, box) is None:
        continue
      for block, offset, digest in self._blocks(name, piece, out.itemsize):
        both = boxes.overlap(block, box)
        if both is None:
          continue
        target = out[boxes.inside(both, box)]
        if both == block and target.flags.c_contiguous:
          self._fill(name, piece, offset, digest, _bytes(target))
        else:
          content = np.empty(block.shape, out.dtype)
          self._fill(name, piece, offset, digest, _bytes(content))
          target[...] = content[boxes.inside(both, block)]
        filled += both.size
    if filled != box.size:
      raise manifest.Damaged(f"leaf {leaf} is not whole in {manifest.NAME}")
    return out

  def check(self, leaf: str) -> None:
    """Raises `Damaged` unless every block of a leaf is what was written."""
    itemsize = np.dtype(self._forms[leaf]["dtype"]).itemsize
    for name, piece in self._of_leaf[leaf]:
      for block, offset, digest in self._blocks(name, piece, itemsize):
        self._fill(name, piece, offset, digest, _scratch(block.size * itemsize))

  def _blocks(self, name: str, piece: Piece, itemsize: int) -> Iterator[tuple[Box, int, str]]:
    """Yields the blocks of a piece, each with its place in the file and its digest."""
    most = self._tables[name]["block_bytes"] // itemsize
    offset, cut = piece.offset, boxes.blocks(piece.box, most)
    for block, digest in zip(cut, piece.digests, strict=True):
      yield block, offset, digest
      offset += block.size * itemsize

  def _fill(self, name: str, piece: Piece, offset: int, digest: str, content: np.ndarray) -> None:
    """Reads a block into `content`, bytes, and compares it."""
    _read_into(self._descriptor(name), content, offset, name)
    if digests.of(content.data) != digest:
      raise manifest.Damaged(f"leaf {piece.leaf} in {name} does not match its digest", name)

  def _descriptor(self, name: str) -> int:
    """Opens a file once, and compares its length and its header."""
    with self._lock:
      if name not in self._open:
        self._open[name] = _opened(self._directory, name, self._tables[name])
      return self._open[name]


def _opened(directory: pathlib.Path, name: str, table: Table) -> int:
  path = directory / name
  try:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
  except OSError as error:
    if reading.is_missing(error, path, within=directory.parent):
      raise manifest.Damaged(f"file {name} is missing", name) from error
    raise
  try:
    if os.fstat(descriptor).st_size != table["bytes"]:
      raise manifest.Damaged(f"file {name} has not the length that was written", name)
    length, digest = table["header"]
    head = np.empty(length, np.uint8)
    _read_into(descriptor, head, 0, name)
    if digests.of(head.data) != digest:
      raise manifest.Damaged(f"the header of file {name} does not match its digest", name)
  except BaseException:
    os.close(descriptor)
    raise
  return descriptor


def _read_into(descriptor: int, content: np.ndarray, offset: int, name: str) -> None:
  view = content.data
  while len(view):
    with slow.named(name):
      count = os.preadv(descriptor, [view], offset)
    if not count:
      raise manifest.Damaged(f"file {name} was cut off", name)
    view, offset = view[count:], offset + count


_LOCAL = threading.local()


def _scratch(size: int) -> np.ndarray:
  """Returns a buffer of this thread's, used again and again: new memory costs more than reading."""
  if len(getattr(_LOCAL, "buffer", ())) < size:
    _LOCAL.buffer = np.empty(size, np.uint8)
  return _LOCAL.buffer[:size]
