"""TIFFs whose least number is white (TIFF 6.0, section 8, PhotometricInterpretation 0).

Pillow 13 turns up to 8 bits of whole numbers round as it reads them, others not, or it does not
know them; tifffile turns nothing round. Here Pillow is told that the least is black, and what it
gives is turned round.
"""

import struct

import numpy as np

_PHOTOMETRIC, _BITS_PER_SAMPLE, _SAMPLES_PER_PIXEL = 262, 258, 277
_SHORT = 3  # the type of these fields
_ORDERS = {b"II": "<", b"MM": ">"}
_CLASSIC, _BIG = 42, 43  # TIFF 6.0, section 2; BigTIFF has fields of 8 bytes in the place of 4
_MOST_FIELDS = 4096  # of a picture that is looked through
_PILLOW_DOES = 8  # bits


def as_black(encoded: bytes) -> tuple[bytes, int]:
  """Returns a TIFF that says its least number is black, and the bits of those to be turned round.

  Others are returned as they are, with 0: Pillow turns them round, or nothing is to be.
  """
  try:
    found = _first_fields(encoded)
  except (struct.error, KeyError):
    return encoded, 0
  place, white = found.get(_PHOTOMETRIC, (0, 1))
  bits, samples = (found.get(tag, (0, 1))[1] for tag in (_BITS_PER_SAMPLE, _SAMPLES_PER_PIXEL))
  if white or samples != 1 or bits <= _PILLOW_DOES:
    return encoded, 0
  one = struct.pack(_ORDERS[encoded[:2]] + "H", 1)
  return b"".join((encoded[:place], one, memoryview(encoded)[place + 2 :])), bits


def _first_fields(encoded: bytes) -> dict[int, tuple[int, int]]:
  """Returns place and value of each field of one short number, by its tag, of the first picture."""
  order = _ORDERS[encoded[:2]]
  (version,) = struct.unpack_from(f"{order}H", encoded, 2)
  at, count, step, inside = {_CLASSIC: (4, "H", 12, 8), _BIG: (8, "Q", 20, 12)}[version]
  (start,) = struct.unpack_from(order + ("I" if version == _CLASSIC else "Q"), encoded, at)
  (fields,) = struct.unpack_from(order + count, encoded, _within(start, encoded))
  start, found = start + struct.calcsize(count), {}
  for field in range(start, start + min(fields, _MOST_FIELDS) * step, step):
    tag, kind = struct.unpack_from(f"{order}HH", encoded, field)
    (values,) = struct.unpack_from(
      order + ("I" if version == _CLASSIC else "Q"), encoded, field + 4
    )
    if (kind, values) == (_SHORT, 1):
      place = field + inside
      found[tag] = (place, *struct.unpack_from(f"{order}H", encoded, place))
  return found


def _within(place: int, encoded: bytes) -> int:
  """Returns a place. Raises struct.error: it lies beyond, perhaps too far for a number of C."""
  if place >= len(encoded):
    raise struct.error(f"{place} is beyond {len(encoded)} bytes")
  return place


def turned_round(pixels: np.ndarray, bits: int) -> np.ndarray:
  """Returns numbers of so many bits with the least as the largest; floats are those of 0 to 1."""
  if pixels.dtype.kind == "f":
    return 1 - pixels
  if pixels.dtype.kind == "u":
    return (2**bits - 1) - pixels
  return ~pixels  # -1 - pixels
