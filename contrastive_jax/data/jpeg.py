"""JPEGs decoded no larger than they are needed: by simplejpeg where it is installed, or by Pillow.

A decoder that is told the size transforms back fewer pixels: Pillow at a half, a quarter or an
eighth of the sides, simplejpeg (extra `fast`) at any number of eighths. Those between take longer
than the whole image and pay only where shrinking takes longer still, see `shrinking`. What
simplejpeg does not take as it is, such as CMYK or a damaged file, is left to Pillow: the same files
are readable.
"""

import functools
from types import ModuleType

import numpy as np
import PIL
from PIL import Image

from contrastive_jax.data import shrinking

FORMATS = ("JPEG", "MPO")  # MPO: several JPEGs in a file, of which the first is taken
_QUICK_EIGHTHS = (1, 2, 4, 8)  # which TurboJPEG computes with vectors
_CLOSE = 1.25  # what eighths leave to shrink, from four eighths on

Size = tuple[int, int]  # width, height
Box = tuple[float, float, float, float]  # left, top, right, bottom


@functools.cache
def decoder() -> str:
  """Returns which decoder there is and how it shrinks: pixels may be others with another."""
  library = f"Pillow {PIL.__version__}"
  if _simplejpeg():
    library = f"simplejpeg {shrinking.version('simplejpeg')}"
  words = [library, "by eighths" if _simplejpeg() and not shrinking.is_quick() else "by halves"]
  return ", ".join(words + [shrinking.name()] * shrinking.is_quick())


@functools.cache
def _simplejpeg() -> ModuleType | None:
  try:
    import simplejpeg
    from simplejpeg import decode_jpeg  # noqa: F401  a thread may be given what another failed at
  except ImportError:  # also one that was built for another NumPy
    return None
  return simplejpeg


def draft(opened: Image.Image, wanted: Size) -> Box:
  """Has Pillow decode a JPEG at the smallest size not below `wanted`. Returns where the image lies.

  Sides are rounded up, so that the last row or column may be one in part.
  """
  reduced = opened.draft(None, wanted)
  return reduced[1] if reduced else (0, 0, *opened.size)


def decode(encoded: bytes, opened: Image.Image, wanted: Size) -> tuple[np.ndarray, Box] | None:
  """Decodes a JPEG with simplejpeg, at a size not below `wanted`: the one that takes least time.

  Args:
    encoded: the content of a file.
    opened: its header, as Pillow reads it.
    wanted: least width and height.

  Returns:
    uint8 [h, w, 3] and where the image lies in it, see `draft`; None: it is for Pillow.
  """
  library = _simplejpeg()
  if library is None or opened.mode not in ("RGB", "L"):
    return None
  width, height = opened.size
  eighths = min(8, max(-(-8 * w // side) for w, side in zip(wanted, opened.size, strict=True)))
  if shrinking.is_quick():
    eighths = next(e for e in _QUICK_EIGHTHS if e >= eighths)
  sides = [-(-side * eighths // 8) for side in (height, width)]
  least = {} if eighths == 8 else {"min_height": sides[0], "min_width": sides[1]}
  try:
    pixels = library.decode_jpeg(encoded, "RGB", **least)  # raises also where it could go on
  except (ValueError, RuntimeError):
    return None
  if list(pixels.shape) != [*sides, 3]:
    return None
  return pixels, (0, 0, width * eighths / 8, height * eighths / 8)


def filter_after(box: Box, whole: Size, size: Size) -> Image.Resampling:
  """Returns Pillow's filter for an image that was decoded into `box`, which may be less of `whole`.

  Where little is left to shrink, a bilinear filter comes as near to what a bicubic one makes of the
  whole image as a bicubic one would, in half the time (docs/results/decoding.md).
  """
  left = max(box[2] / size[0], box[3] / size[1])
  reduced = box[2] < whole[0]
  return Image.Resampling.BILINEAR if reduced and left <= _CLOSE else Image.Resampling.BICUBIC
