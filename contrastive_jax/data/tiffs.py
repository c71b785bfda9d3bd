"""TIFFs of more than Pillow reads: what it gets wrong or does not know, tifffile reads."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from contrastive_jax import errors
from contrastive_jax.data import tiff_pages, white_is_zero
from contrastive_jax.data.image_arrays import check_shape, numbers

_BEGINS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BITS_PER_SAMPLE, _SAMPLES_PER_PIXEL = 258, 277  # tags of TIFF 6.0, section 8
_SAMPLE_FORMAT, _COMPRESSION, ORIENTATION = 339, 259, 274
_EXTRA_SAMPLES, _PLANAR_CONFIGURATION = 338, 284
_PREMULTIPLIED, _ALPHA = 1, 2  # of ExtraSamples
_IN_PLANES = 2  # of PlanarConfiguration
_WHITE_IS_ZERO = 0  # of PhotometricInterpretation
_UNPACKED = (1, 8, 32773, 32946, 34925)  # none, Deflate, PackBits, LZMA: tifffile does by itself
EXTRA = "install the extra scans: pip install -e '.[scans]'"


def is_tiff(encoded: bytes) -> bool:
  """Returns whether bytes begin as a TIFF does."""
  return encoded.startswith(_BEGINS)


def is_misread_in_planes(image: Image.Image) -> bool:
  """Returns whether Pillow 13 mixes the planes of a TIFF up: findings/pillow_tiff_in_planes.sh."""
  tags = image.tag_v2
  if tags.get(_PLANAR_CONFIGURATION) != _IN_PLANES:
    return False
  samples, bits = tags.get(_SAMPLES_PER_PIXEL, 1), max(tags.get(_BITS_PER_SAMPLE, (1,)))
  return samples == 2 or samples > 2 and bits > 8 and tags.get(_COMPRESSION, 1) == 1


def pillow_reads(image: Image.Image, channels: int) -> bool:
  """Returns whether Pillow reads all of a TIFF, to the last bit, for so many channels."""
  samples = image.tag_v2.get(_SAMPLES_PER_PIXEL, 1)
  bits = max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,)))
  if samples == 1 and tiff_pages.are_read(image, channels):
    return False
  if samples == 1:
    return _reads_rightly(image, bits)
  if bits > 8 or max(image.tag_v2.get(_SAMPLE_FORMAT, (1,))) != 1:
    return False
  if samples == 2:  # grey and how far it covers what lies below
    alpha = image.tag_v2.get(_EXTRA_SAMPLES, (0,))[0] in (_PREMULTIPLIED, _ALPHA)
    in_planes = image.tag_v2.get(_PLANAR_CONFIGURATION) == _IN_PLANES
    return alpha and not in_planes and channels in (0, 1, 3)
  return samples in (3, 4)


def _reads_rightly(image: Image.Image, bits: int) -> bool:
  """Returns whether Pillow gets the values of a TIFF with one sample a pixel right.

  Pillow 13 takes whole numbers below 0 for others if they have 8 bits, and some of 32 bits without
  a sign for such; what begins with the high byte: see findings/pillow_tiff_high_byte_first.sh.
  """
  number = image.tag_v2.get(_SAMPLE_FORMAT, (1,))[0]
  if number == 1:
    return bits <= 16
  swapped = image.tag_v2.prefix == b"MM" and image.tag_v2.get(_COMPRESSION, 1) != 1
  return bits > 8 and not swapped


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
  """Returns pixels [h, w, ...] as they are to be seen (TIFF 6.0, section 8, Orientation)."""
  pixels = pixels.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else pixels
  pixels = pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels
  return pixels[::-1] if orientation in (3, 4, 7, 8) else pixels


def read(
  encoded: bytes, name: str, max_megapixels: int, channels: int, value_range: Sequence[float] = ()
) -> np.ndarray:
  """Returns the numbers [h, w, c] of a TIFF, as they are to be seen.

  Args:
    encoded, name, max_megapixels: as of `images.decode`.
    channels: that are asked for; of 1 and 3 alpha lays the image over white.
    value_range: of the run; (): none.

  Raises:
    UserError: it takes a package that is absent.
    ValueError, Unreadable: it is no image, or too large.
  """
  try:
    import tifffile
  except ModuleNotFoundError as error:
    raise errors.UserError(
      f"{name} is a TIFF of more than Pillow reads (several channels of 16 bits, another number "
      f"of them than 1, 3 and 4, or other numbers), which needs the package tifffile; {EXTRA}"
    ) from error
  with tifffile.TiffFile(io.BytesIO(encoded)) as file:
    series = file.series[0]
    axes, shape = series.axes, series.shape
    if "Y" not in axes or "X" not in axes or len(axes) > 3:
      raise ValueError(f"axes {axes} {list(shape)} are not height, width and channels")
    height, width = shape[axes.index("Y")], shape[axes.index("X")]
    check_shape((height, width), name, max_megapixels)
    _check_unpacked(series.keyframe.compression, name)
    found, page = series.asarray(), series.keyframe
    tag = page.tags.get(ORIENTATION)
  order = [axes.index("Y"), axes.index("X")]
  pages = [i for i, axis in enumerate(axes) if axis not in "YX"]
  of_pages = pages and page.samplesperpixel == 1 and shape[pages[0]] != channels
  are_rows = of_pages and axes.endswith("YX") and tiff_pages.are_rows(width, channels)
  order = pages + order if are_rows else order + pages
  found = turned(found.transpose(order), 1 if tag is None else int(tag.value))
  found = numbers(found[..., None] if found.ndim == 2 else found)
  if page.photometric == _WHITE_IS_ZERO:  # of several samples the first is the shade
    shades = found if page.samplesperpixel == 1 else found[..., :1]
    right = white_is_zero.turned_round(shades, page.bitspersample)
    found = np.concatenate([right, found[..., right.shape[-1] :]], -1)
  if channels in (1, 3) and found.shape[-1] in (2, 4):
    return _over_white(found, page.extrasamples[-1:], value_range)
  return found


def _over_white(
  pixels: np.ndarray, extra: tuple[int, ...], value_range: Sequence[float]
) -> np.ndarray:
  """Returns pixels [h, w, c] laid over white by the last of their samples, if that is alpha."""
  if extra not in ((_PREMULTIPLIED,), (_ALPHA,)) or pixels.dtype.kind != "u":
    return pixels
  most = np.iinfo(pixels.dtype).max
  white = most if pixels.dtype == np.uint8 or not value_range else value_range[1]
  cover = pixels[..., -1:].astype(np.float64) / most
  shown = pixels[..., :-1] * (cover if extra == (_ALPHA,) else 1) + white * (1 - cover)
  return np.clip(np.round(shown), 0, most).astype(pixels.dtype)


def _check_unpacked(compression: int, name: str) -> None:
  """Raises UserError where a TIFF is packed in a way that takes a package that is absent."""
  if compression in _UNPACKED:
    return
  try:
    import imagecodecs  # noqa: F401  which tifffile asks
  except ImportError as error:
    packed = getattr(compression, "name", compression)
    raise errors.UserError(
      f"{name} is a TIFF of compression {packed}, which needs the package imagecodecs; {EXTRA}"
    ) from error
