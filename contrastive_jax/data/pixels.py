"""Pixels beyond 8-bit RGB: grey of 12 or 16 bits, floats, any number of channels.

What a file holds is brought to the form that a run asked for: so many channels, of 8 or 16 bits,
where the ends of a range of values become 0 and the largest number. Pixels of 8 bits keep their
values whatever the range: it is of the others.
"""

import dataclasses

import numpy as np
from PIL import Image

from contrastive_jax import errors, plural, reading
from contrastive_jax.data import (
  Refused,
  Unreadable,
  image_arrays,
  images,
  shrinking,
  tiff_pages,
  tiffs,
)

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's convert("L")


@dataclasses.dataclass(frozen=True)
class Form:
  """What is made of an image.

  Attributes:
    channels: of a pixel; 0: as the file has them, and so its type of numbers.
    bits: of each value, 8 or 16.
    value_range: what becomes 0 and the largest number, of values that do not have 8 bits; (): all
      that an integer of 16 bits can be, and of other types nothing is known.
  """

  channels: int = 3
  bits: int = 8
  value_range: tuple[float, ...] = ()

  @property
  def plain(self) -> bool:
    """Whether it is 8-bit RGB, which `images` decodes by itself."""
    return self == Form()

  @property
  def dtype(self) -> np.dtype:
    return np.dtype(np.uint8 if self.bits == 8 else np.uint16)


RGB = Form()
GREY_OR_RGB = {(1, 3), (3, 1)}  # numbers of channels, and what can be made of them
NATIVE = Form(channels=0)


def decode(
  encoded: bytes, name: str, max_megapixels: int, size_px: int | None, form: Form
) -> np.ndarray:
  """Decodes an image to an array [h, w, C] of a form; also .npy files, and TIFF of any channels.

  Arguments and errors are those of `images.decode`. UserError: it takes a package that is absent.
  """
  try:
    found = _native(encoded, name, max_megapixels, size_px, form)
    return found if form == NATIVE else _fitted(formed(found, form, name), size_px)
  except (Unreadable, errors.UserError):
    raise
  except Exception as error:  # damaged files make decoders raise almost anything
    if reading.may_pass(error):
      raise
    raise images.unreadable(name, error) from error


def other_tiff(encoded: bytes, name: str, max_megapixels: int, size_px: int | None) -> np.ndarray:
  """Decodes a TIFF that Pillow does not read to 8-bit RGB, by tifffile where that is installed.

  Arguments and errors are those of `images.decode`.
  """
  try:
    return decode(encoded, name, max_megapixels, size_px, RGB)
  except errors.UserError as error:  # one image of many: the others are no worse for it
    raise Refused(f"{name}: Pillow reads no such TIFF, others may: {tiffs.EXTRA}") from error


def formed(pixels: np.ndarray, form: Form, name: str = "image") -> np.ndarray:
  """Returns pixels [h, w, c] in a form: uint8 or uint16 [h, w, C].

  Red, green and blue become grey by their luminance, grey is repeated for three channels.

  Raises:
    Unreadable: it has another number of channels, or values of a type of which no range is known.
  """
  pixels = pixels[..., None] if pixels.ndim == 2 else pixels
  count = pixels.shape[-1]
  if count == form.channels and pixels.dtype == form.dtype == np.uint8:
    return pixels
  if (count, form.channels) not in GREY_OR_RGB and count != form.channels:
    has = plural.of(count, "channel")
    raise Refused(
      f"{name}: it has {has}, and data.channels is {form.channels}; if all have so many set "
      f"--config.data.channels={count}"
    )
  unit = _unit(pixels, form, name)
  if (count, form.channels) == (3, 1):
    unit = (unit @ np.array(_LUMINANCE, np.float32))[..., None]
  most = np.iinfo(form.dtype).max
  found = np.round(unit * most).astype(form.dtype)
  return np.repeat(found, 3, axis=-1) if (count, form.channels) == (1, 3) else found


def _unit(pixels: np.ndarray, form: Form, name: str) -> np.ndarray:
  """Returns float32 in [0, 1]; what is no number counts as the lower end."""
  if pixels.dtype == np.uint8 or pixels.dtype == bool:
    most = 255 if pixels.dtype == np.uint8 else 1
    return pixels.astype(np.float32) / most
  low, high = form.value_range or (0, 0)
  if not form.value_range:
    if pixels.dtype.newbyteorder("=") != np.uint16:
      raise Refused(
        f"{name}: of values of type {pixels.dtype} no range is known; set data.value_range"
      )
    high = np.iinfo(np.uint16).max
  unit = (pixels.astype(np.float64) - low) / (high - low)
  return np.clip(np.nan_to_num(unit, nan=0.0), 0.0, 1.0).astype(np.float32)


def shrunk(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Returns an image [h, w, C] of 8 or 16 bits at width and height `size`, see `shrinking`."""
  most, channels = np.iinfo(image.dtype).max, []
  for channel in np.moveaxis(image, -1, 0):
    channels.append(shrinking.shrink(np.ascontiguousarray(channel, np.float32), size))
  return np.clip(np.round(np.stack(channels, axis=-1)), 0, most).astype(image.dtype)


def _fitted(image: np.ndarray, size_px: int | None) -> np.ndarray:
  return image if size_px is None else images.shrunk(image, size_px)


def _native(encoded, name, max_megapixels, size_px, form: Form) -> np.ndarray:
  if image_arrays.is_npy(encoded):
    found = image_arrays.read_npy(encoded, name, max_megapixels)
    return image_arrays.height_first(found, form.channels)
  try:
    with images.open_header(encoded) as image:
      simple = not tiffs.is_tiff(encoded) or tiffs.pillow_reads(image, form.channels)
      if simple and image.format == "TIFF":
        tiff_pages.check(image, encoded, name, form.channels)
      if simple and image.mode in (*images.SIXTEEN_BITS, "F"):
        images.limit_pixels(image, name, max_megapixels)
        return _of_pillow(image)[..., None]
      if simple and form.channels == 4 and image.mode in ("RGBA", "CMYK"):
        images.limit_pixels(image, name, max_megapixels)
        return _of_pillow(image)
  except Image.UnidentifiedImageError:
    simple = not tiffs.is_tiff(encoded)
    if simple:
      raise
  if simple:
    return images.decode(encoded, name, max_megapixels, None if form == NATIVE else size_px)
  return tiffs.read(encoded, name, max_megapixels, form.channels, form.value_range)


def _of_pillow(image: Image.Image) -> np.ndarray:
  image.load()  # turns a TIFF, and finds what a PNG says at its end
  return tiffs.turned(images.array(image), image.getexif().get(tiffs.ORIENTATION, 1))
