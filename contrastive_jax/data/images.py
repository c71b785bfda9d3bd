"""From encoded bytes to RGB pixels, and from any size to one host canvas. JPEGs: see `jpeg`.

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
from PIL import ExifTags, Image, UnidentifiedImageError

from contrastive_jax import errors, reading, slow
from contrastive_jax.data import Refused, Unreadable, jpeg, shrinking, white_is_zero

# All that Pillow is asked for: pixels, read by itself. EPS would start Ghostscript.
FORMATS = (
  *("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "AVIF", "JPEG2000"),
  *("TGA", "QOI", "SGI", "PCX", "DDS"),
)
MAX_MEGAPIXELS = 64  # 8,000 x 8,000: more than cameras of full frame give
_BYTES_DECODING = 7  # a pixel: Pillow's 4 and the array's 3 (measured, docs/data.md)
_BYTES_IN_FILE = 8  # a pixel at most: four channels of 16 bits, not compressed
_STRIP_PIXELS = 2**20  # made RGB at a time
SIXTEEN_BITS = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_TURNS = {
  2: Image.Transpose.FLIP_LEFT_RIGHT,
  3: Image.Transpose.ROTATE_180,
  4: Image.Transpose.FLIP_TOP_BOTTOM,
  5: Image.Transpose.TRANSPOSE,
  6: Image.Transpose.ROTATE_270,
  7: Image.Transpose.TRANSVERSE,
  8: Image.Transpose.ROTATE_90,
}  # by the EXIF orientation, see Exif 2.32, section 4.6.4, A
_UNKNOWN_TO_PILLOW = b"MM\0+"  # 13 warns of corrupt EXIF data and gives up
WHITE_IS_ZERO = "bits of numbers whose least is white"  # in `info`: they are to be turned round
_pillows_limit = threading.Lock()


def read(
  path: str,
  root: str | os.PathLike | None = None,
  max_megapixels: int = MAX_MEGAPIXELS,
  size_px: int | None = None,
  form=None,
) -> np.ndarray:
  """Reads an image file and decodes it, see `decode`.

  Args:
    path: of the file.
    root: of the set that it belongs to; its own folder by default. Where nothing at all is there
      any more, nothing is known of the image.
    max_megapixels: see `decode`.
    size_px, form: likewise.

  Raises:
    Unreadable: the file is damaged, too large, not there, not for us to read, or no regular file:
      to open a FIFO is to wait for who writes to it.
    OSError: the system could not read it, which says nothing of the file.
  """
  return decode(read_bytes(path, root, max_megapixels), path, max_megapixels, size_px, form)


def read_bytes(
  path: str, root: str | os.PathLike | None = None, max_megapixels: int = MAX_MEGAPIXELS
) -> bytes:
  """Returns what an image file holds; arguments and errors are those of `read`."""
  try:
    with slow.named(path):
      _check_file(path, max_megapixels)
      with open(path, "rb") as file:  # whole: in a decoder's hands one error is like another
        return file.read()
  except OSError as error:
    root = os.path.dirname(path) if root is None else root
    gone = reading.is_missing(error, path) and not reading.is_away(root)
    if gone:  # unless the disk came back meanwhile
      gone = reading.is_missing(error, path)
    if gone or isinstance(error, PermissionError):
      raise Unreadable(f"{path}: {type(error).__name__}: {error}") from error
    error.filename = error.filename or path  # of a read that fails the system does not name it
    raise


def _check_file(path: str, max_megapixels: int) -> None:
  """Raises `Unreadable` for what is no regular file, or larger than any image of that size."""
  other = reading.no_regular_file(path)
  if other:
    raise Unreadable(f"{path}: it is {other}; only regular files are opened")
  size, limit = os.path.getsize(path), _BYTES_IN_FILE * max_megapixels * 10**6
  if size > limit:
    raise Refused(
      f"{path}: the file has {size / 1e6:,.0f} MB, more than an image of max_megapixels "
      f"{max_megapixels} has in any format ({limit / 1e6:,.0f} MB); make it smaller, or raise "
      "max_megapixels of the data source"
    )


def decode(
  encoded: bytes,
  name: str = "image",
  max_megapixels: int = MAX_MEGAPIXELS,
  size_px: int | None = None,
  form=None,
) -> np.ndarray:
  """Decodes an image in one of `FORMATS` to uint8 [h, w, 3], or to another form.

  The EXIF orientation is applied. Palettes and grey become RGB, 16-bit grey keeps its upper 8 bits,
  and transparent pixels are laid over white (what lies under them is arbitrary).

  Args:
    encoded: the content of a file.
    name: how an error calls the image.
    max_megapixels: of an image that is decoded. A JPEG of more is decoded at a half, a quarter or
      an eighth of its sides, unless it is progressive: that takes the memory of all its pixels.
    size_px: side of a square that it is shrunk to fit in, as by `place`; of a JPEG no more is
      decoded than that takes. None: it keeps its size.
    form: a `pixels.Form`; None: that of 8-bit RGB.

  Raises:
    Unreadable: it has too many pixels, or whatever Pillow raises (damaged files make it raise
      almost anything).
    OSError, MemoryError: the system could not, see `reading.may_pass`.
  """
  if form is not None and not form.plain:
    from contrastive_jax.data import pixels  # which decodes most by what is here

    return pixels.decode(encoded, name, max_megapixels, size_px, form)
  try:
    with open_header(encoded) as opened:
      if opened.format == "TIFF":
        from contrastive_jax.data import pixels, tiff_pages, tiffs

        tiff_pages.check(opened, encoded, name, channels=3)
        if tiffs.is_misread_in_planes(opened):
          return pixels.other_tiff(encoded, name, max_megapixels, size_px)
      if opened.format not in jpeg.FORMATS:
        limit_pixels(opened, name, max_megapixels)
        opened.load()  # turns a TIFF, and finds what a PNG says at its end
      return _decode(encoded, opened, name, max_megapixels, size_px)
  except Unreadable:
    raise
  except Exception as error:
    if reading.may_pass(error):
      raise
    if isinstance(error, UnidentifiedImageError):
      from contrastive_jax.data import image_arrays, pixels, tiffs

      if tiffs.is_tiff(encoded):
        return pixels.other_tiff(encoded, name, max_megapixels, size_px)
      if image_arrays.is_npy(encoded):
        return pixels.decode(encoded, name, max_megapixels, size_px, pixels.RGB)
    raise unreadable(name, error) from error


def unreadable(name: str, error: Exception) -> Unreadable:
  """Returns what is said of an image that no decoder could make anything of."""
  if isinstance(error, UnidentifiedImageError):  # which names the object that held the bytes
    return Unreadable(f"{name}: it is no image of a format that is read")
  return Unreadable(f"{name}: {type(error).__name__}: {error}")


def is_image(encoded: bytes) -> bool:
  """Returns whether bytes begin as an image in one of `FORMATS` does."""
  try:
    with open_header(encoded):
      return True
  except Exception:  # damaged files make Pillow raise almost anything
    return False


def _decode(encoded, opened, name, max_megapixels, size_px) -> np.ndarray:
  whole, size = opened.size, fitted(opened.size, size_px)
  box, turn = (0, 0, *whole), _TURNS.get(opened.getexif().get(ExifTags.Base.Orientation))
  pixels = None
  if opened.format in jpeg.FORMATS:
    least = limit_pixels(opened, name, max_megapixels)
    if least is None and (found := jpeg.decode(encoded, opened, size)):
      pixels, box = found
    else:
      box = jpeg.draft(opened, size if least is None else tuple(map(min, size, least)))
      if opened.size[0] < size[0] or opened.size[1] < size[1]:  # there may be no more pixels
        size, box = opened.size, (0, 0, *opened.size)
  if box != (0, 0, *size):
    decoded = _whole_rgb(opened) if pixels is None else pixels
    pixels = shrinking.shrink(decoded, size, box, jpeg.filter_after(box, whole, size))
  if turn is not None:
    turned = (opened if pixels is None else Image.fromarray(pixels)).transpose(turn)
    return _pixels(turned)
  return _pixels(opened) if pixels is None else pixels


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


def open_header(encoded: bytes) -> Image.Image:
  """Returns an image whose header alone has been read, of any size: its pixels are limited here.

  Its `info` has `WHITE_IS_ZERO` where Pillow would give numbers the wrong way round.
  """
  if encoded.startswith(_UNKNOWN_TO_PILLOW):
    raise UnidentifiedImageError("a BigTIFF that begins with the high byte")
  encoded, turned = white_is_zero.as_black(encoded)
  with _pillows_limit:  # it warns at a number of pixels of its own, and refuses twice as many
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
      image = Image.open(io.BytesIO(encoded), formats=formats())
    finally:
      Image.MAX_IMAGE_PIXELS = before
  if turned:
    image.info[WHITE_IS_ZERO] = turned
  return image


def array(image: Image.Image) -> np.ndarray:
  """Returns the numbers of an image as they are in its file, the least of which is black."""
  bits = image.info.get(WHITE_IS_ZERO)
  return white_is_zero.turned_round(np.asarray(image), bits) if bits else np.asarray(image)


def limit_pixels(opened: Image.Image, name: str, max_megapixels: int) -> jpeg.Size | None:
  """Returns at what size a large JPEG may be decoded; None: at its own.

  Raises `Unreadable` if there are too many pixels.
  """
  (width, height), most = opened.size, max_megapixels * 10**6
  if width * height <= most:
    return None
  if opened.format in jpeg.FORMATS and not opened.info.get("progressive"):
    for part in (2, 4, 8):  # what the discrete cosine transform gives for less
      if -(-width // part) * -(-height // part) <= most:
        return width // part, height // part
  pixels = width * height
  raise Refused(
    f"{name}: {width} x {height} = {pixels / 1e6:.0f} megapixels are above max_megapixels "
    f"{max_megapixels}, and decoding them takes {_BYTES_DECODING * pixels / 1e9:.1f} GB in each "
    "thread that does; make it smaller, or raise max_megapixels of the data source"
  )


def of_pillow(image: Image.Image) -> np.ndarray:
  """Returns uint8 [h, w, 3] of an open image, as `decode` does of a file; it is not turned."""
  return _pixels(image)


def _whole_rgb(image: Image.Image) -> Image.Image:
  small = image.size[0] * image.size[1] <= _STRIP_PIXELS
  return _rgb(image) if small or _is_rgb(image) else Image.fromarray(_pixels(image))


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


def _is_rgb(image: Image.Image) -> bool:
  return image.mode == "RGB" and "transparency" not in image.info  # of a PNG: a colour


def _rgb(image: Image.Image) -> Image.Image:
  if _is_rgb(image):
    return image
  if image.mode in SIXTEEN_BITS:  # convert("RGB") would clip at 255
    grey = array(image)
    if grey.min() < 0 or grey.max() > 0xFFFF:
      raise ValueError(f"grey values {grey.min()}..{grey.max()} are outside 0..65535")
    return Image.fromarray((grey >> 8).astype(np.uint8)).convert("RGB")
  if image.mode == "F":
    raise ValueError("float pixels have no known range; set data.value_range")
  if image.mode == "La":  # grey that is multiplied by alpha, which has no way to RGBA
    image = image.convert("LA")
  if image.has_transparency_data:
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
  return image.convert("RGB")


def fitted(size: jpeg.Size, size_px: int | None) -> jpeg.Size:
  """Returns width and height of an image shrunk until its longer side is `size_px`.

  Its aspect is kept to the nearest pixel. One that fits, or any for None, keeps its size.
  """
  longer = max(size)
  if size_px is None or longer <= size_px:
    return size
  width, height = (max(1, round(side * size_px / longer)) for side in size)
  return width, height


def place(image: np.ndarray, canvas: np.ndarray) -> tuple[int, int]:
  """Writes an image into the top-left corner of a canvas of zeros; returns its extent (h, w) there.

  An image whose longer side exceeds the canvas is shrunk until that side fits, see `fitted` and
  `shrinking`. Smaller images are not enlarged.

  Args:
    image: uint8 or uint16 [h, w, C].
    canvas: [S, S, C] of zeros, of the same type; written in place.
  """
  image = shrunk(image, len(canvas))
  height, width = image.shape[:2]
  canvas[:height, :width] = image
  return height, width


def shrunk(image: np.ndarray, size_px: int) -> np.ndarray:
  """Returns an image, uint8 or uint16 [h, w, C], shrunk to fit in a square, as `place` does."""
  height, width = image.shape[:2]
  size = fitted((width, height), size_px)
  if size == (width, height):
    return image
  if image.dtype != np.uint8 or image.shape[2] != 3:
    from contrastive_jax.data import pixels

    return pixels.shrunk(image, size)
  return shrinking.shrink(image, size)
