"""Images that are arrays: .npy files, and what must be true of any array that is an image."""

import io
import math

import numpy as np

from contrastive_jax.data import Refused

_NPY = b"\x93NUMPY"


def is_npy(encoded: bytes) -> bool:
  """Returns whether bytes begin as an array in a .npy file does."""
  return encoded.startswith(_NPY)


def read_npy(encoded: bytes, name: str, max_megapixels: int) -> np.ndarray:
  """Returns the numbers [h, w, c] of a .npy file.

  Raises:
    ValueError: it holds no image.
    Refused: it has more than so many megapixels.
  """
  file = io.BytesIO(encoded)
  version = np.lib.format.read_magic(file)
  read = {(1, 0): np.lib.format.read_array_header_1_0}
  shape, _, dtype = read.get(version, np.lib.format.read_array_header_2_0)(file)
  if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(encoded) - file.tell():
    raise ValueError(f"it claims {list(shape)} {dtype} and holds {len(encoded):,} bytes")
  check_shape(shape, name, max_megapixels)
  file.seek(0)
  found = np.load(file, allow_pickle=False)
  return numbers(found[..., None] if found.ndim == 2 else found)


def height_first(pixels: np.ndarray, channels: int) -> np.ndarray:
  """Returns pixels [h, w, c] of [c, h, w], as PyTorch has them, where c alone is asked for."""
  wanted = {1, 3} if channels in (1, 3) else {channels}
  is_first = pixels.shape[0] in wanted and pixels.shape[2] not in (*wanted, 1)
  return pixels.transpose(1, 2, 0) if is_first else pixels


def check_shape(shape: tuple[int, ...], name: str, max_megapixels: int) -> None:
  """Raises ValueError for the shape of no image, and Refused for too many pixels."""
  if len(shape) not in (2, 3) or min(shape) < 1:
    raise ValueError(f"an array {list(shape)} is no image [h, w] or [h, w, channels]")
  if shape[0] * shape[1] > max_megapixels * 10**6:
    raise Refused(
      f"{name}: {shape[1]} x {shape[0]} = {shape[0] * shape[1] / 1e6:.0f} megapixels are above "
      f"max_megapixels {max_megapixels}; make it smaller, or raise that of the data source"
    )


def numbers(pixels: np.ndarray) -> np.ndarray:
  """Returns pixels with the bytes in this machine's order. Raises ValueError: they are none."""
  if pixels.dtype.kind not in "biuf":
    raise ValueError(f"values of type {pixels.dtype} are no pixels")
  return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
