"""The range of values of a set whose pixels do not have 8 bits, where the user names none."""

import logging

import numpy as np

from contrastive_jax import data, errors, reading
from contrastive_jax.data import Source, Unreadable, pixels

_LOOKED_AT = 64  # images, at equal distances


def of(source: Source) -> tuple[float, float] | tuple[()]:
  """Returns the range of a set's values; () if pixels have 8 bits. A line says what was taken.

  Whole numbers run from 0 to the largest of as many bits as the largest value needs: scans of 12
  bits to 4,095. Floats within 0 to 1 run there, others from their least to their largest value.

  Raises:
    UserError: all are equal.
    ReadFailed: they cannot be read for now.
  """
  native = data.formed(source, pixels.NATIVE)
  if native is source:
    return ()
  least, most, kind, count = np.inf, -np.inf, None, 0
  for i in range(0, len(source), -(-len(source) // _LOOKED_AT)):
    try:
      image = reading.patiently(f"image {i}", lambda i=i: native[i])["image"]
    except Unreadable:
      continue
    if image.dtype in (np.uint8, bool):
      if kind is None:
        return ()
      continue
    kind, count = kind or image.dtype, count + 1
    finite = image[np.isfinite(image)]
    if finite.size:
      least, most = min(least, float(finite.min())), max(most, float(finite.max()))
  if kind is None:
    return ()
  if not least < most and not (kind.kind in "iu" and most > 0):
    raise errors.UserError(
      f"all values of {count} images are {most:g}, from which no range can be taken; set "
      "--config.data.value_range, e.g. (0,4095)"
    )
  if kind.kind in "iu":
    found = (min(0.0, least), float(2 ** max(8, int(most).bit_length()) - 1))
  else:
    found = (0.0, 1.0) if 0 <= least and most <= 1 else (least, most)
  logging.getLogger(__name__).info(
    "pixels are %s, from %g to %g in %d images: %g becomes 0 and %g the largest value; "
    "data.value_range names others",
    *(kind, least, most, count, *found),
  )
  return found
