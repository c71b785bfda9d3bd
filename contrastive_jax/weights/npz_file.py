"""Arrays in a .npz file, checked before they are unpacked: a small file can claim to be a disk."""

import io
import math
import zipfile

import numpy as np
from numpy.lib import format as npy

from contrastive_jax import errors, limits

_MOST_ARRAYS = 100_000


def parsed(content: bytes, file: str) -> dict[str, np.ndarray]:
  """Returns the arrays of a file.

  Args:
    content: of the file.
    file: as errors call it.

  Raises:
    UserError: it is no such file, a damaged one, holds objects, or more than this host's memory.
  """
  arrays = {}
  try:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
      members = archive.infolist()
      if len({member.filename for member in members}) != len(members):
        raise ValueError("a name is there twice")
      if len(members) > _MOST_ARRAYS:
        raise ValueError(f"it claims {len(members):,} arrays")
      limits.check_host({f"{file} unpacked": sum(m.file_size for m in members)}, "get it again")
      for member in members:
        if not member.filename.endswith(".npy"):
          raise ValueError(f"{member.filename[:100]} is no array")
        with archive.open(member) as stream:
          arrays[member.filename[:-4]] = _array(stream, member)
  except errors.UserError:
    raise
  except Exception as error:  # zipfile and NumPy raise many kinds for what is damaged
    said = " ".join(str(error).split())[:200] or type(error).__name__
    raise errors.UserError(
      f"{file} is no whole .npz file of arrays ({said}); get it again"
    ) from error
  return arrays


def _array(stream: io.BufferedIOBase, member: zipfile.ZipInfo) -> np.ndarray:
  version = npy.read_magic(stream)
  read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
  shape, in_columns, kind = read(stream)
  if kind.hasobject:
    raise ValueError(f"{member.filename[:100]} holds Python objects")
  size = math.prod(shape) * kind.itemsize
  if size > member.file_size:
    raise ValueError(f"{member.filename[:100]} claims {size:,} bytes")
  found = np.frombuffer(stream.read(size), kind, math.prod(shape))
  return found.reshape(shape, order="F" if in_columns else "C")
