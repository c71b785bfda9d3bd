"""Images made smaller: by cykooz.resizer where it is installed (extra `fast`), or by Pillow.

Both lay the same cubic over the image (Keys 1981, a = -1/2), made wider by as much as the image
shrinks, so that nothing finer than the new pixels comes through. cykooz.resizer computes it with
the processor's vectors: 8-bit RGB in an eighth of the time, to within a level on photographs,
floats in half of it (docs/results/decoding.md).
"""

import functools
import importlib.metadata
from types import ModuleType

import numpy as np
from PIL import Image

_PACKAGE = "cykooz.resizer"


@functools.cache
def _cykooz() -> ModuleType | None:
  try:
    import cykooz_resizer
    from cykooz_resizer import Resizer  # noqa: F401  a thread may be given what another failed at
  except ImportError:
    return None
  return cykooz_resizer


def is_quick() -> bool:
  """Returns whether shrinking takes less time than decoding at a size close to the one wanted."""
  return _cykooz() is not None


def name() -> str:
  """Returns what shrinks images, and its version, if it is not Pillow; else ""."""
  return f"{_PACKAGE} {version(_PACKAGE)}" if is_quick() else ""


def version(package: str) -> str:
  """Returns the version of a package; "unknown" if it was copied here without what says so."""
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return "unknown"


def shrink(
  image: np.ndarray | Image.Image,
  size: tuple[int, int],
  box: tuple[float, float, float, float] | None = None,
  resampling: Image.Resampling = Image.Resampling.BICUBIC,
) -> np.ndarray:
  """Returns a part of an image at another size, [h, w, 3] or [h, w], of the same type.

  Args:
    image: uint8 [H, W, 3], float32 [H, W], or an image of Pillow's in RGB.
    size: w and h.
    box: left, top, right and bottom of the part, in pixels, also between them; None: all.
    resampling: the filter, if it is Pillow that shrinks.
  """
  library = _cykooz()
  if library is None:
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    return np.asarray(image.resize(size, resampling, box))
  width, height = image.size if isinstance(image, Image.Image) else image.shape[1::-1]
  left, top, right, bottom = box or (0, 0, width, height)
  options = library.ResizeOptions(
    library.ResizeAlg.convolution(library.FilterType.catmull_rom),
    use_alpha=False,
    crop_box=library.CropBox(left, top, right - left, bottom - top),
  )
  resizer = library.Resizer()  # a new one costs nothing, and nothing says that threads may share it
  if isinstance(image, Image.Image):  # where it stands: copies of 64 megapixels take 0.5 GiB
    shrunk = Image.new(image.mode, size)
    resizer.resize_pil(image, shrunk, options)
    return np.asarray(shrunk)
  channels = image.shape[2:]
  kind = library.PixelType.U8x3 if channels else library.PixelType.F32
  source = library.ImageData(width, height, kind, image.tobytes())
  found = library.ImageData(*size, kind)
  resizer.resize(source, found, options)
  return np.frombuffer(found.get_buffer(), image.dtype).reshape(size[1], size[0], *channels)
