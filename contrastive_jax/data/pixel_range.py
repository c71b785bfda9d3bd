"""The range of values of a set whose pixels do not have 8 bits, where the user names none."""

import contextlib
import logging
from collections.abc import Sequence

import numpy as np

from contrastive_jax import data, errors, plural, reading
from contrastive_jax.data import Source, Unreadable, pixels

_LOOKED_AT = 64  # images, at equal distances
_EVERY = 8  # of these, where the first has 8 bits


def of(source: Source) -> tuple[float, float] | tuple[()]:
  """Returns the range of a set's values; () if pixels have 8 bits. A line says what was taken.

  Whole numbers run from 0 to the largest of as many bits as the largest value needs: scans of 12
  bits to 4,095. Floats within 0 to 1 run there, others from their least to their largest value.

  Where the first image has 8 bits none is taken; a line says so if others have not.

  Raises:
    UserError: all are equal, or none is a number.
    ReadFailed: they cannot be read for now.
  """
  native = data.formed(source, pixels.NATIVE)
  if native is source:
    return ()
  least, most, kind, count = np.inf, -np.inf, None, 0
  looked_at = range(0, len(source), -(-len(source) // _LOOKED_AT))
  for i in looked_at:
    try:
      image = reading.patiently(f"image {i}", lambda i=i: native[i])["image"]
    except Unreadable:
      continue
    if image.dtype in (np.uint8, bool):
      if kind is None:
        _tell_of_others(native, looked_at[1 :: max(1, len(looked_at) // _EVERY)], i)
        return ()
      continue
    kind, count = kind or image.dtype, count + 1
    finite = image[np.isfinite(image)]
    if finite.size:
      least, most = min(least, float(finite.min())), max(most, float(finite.max()))
  if kind is None:
    return ()
  if least > most:
    raise errors.UserError(
      f"no value of {plural.of(count, 'image')} is a number, so that no range can be taken; set "
      "--config.data.value_range, e.g. (0,4095)"
    )
  if not least < most and not (kind.kind in "iu" and most > 0):
    raise errors.UserError(
      f"all values of {plural.of(count, 'image')} are {most:g}, from which no range can be taken; "
      "set --config.data.value_range, e.g. (0,4095)"
    )
  if kind.kind in "iu":
    least_bits = 7 if kind == np.int8 else 8
    found = (min(0.0, least), float(2 ** max(least_bits, int(most).bit_length()) - 1))
  else:
    found = (0.0, 1.0) if 0 <= least and most <= 1 else (least, most)
  logging.getLogger(__name__).info(
    "pixels are %s, from %g to %g in %s: %g becomes 0 and %g the largest value; "
    "data.value_range names others",
    *(kind, least, most, plural.of(count, "image"), *found),
  )
  return found


def _tell_of_others(native: Source, indices: Sequence[int], first: int) -> None:
  """Says if one of some images has not 8 bits as the first has."""
  for i in indices:
    with contextlib.suppress(Unreadable):
      kind = reading.patiently(f"image {i}", lambda i=i: native[i])["image"].dtype
      if kind not in (np.uint8, bool):
        logging.getLogger(__name__).warning(
          "warning: pixels of image %d are %s, and those of image %d have 8 bits: no range is "
          "taken of such a mixture, and 16 bits run from 0 to 65535; set data.value_range, e.g. "
          "--config.data.value_range=(0,4095)",
          *(i, kind, first),
        )
        return
