"""From encoded bytes to RGB pixels, and from any size to one host canvas. Pillow only.

What reaches the device is the whole image in its true aspect: it lies in the top-left corner of a
square canvas and is shrunk only if it does not fit. Random crops of the original are then still
possible there.
"""

import functools
import io
import math
import os
import threading

import numpy as np
from PIL import Image, ImageOps

from contrastive_jax import errors, reading, slow
from contrastive_jax.data import Unreadable

# All that Pillow is asked for: pixels, read by itself. EPS would start Ghostscript.
FORMATS = (
  *("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "AVIF", "JPEG2000"),
  *("TGA", "QOI", "SGI", "PCX", "DDS"),
)
MAX_MEGAPIXELS = 64  # 8,000 x 8,000: more than cameras of full frame give
_BYTES_DECODING = 7  # a pixel: Pillow's 4 and the array's 3 (measured, docs/data.md)
_BYTES_IN_FILE = 8  # a pixel at most: four channels of 16 bits, not compressed
_STRIP_PIXELS = 2**20  # made RGB at a time
_SIXTEEN_BITS = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_pillows_limit = threading.Lock()


def read(
  path: str, root: str | os.PathLike | None = None, max_megapixels: int = MAX_MEGAPIXELS
) -> np.ndarray:
  """Reads an image file and decodes it, see `decode`.

  Args:
    path: of the file.
    root: of the set that it belongs to; its own folder by default. Where nothing at all is there
      any more, nothing is known of the image.
    max_megapixels: see `decode`.

  Raises:
    Unreadable: the file is damaged, too large, not there, not for us to read, or no regular file:
      to open a FIFO is to wait for who writes to it.
    OSError: the system could not read it, which says nothing of the file.
  """
  try:
    with slow.named(path):
      _check_file(path, max_megapixels)
      with open(path, "rb") as file:  # whole: in a decoder's hands one error is like another
        encoded = file.read()
  except OSError as error:
    root = os.path.dirname(path) if root is None else root
    gone = reading.is_missing(error, path) and not reading.is_away(root)
    if gone or isinstance(error, PermissionError):
      raise Unreadable(f"{path}: {type(error).__name__}: {error}") from error
    error.filename = error.filename or path  # of a read that fails the system does not name it
    raise
  return decode(encoded, path, max_megapixels)


def _check_file(path: str, max_megapixels: int) -> None:
  """Raises `Unreadable` for what is no regular file, or larger than any image of that size."""
  other = reading.no_regular_file(path)
  if other:
    raise Unreadable(f"{path}: it is {other}; only regular files are opened")
  size, limit = os.path.getsize(path), _BYTES_IN_FILE * max_megapixels * 10**6
  if size > limit:
    raise Unreadable(
      f"{path}: the file has {size / 1e6:,.0f} MB, more than an image of max_megapixels "
      f"{max_megapixels} has in any format ({limit / 1e6:,.0f} MB); make it smaller, or raise "
      "max_megapixels of the data source"
    )


def decode(encoded: bytes, name: str = "image", max_megapixels: int = MAX_MEGAPIXELS) -> np.ndarray:
  """Decodes an image in one of `FORMATS` to uint8 [h, w, 3].

  The EXIF orientation is applied. Palettes and grey become RGB, 16-bit grey keeps its upper 8 bits,
  and transparent pixels are laid over white (what lies under them is arbitrary).

  Args:
    encoded: the content of a file.
    name: how an error calls the image.
    max_megapixels: of an image that is decoded. A JPEG of more is decoded at a half, a quarter or
      an eighth of its sides, unless it is progressive: that takes the memory of all its pixels.

  Raises:
    Unreadable: it has too many pixels, or whatever Pillow raises (damaged files make it raise
      almost anything).
    OSError, MemoryError: the system could not, see `reading.may_pass`.
  """
  try:
    with _opened(encoded) as opened:
      _limit_pixels(opened, name, max_megapixels)
      ImageOps.exif_transpose(opened, in_place=True)
      return _pixels(opened)
  except Unreadable:
    raise
  except Exception as error:
    if reading.may_pass(error):
      raise
    raise Unreadable(f"{name}: {type(error).__name__}: {error}") from error


def check_limit(max_megapixels: int, key: str) -> None:
  """Raises `UserError`, with `key`, unless images may have that many pixels."""
  if max_megapixels < 1:
    raise errors.UserError(
      f"{key} {max_megapixels} is below 1; set --config.{key}={MAX_MEGAPIXELS}, or more for larger "
      "images"
    )


def check_cache(cache_gb: float, key: str) -> None:
  """Raises `UserError`, with `key`, unless so much can be kept on a host."""
  if not 0 <= cache_gb < math.inf:
    raise errors.UserError(f"{key} {cache_gb} is below 0 or no number; set --config.{key}=50, say")


@functools.cache
def formats() -> tuple[str, ...]:
  """Returns those of `FORMATS` that this Pillow was built with."""
  Image.init()
  return tuple(name for name in FORMATS if name in Image.OPEN)


def _opened(encoded: bytes) -> Image.Image:
  """Returns an image whose header alone has been read, of any size: its pixels are limited here."""
  with _pillows_limit:  # it warns at a number of pixels of its own, and refuses twice as many
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
      return Image.open(io.BytesIO(encoded), formats=formats())
    finally:
      Image.MAX_IMAGE_PIXELS = before


def _limit_pixels(opened: Image.Image, name: str, max_megapixels: int) -> None:
  """Has a large JPEG decoded at less than its size. Raises `Unreadable` if that cannot be."""
  (width, height), most = opened.size, max_megapixels * 10**6
  if width * height <= most:
    return
  if opened.format in ("JPEG", "MPO") and not opened.info.get("progressive"):
    for part in (2, 4, 8):  # what the discrete cosine transform gives for less
      if -(-width // part) * -(-height // part) <= most:
        opened.draft(None, (width // part, height // part))
        break
  if opened.size[0] * opened.size[1] > most:
    pixels = width * height
    raise Unreadable(
      f"{name}: {width} x {height} = {pixels / 1e6:.0f} megapixels are above max_megapixels "
      f"{max_megapixels}, and decoding them takes {_BYTES_DECODING * pixels / 1e9:.1f} GB in each "
      "thread that does; make it smaller, or raise max_megapixels of the data source"
    )


def _pixels(image: Image.Image) -> np.ndarray:
  """Returns uint8 [h, w, 3]; made in strips, since conversions hold several copies at once."""
  width, height = image.size
  rows = max(1, _STRIP_PIXELS // max(1, width))
  if height <= rows:
    return np.asarray(_rgb(image))
  found = np.empty((height, width, 3), np.uint8)
  for top in range(0, height, rows):
    bottom = min(top + rows, height)
    found[top:bottom] = np.asarray(_rgb(image.crop((0, top, width, bottom))))
  return found


def _rgb(image: Image.Image) -> Image.Image:
  if image.mode == "RGB":
    return image
  if image.mode in _SIXTEEN_BITS:  # convert("RGB") would clip at 255
    grey = np.asarray(image)
    if grey.min() < 0 or grey.max() > 0xFFFF:
      raise ValueError(f"grey values {grey.min()}..{grey.max()} are outside 0..65535")
    return Image.fromarray((grey >> 8).astype(np.uint8)).convert("RGB")
  if image.mode == "F":
    raise ValueError("float pixels have no known range")
  if image.has_transparency_data:
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
  return image.convert("RGB")


def place(image: np.ndarray, canvas: np.ndarray) -> tuple[int, int]:
  """Writes an image into the top-left corner of a canvas of zeros; returns its extent (h, w) there.

  An image whose longer side exceeds the canvas is shrunk until that side fits, with Pillow's
  bicubic filter (antialiased), its aspect kept to the nearest pixel. Smaller images are not
  enlarged.

  Args:
    image: uint8 [h, w, 3].
    canvas: uint8 [S, S, 3] of zeros; written in place.
  """
  size, (height, width) = len(canvas), image.shape[:2]
  longer = max(height, width)
  if longer > size:
    height, width = (max(1, round(side * size / longer)) for side in (height, width))
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    image = np.asarray(resized)
  canvas[:height, :width] = image
  return height, width
