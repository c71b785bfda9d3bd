"""Images and labels in idx files, as of MNIST, Fashion-MNIST, KMNIST and EMNIST; also packed (.gz).

A file begins with two zeros, the type of its numbers and the count of its dimensions, then the size
of each in four bytes, the high one first, then the numbers (the page of MNIST's files).
"""

import gzip
import math
import pathlib
import re
import struct
import zlib

import numpy as np

from contrastive_jax import errors

# train-images-idx3-ubyte, t10k-images.idx3-ubyte.gz, emnist-letters-test-images-idx3-ubyte
NAME = re.compile(r"(.*?)(train|t10k|test)-images[-.]idx3-ubyte(\.gz)?", re.IGNORECASE)
SUFFIXES = ("images-idx3-ubyte", "images.idx3-ubyte")  # in small letters, of the unpacked
_UBYTE = 8
_LARGEST = 2**34  # bytes
_AGAIN = "copy the file again"


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Returns `images` uint8 [n, h, w] and, if their file is beside it, `labels` int64 [n].

  Raises:
    UserError: a file is damaged, holds no bytes, or has no label for each image.
  """
  images = _array(path, dimensions=3)
  name = re.sub("images([-.])idx3", r"labels\1idx1", path.name, flags=re.IGNORECASE)
  bare = name.removesuffix(".gz")
  places = map(path.with_name, (name, bare, f"{bare}.gz"))
  beside = next((place for place in places if place.is_file()), None)
  if beside is None:
    raise errors.UserError(
      f"there is no {path.with_name(name)}, which has the labels of {path.name}; copy it there, or "
      "save the images alone by numpy.savez(path, images=...)"
    )
  labels = _array(beside, dimensions=1)
  if len(labels) != len(images):
    raise errors.UserError(
      f"{path} holds {len(images):,} images, and {beside} {len(labels):,} labels; copy both again"
    )
  return {"images": images, "labels": labels.astype(np.int64)}


def _array(path: pathlib.Path, dimensions: int) -> np.ndarray:
  packed = path.name.lower().endswith(".gz")
  try:
    with (gzip.open if packed else open)(path, "rb") as file:
      zeros, kind, count = struct.unpack(">HBB", file.read(4))
      if (zeros, kind, count) != (0, _UBYTE, dimensions):
        raise ValueError(f"it begins with {zeros}, {kind}, {count}, not 0, {_UBYTE}, {dimensions}")
      shape = struct.unpack(f">{count}I", file.read(4 * count))
      size = math.prod(shape)
      if not 0 < size <= _LARGEST:
        raise ValueError(f"it claims {list(shape)} numbers")
      content = _exactly(file, size)
  except (EOFError, ValueError, struct.error, gzip.BadGzipFile, zlib.error) as error:
    raise errors.UserError(f"{path} is no idx file of bytes ({error}); {_AGAIN}") from error
  return np.frombuffer(content, np.uint8).reshape(shape)


def _exactly(file, size: int) -> bytearray:
  """Returns so many bytes, read in pieces: no more memory is taken than there is. Or ValueError."""
  content = bytearray()
  while piece := file.read(min(2**24, size + 1 - len(content))):
    content += piece
  if len(content) != size:
    more = "more" if len(content) > size else f"{len(content):,}"
    raise ValueError(f"it claims {size:,} bytes and holds {more}")
  return content
