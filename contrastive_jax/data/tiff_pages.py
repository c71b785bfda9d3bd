"""TIFFs of several pages: each page a channel, or a row of pixels, or the first is the image.

tifffile writes an array [24, 24, 5] as 24 pages of 24 x 5 pixels, unless it is told that the last
axis is that of channels.
"""

import contextlib
import contextvars
from collections.abc import Iterator

from PIL import Image

from contrastive_jax.data import Refused, images

_SAMPLES_PER_PIXEL = 277  # a tag of TIFF 6.0, section 8
_GREY_OR_RGB = (1, 3)  # what is made of the first page alone
_MOST_CHANNELS = 64  # as of an option

# Where it is noted that pages are left out; None: nobody wants to know, and none are counted.
_left_out: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("left", default=None)


def are_read(image: Image.Image, channels: int) -> bool:
  """Returns whether all pages of a TIFF with one sample a pixel make one image of many channels.

  Args:
    image: an open TIFF.
    channels: that are asked for; 0: as the file has them.
  """
  pages = getattr(image, "n_frames", 1)
  return pages > 1 and (channels in (0, pages) or are_rows(image.size[0], channels))


def are_rows(width: int, channels: int) -> bool:
  """Returns whether pages so wide hold a row of pixels each, the channels side by side."""
  return channels not in (0, *_GREY_OR_RGB) and width == channels


def check(image: Image.Image, encoded: bytes, name: str, channels: int) -> None:
  """Raises `Refused` for pages of one channel that are no image of so many; notes those left out.

  Args:
    image: an open TIFF, of which the first page is to be read.
    encoded: its bytes.
    name: how a message calls it.
    channels: that are asked for; 0: as the file has them.
  """
  grey = image.tag_v2.get(_SAMPLES_PER_PIXEL, 1) == 1
  is_refused = grey and channels not in (0, *_GREY_OR_RGB)
  found = _left_out.get()
  if not is_refused and found is None:
    return
  pages, (width, height) = getattr(image, "n_frames", 1), image.size
  if pages == 1:
    return
  sides = f"{pages:,} pages of {width} x {height}"
  how = "save what else is an image as a file of its own"
  are_many = width not in _GREY_OR_RGB and width <= _MOST_CHANNELS
  if grey and width < min(pages, height) and are_many:
    how = (
      f"if it is an array {[pages, height, width]} of {width} channels set --config.data.channels="
      f"{width}, or write it with photometric='minisblack', planarconfig='contig'"
    )
  elif grey and pages <= _MOST_CHANNELS:
    how = f"if each is a channel set --config.data.channels={pages}"
    how += " --config.data.bits=16" if pages in _GREY_OR_RGB else ""  # 8 are read as a picture's
  if is_refused:
    raise Refused(f"{name}: it holds {sides} pixels, and data.channels is {channels}; {how}")
  if _is_second_alike(encoded, image.size):
    found.append(f"{name} holds {sides} pixels, of which the first alone is read: {how}")


@contextlib.contextmanager
def noted() -> Iterator[list[str]]:
  """Yields a list that is filled with what is left out of the images that are read meanwhile."""
  found: list[str] = []
  before = _left_out.set(found)
  try:
    yield found
  finally:
    _left_out.reset(before)


def _is_second_alike(encoded: bytes, size: tuple[int, int]) -> bool:
  """Returns whether the second page has the size of the first, and is no smaller form of it."""
  try:
    with images.open_header(encoded) as image:
      image.seek(1)
      return image.size == size
  except Exception:  # damaged files make Pillow raise almost anything
    return False
