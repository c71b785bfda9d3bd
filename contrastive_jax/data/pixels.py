"""Pixels beyond 8-bit RGB: grey of 12 or 16 bits, floats, any number of channels.

What a file holds is brought to the form that a run asked for: so many channels, of 8 or 16 bits,
where the ends of a range of values become 0 and the largest number. Pixels of 8 bits keep their
values whatever the range: it is of the others.
"""

import dataclasses
import io
import math

import numpy as np
from PIL import Image

from contrastive_jax import errors, plural, reading
from contrastive_jax.data import Refused, Unreadable, images, shrinking, tiff_pages, white_is_zero

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's convert("L")
_NPY, _TIFF = b"\x93NUMPY", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BITS_PER_SAMPLE, _SAMPLES_PER_PIXEL = 258, 277  # tags of TIFF 6.0, section 8
_SAMPLE_FORMAT, _COMPRESSION, _ORIENTATION = 339, 259, 274
_EXTRA_SAMPLES, _PLANAR_CONFIGURATION = 338, 284
_PREMULTIPLIED, _ALPHA = 1, 2  # of ExtraSamples
_IN_PLANES = 2  # of PlanarConfiguration
_WHITE_IS_ZERO = 0  # of PhotometricInterpretation
_UNPACKED = (1, 8, 32773, 32946, 34925)  # none, Deflate, PackBits, LZMA: tifffile does by itself
_EXTRA = "install the extra scans: pip install -e '.[scans]'"


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
    raise Refused(f"{name}: Pillow reads no such TIFF, others may: {_EXTRA}") from error


def is_tiff(encoded: bytes) -> bool:
  """Returns whether bytes begin as a TIFF does."""
  return encoded.startswith(_TIFF)


def is_npy(encoded: bytes) -> bool:
  """Returns whether bytes begin as an array in a .npy file does."""
  return encoded.startswith(_NPY)


def is_misread_in_planes(image: Image.Image) -> bool:
  """Returns whether Pillow 13 mixes the planes of a TIFF up: findings/pillow_tiff_in_planes.sh."""
  tags = image.tag_v2
  if tags.get(_PLANAR_CONFIGURATION) != _IN_PLANES:
    return False
  samples, bits = tags.get(_SAMPLES_PER_PIXEL, 1), max(tags.get(_BITS_PER_SAMPLE, (1,)))
  return samples == 2 or samples > 2 and bits > 8 and tags.get(_COMPRESSION, 1) == 1


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
  if is_npy(encoded):
    return _of_npy(encoded, name, max_megapixels)
  try:
    with images.open_header(encoded) as image:
      simple = not encoded.startswith(_TIFF) or _is_simple(image, form)
      if simple and image.format == "TIFF":
        tiff_pages.check(image, encoded, name, form.channels)
      if simple and image.mode in (*images.SIXTEEN_BITS, "F"):
        images.limit_pixels(image, name, max_megapixels)
        return _of_pillow(image)[..., None]
      if simple and form.channels == 4 and image.mode in ("RGBA", "CMYK"):
        images.limit_pixels(image, name, max_megapixels)
        return _of_pillow(image)
  except Image.UnidentifiedImageError:
    simple = not encoded.startswith(_TIFF)
    if simple:
      raise
  if simple:
    return images.decode(encoded, name, max_megapixels, None if form == NATIVE else size_px)
  return _of_tiff(encoded, name, max_megapixels, form)


def _of_pillow(image: Image.Image) -> np.ndarray:
  image.load()  # turns a TIFF, and finds what a PNG says at its end
  return _turned(images.array(image), image.getexif().get(_ORIENTATION, 1))


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
  """Returns pixels [h, w, ...] as they are to be seen (TIFF 6.0, section 8, Orientation)."""
  pixels = pixels.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else pixels
  pixels = pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels
  return pixels[::-1] if orientation in (3, 4, 7, 8) else pixels


def _is_simple(image: Image.Image, form: Form) -> bool:
  """Returns whether Pillow reads all that a TIFF holds, to the last bit."""
  samples = image.tag_v2.get(_SAMPLES_PER_PIXEL, 1)
  bits = max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,)))
  if samples == 1 and tiff_pages.are_read(image, form.channels):
    return False
  if samples == 1:
    return _reads_rightly(image, bits)
  if bits > 8 or max(image.tag_v2.get(_SAMPLE_FORMAT, (1,))) != 1:
    return False
  if samples == 2:  # grey and how far it covers what lies below
    alpha = image.tag_v2.get(_EXTRA_SAMPLES, (0,))[0] in (_PREMULTIPLIED, _ALPHA)
    in_planes = image.tag_v2.get(_PLANAR_CONFIGURATION) == _IN_PLANES
    return alpha and not in_planes and form.channels in (0, 1, 3)
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


def _of_npy(encoded: bytes, name: str, max_megapixels: int) -> np.ndarray:
  file = io.BytesIO(encoded)
  version = np.lib.format.read_magic(file)
  read = {(1, 0): np.lib.format.read_array_header_1_0}
  shape, _, dtype = read.get(version, np.lib.format.read_array_header_2_0)(file)
  if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(encoded) - file.tell():
    raise ValueError(f"it claims {list(shape)} {dtype} and holds {len(encoded):,} bytes")
  _check_shape(shape, name, max_megapixels)
  file.seek(0)
  found = np.load(file, allow_pickle=False)
  return _numbers(found[..., None] if found.ndim == 2 else found)


def _of_tiff(encoded: bytes, name: str, max_megapixels: int, form: Form) -> np.ndarray:
  try:
    import tifffile
  except ModuleNotFoundError as error:
    raise errors.UserError(
      f"{name} is a TIFF of more than Pillow reads (several channels of 16 bits, another number "
      f"of them than 1, 3 and 4, or other numbers), which needs the package tifffile; {_EXTRA}"
    ) from error
  with tifffile.TiffFile(io.BytesIO(encoded)) as file:
    series = file.series[0]
    axes, shape = series.axes, series.shape
    if "Y" not in axes or "X" not in axes or len(axes) > 3:
      raise ValueError(f"axes {axes} {list(shape)} are not height, width and channels")
    height, width = shape[axes.index("Y")], shape[axes.index("X")]
    _check_shape((height, width), name, max_megapixels)
    _check_unpacked(series.keyframe.compression, name)
    found, page = series.asarray(), series.keyframe
    tag = page.tags.get(_ORIENTATION)
  order = [axes.index("Y"), axes.index("X")]
  pages = [i for i, axis in enumerate(axes) if axis not in "YX"]
  of_pages = pages and page.samplesperpixel == 1 and shape[pages[0]] != form.channels
  are_rows = of_pages and axes.endswith("YX") and tiff_pages.are_rows(width, form.channels)
  order = pages + order if are_rows else order + pages
  found = _turned(found.transpose(order), 1 if tag is None else int(tag.value))
  found = _numbers(found[..., None] if found.ndim == 2 else found)
  if page.photometric == _WHITE_IS_ZERO:  # of several samples the first is the shade
    shades = found if page.samplesperpixel == 1 else found[..., :1]
    turned = white_is_zero.turned_round(shades, page.bitspersample)
    found = np.concatenate([turned, found[..., turned.shape[-1] :]], -1)
  if form.channels in (1, 3) and found.shape[-1] in (2, 4):
    return _over_white(found, page.extrasamples[-1:], form)
  return found


def _over_white(pixels: np.ndarray, extra: tuple[int, ...], form: Form) -> np.ndarray:
  """Returns pixels [h, w, c] laid over white by the last of their samples, if that is alpha."""
  if extra not in ((_PREMULTIPLIED,), (_ALPHA,)) or pixels.dtype.kind != "u":
    return pixels
  most = np.iinfo(pixels.dtype).max
  white = most if pixels.dtype == np.uint8 or not form.value_range else form.value_range[1]
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
      f"{name} is a TIFF of compression {packed}, which needs the package imagecodecs; {_EXTRA}"
    ) from error


def _check_shape(shape: tuple[int, ...], name: str, max_megapixels: int) -> None:
  if len(shape) not in (2, 3) or min(shape) < 1:
    raise ValueError(f"an array {list(shape)} is no image [h, w] or [h, w, channels]")
  if shape[0] * shape[1] > max_megapixels * 10**6:
    raise Refused(
      f"{name}: {shape[1]} x {shape[0]} = {shape[0] * shape[1] / 1e6:.0f} megapixels are above "
      f"max_megapixels {max_megapixels}; make it smaller, or raise that of the data source"
    )


def _numbers(pixels: np.ndarray) -> np.ndarray:
  if pixels.dtype.kind not in "biuf":
    raise ValueError(f"values of type {pixels.dtype} are no pixels")
  return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
