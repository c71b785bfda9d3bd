"""Records of the form tf.train.Example, read and written without TensorFlow or Protocol Buffers.

The form is public (tensorflow/core/example/{example,feature}.proto): a map from names to lists of
bytes, of 64-bit integers or of floats. Most who write ArrayRecord or TFRecord files use it.
"""

import struct
from collections.abc import Iterator, Mapping

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # the wire types that there are

Values = list[bytes] | list[int] | list[float]


def parse(record: bytes) -> dict[str, Values]:
  """Returns all features. Raises ValueError: it is no such record."""
  features: dict[str, Values] = {}
  view = memoryview(record)
  for number, part in _fields(view):
    if number != 1:
      raise ValueError(f"field {number} of an Example is not known")
    for _, entry in _fields(_message(part)):
      inside = dict(_fields(_message(entry)))
      features[bytes(_message(inside[1])).decode()] = _values(_message(inside.get(2, view[:0])))
  return features


def serialise(features: Mapping[str, bytes | int]) -> bytes:
  """Returns a record with one value a feature."""
  entries = []
  for name in sorted(features):
    value = features[name]
    if isinstance(value, bytes):
      feature = _field(1, _field(1, value))
    else:
      feature = _field(3, _field(1, _varint(value & 0xFFFFFFFFFFFFFFFF)))
    entries.append(_field(1, _field(1, name.encode()) + _field(2, feature)))
  return _field(1, b"".join(entries))


def _values(feature: memoryview) -> Values:
  found: Values = []
  for kind, part in _fields(feature):
    for _, value in _fields(_message(part)):
      if kind == 1:
        found.append(bytes(_message(value)))
      elif kind == 2:
        packed = value if isinstance(value, memoryview) else struct.pack("<I", value)
        found += struct.unpack(f"<{len(packed) // 4}f", packed)
      elif kind == 3:
        found += map(_signed, _varints(value) if isinstance(value, memoryview) else [value])
  return found


def _signed(value: int) -> int:
  return value - 2**64 if value >= 2**63 else value


def _message(value: "memoryview | int") -> memoryview:
  if not isinstance(value, memoryview):
    raise ValueError("a number stands where a message belongs")
  return value


def _fields(view: memoryview) -> Iterator[tuple[int, "memoryview | int"]]:
  """Yields number and content of each field: a number, or bytes of a message or a text."""
  place = 0
  while place < len(view):
    tag, place = _read_varint(view, place)
    number, kind = tag >> 3, tag & 7
    if kind == _VARINT:
      value, place = _read_varint(view, place)
      yield number, value
      continue
    if kind == _BYTES:
      length, place = _read_varint(view, place)
    elif kind in (_FIXED64, _FIXED32):
      length = 8 if kind == _FIXED64 else 4
    else:
      raise ValueError(f"wire type {kind} is not known")
    if number == 0 or place + length > len(view):
      raise ValueError("a field is longer than the record")
    part = view[place : place + length]
    yield number, (int.from_bytes(part, "little") if kind != _BYTES else part)
    place += length


def _varints(view: memoryview) -> Iterator[int]:
  place = 0
  while place < len(view):
    value, place = _read_varint(view, place)
    yield value


def _read_varint(view: memoryview, place: int) -> tuple[int, int]:
  value = shift = 0
  while True:
    if place >= len(view) or shift > 63:
      raise ValueError("a number has no end")
    byte = view[place]
    value |= (byte & 0x7F) << shift
    place, shift = place + 1, shift + 7
    if not byte & 0x80:
      return value, place


def _field(number: int, content: bytes) -> bytes:
  return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
  found = bytearray()
  while value > 0x7F:
    found.append(value & 0x7F | 0x80)
    value >>= 7
  return bytes([*found, value])
