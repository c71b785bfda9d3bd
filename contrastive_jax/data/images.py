"""From encoded bytes to RGB pixels, and from any size to one host canvas. Pillow only.

What reaches the device is the whole image in its true aspect: it lies in the top-left corner of a
square canvas and is shrunk only if it does not fit. Random crops of the original are then still
possible there.
"""

import io
import os

import numpy as np
from PIL import Image, ImageOps

from contrastive_jax import reading
from contrastive_jax.data import Unreadable

_SIXTEEN_BITS = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def read(path: str, root: str | os.PathLike | None = None) -> np.ndarray:
  """Reads an image file and decodes it, see `decode`.

  Args:
    path: of the file.
    root: of the set that it belongs to; its own folder by default. Where nothing at all is there
      any more, nothing is known of the image.

  Raises:
    Unreadable: the file is damaged, not there or not for us to read.
    OSError: the system could not read it, which says nothing of the file.
  """
  try:
    with open(path, "rb") as file:  # whole: in a decoder's hands one error is like another
      encoded = file.read()
  except OSError as error:
    root = os.path.dirname(path) if root is None else root
    gone = reading.is_missing(error, path) and not reading.is_away(root)
    if gone or isinstance(error, PermissionError):
      raise Unreadable(f"{path}: {type(error).__name__}: {error}") from error
    raise
  return decode(encoded, path)


def decode(encoded: bytes, name: str = "image") -> np.ndarray:
  """Decodes JPEG, PNG, WebP, ... to uint8 [h, w, 3].

  The EXIF orientation is applied. Palettes and grey become RGB, 16-bit grey keeps its upper 8 bits,
  and transparent pixels are laid over white (what lies under them is arbitrary).

  Args:
    encoded: the content of a file.
    name: how an error calls the image.

  Raises:
    Unreadable: whatever Pillow raises (damaged files make it raise almost anything).
    OSError, MemoryError: the system could not, see `reading.may_pass`.
  """
  try:
    with Image.open(io.BytesIO(encoded)) as opened:
      return np.asarray(_rgb(ImageOps.exif_transpose(opened)))
  except Exception as error:
    if reading.may_pass(error):
      raise
    raise Unreadable(f"{name}: {type(error).__name__}: {error}") from error


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
