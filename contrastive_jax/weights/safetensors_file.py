"""Arrays in a file of the format safetensors (https://huggingface.co/docs/safetensors).

The library of that name is not used: its NumPy side loads no bfloat16, and writes the memory of a
transposed view as if it were in order (findings/safetensors_transposed.sh). Here every array is
copied in order first, and what a header claims is compared with the file before anything is made
of it.
"""

import json
import math
import struct
from collections.abc import Mapping

import ml_dtypes
import numpy as np

from contrastive_jax import errors

_LENGTH = struct.Struct("<Q")  # of the header, before it
_MOST_HEADER = 100_000_000  # bytes, as the format allows
_TYPES = {
  "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16,
  "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8, "U8": np.uint8,
  "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "BOOL": np.bool_,
}  # fmt: skip
NAMES = {np.dtype(kind): name for name, kind in _TYPES.items()}


def content(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
  """Returns a file of these arrays, the widest numbers first, so that all are aligned."""
  entries, parts, offset = {"__metadata__": dict(metadata)}, [], 0
  for name, array in sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize):
    part = np.ascontiguousarray(array).tobytes()
    entries[name] = {
      "dtype": NAMES[array.dtype],
      "shape": list(array.shape),
      "data_offsets": [offset, offset + len(part)],
    }
    parts.append(part)
    offset += len(part)
  head = json.dumps(entries, separators=(",", ":")).encode()
  head += b" " * (-len(head) % 8)
  return b"".join([_LENGTH.pack(len(head)), head, *parts])


def parsed(content: bytes, file: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
  """Returns the arrays of a file, which share its memory, and its metadata.

  Args:
    content: of the file.
    file: as errors call it.

  Raises:
    UserError: it is no such file, or a damaged one.
  """
  entries, start = _header(content, file)
  metadata = entries.pop("__metadata__", {})
  if not isinstance(metadata, dict):
    raise _damaged(file, "its metadata are no object")
  arrays, covered = {}, []
  for name, entry in entries.items():
    kind, shape, begin, end = _entry(name, entry, file)
    count = math.prod(shape)
    if end - begin != count * np.dtype(kind).itemsize or start + end > len(content):
      raise _damaged(file, f"{name[:100]} has not the bytes of its shape")
    covered.append((begin, end))
    arrays[name] = np.frombuffer(content, kind, count, start + begin).reshape(shape)
  place = 0
  for begin, end in sorted(covered):
    if begin != place:
      raise _damaged(file, "its arrays overlap, or leave a gap")
    place = end
  if start + place != len(content):
    raise _damaged(
      file, f"it has {len(content):,} bytes, and its header tells of {start + place:,}"
    )
  return arrays, {k: v for k, v in metadata.items() if isinstance(v, str)}


def _header(content: bytes, file: str) -> tuple[dict, int]:
  if len(content) < _LENGTH.size:
    raise _damaged(file, f"it has {len(content)} bytes")
  (length,) = _LENGTH.unpack_from(content)
  if length > min(_MOST_HEADER, len(content) - _LENGTH.size):
    raise _damaged(file, f"its header is to have {length:,} bytes")
  try:
    text = content[_LENGTH.size : _LENGTH.size + length].decode()
    entries = json.loads(text, object_pairs_hook=_once)
  except (ValueError, RecursionError) as error:  # not UTF-8, no JSON, a name twice, too deep
    raise _damaged(file, f"its header cannot be read ({type(error).__name__})") from error
  if not isinstance(entries, dict):
    raise _damaged(file, "its header is no object")
  return entries, _LENGTH.size + length


def _once(pairs: list) -> dict:
  found = dict(pairs)
  if len(found) != len(pairs):
    raise ValueError("a name is there twice")
  return found


def _entry(name: str, entry: object, file: str) -> tuple[type, tuple[int, ...], int, int]:
  """Returns type, shape, first and last byte of an array, all of the kinds that they must be."""
  try:
    kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    numbers = [*shape, begin, end]
    if not all(type(n) is int and n >= 0 for n in numbers) or begin > end or len(shape) > 32:
      raise ValueError
  except (TypeError, KeyError, ValueError) as error:
    raise _damaged(file, f"{name[:100]} has no type, shape and place") from error
  if kind not in _TYPES:
    raise errors.UserError(
      f"{file} has {name[:100]} of type {str(kind)[:20]}; weights are of {', '.join(_TYPES)}"
    )
  return _TYPES[kind], tuple(shape), begin, end


def _damaged(file: str, what: str) -> errors.UserError:
  return errors.UserError(f"{file} is no whole safetensors file ({what}); get it again")
