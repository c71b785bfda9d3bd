"""The files of a folder as one list: names in order, sizes and times, in a file that others map."""

import bisect
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import xxhash

from contrastive_jax import errors, plural

_ALIGN = 64  # bytes
_HEAD_BYTES = 4096
_NAMED = 3  # files of each kind, in a line of what has changed
LINK = -1  # the size of a link: its own is that of a path
GONE = -2  # of a file that was asked for and is not there


@dataclasses.dataclass(frozen=True, eq=False)
class Listing(Sequence[str]):
  """Relative paths of files, in the order of their bytes; `listing[i]` is one of them."""

  names: np.ndarray  # uint8: the paths, a zero after each but the last
  starts: np.ndarray  # int64 [n + 1]: where each path begins
  sizes: np.ndarray  # int64 [n], bytes; -1: a link
  times: np.ndarray  # int64 [n], of the last change, ns
  loose: int  # files that lie in no sub-folder
  nested: tuple[str, ...]  # sub-folders of sub-folders that have the name of a split
  path: str = ""  # of the file that these arrays are mapped from; "": of none

  def __len__(self) -> int:
    return len(self.sizes)

  def __getitem__(self, index: int) -> str:
    if not -len(self) <= index < len(self):
      raise IndexError(index)
    return os.fsdecode(self.encoded(index % len(self)))

  def __contains__(self, path: object) -> bool:
    encoded = os.fsencode(path)
    index = bisect.bisect_left(range(len(self)), encoded, key=self.encoded)
    return index < len(self) and self.encoded(index) == encoded

  def __reduce__(self):
    if self.path:
      return _same, (self.path, self.digest)
    return Listing, tuple(getattr(self, f.name) for f in dataclasses.fields(self))

  def encoded(self, index: int) -> bytes:
    """Returns a path as the system has it."""
    return self.names[self.starts[index] : self.starts[index + 1] - 1].tobytes()

  def within(self, folder: str) -> range:
    """Returns the numbers of the files below a folder."""
    first = os.fsencode(folder) + b"/"
    ends = (first, first[:-1] + b"0")  # which is the byte after that of a slash
    return range(*(bisect.bisect_left(range(len(self)), e, key=self.encoded) for e in ends))

  def hashes(self, seed: int) -> np.ndarray:
    """Returns XXH3 of each path, uint64 [n]."""
    names, starts = self.names.tobytes(), self.starts.tolist()
    found = (
      xxhash.xxh3_64_intdigest(names[a : b - 1], seed)
      for a, b in zip(starts[:-1], starts[1:], strict=True)
    )
    return np.fromiter(found, np.uint64, len(self))

  def places(self, root: str, positions: np.ndarray) -> np.ndarray:
    """Returns XXH3 of some paths below a folder, uint64 [n], by their positions, int [n]."""
    begin = os.fsencode(root) + b"/"
    found = (xxhash.xxh3_64_intdigest(begin + self.encoded(i)) for i in positions.tolist())
    return np.fromiter(found, np.uint64, len(positions))

  @functools.cached_property
  def digest(self) -> str:
    """SHA-256 of names and sizes."""
    total = hashlib.sha256(np.ascontiguousarray(self.names).data)
    total.update(np.ascontiguousarray(self.sizes, "<i8").data)
    return total.hexdigest()


def of(files: Iterable[tuple[bytes, int, int]], nested: Iterable[str] = ()) -> Listing:
  """Returns a list of files in the order of their bytes.

  Args:
    files: relative path, size and time of each.
    nested: see `Listing`.
  """
  found = sorted(files)
  names, sizes, times = zip(*found, strict=True) if found else ((), (), ())
  return Listing(
    np.frombuffer(b"\0".join(names), np.uint8),
    np.cumsum([0, *(len(name) + 1 for name in names)], dtype=np.int64),
    np.array(sizes, np.int64),
    np.array(times, np.int64),
    sum(b"/" not in name for name in names),
    tuple(dict.fromkeys(sorted(nested))),
  )


def save(listing: Listing, path: pathlib.Path, temporary: pathlib.Path) -> None:
  """Writes a list to a file that `load` maps, whole or not at all. Raises OSError."""
  head = {"files": len(listing), "bytes": len(listing.names), "digest": listing.digest}
  head |= {"loose": listing.loose, "nested": listing.nested[:20]}
  try:
    with temporary.open("wb") as file:
      file.write(json.dumps(head).encode().ljust(_HEAD_BYTES))
      for values in (listing.names, listing.starts, listing.sizes, listing.times):
        file.write(np.ascontiguousarray(values).data)
        file.write(bytes(-file.tell() % _ALIGN))
      file.flush()
      os.fsync(file.fileno())
    temporary.replace(path)
  except BaseException:
    temporary.unlink(missing_ok=True)
    raise


def written_digest(path: pathlib.Path) -> str | None:
  """Returns the digest that stands in a list; None: there is none, or it is no list."""
  try:
    return _mapped(path)[1]
  except (OSError, ValueError, KeyError, TypeError):
    return None


def load(path: pathlib.Path) -> Listing | None:
  """Maps what `save` wrote; None: there is nothing, or not what was written."""
  try:
    found, digest = _mapped(path)
    return found if found.digest == digest else None
  except (OSError, ValueError, KeyError, TypeError):
    return None


def _mapped(path: pathlib.Path) -> tuple[Listing, str]:
  """Returns a list, and the digest that is written with it."""
  with open(path, "rb") as file:
    head = json.loads(file.read(_HEAD_BYTES))
  n, offset, arrays = head["files"], _HEAD_BYTES, []
  for dtype, count in ((np.uint8, head["bytes"]), *((np.int64, n + more) for more in (1, 0, 0))):
    empty = np.empty(0, dtype)
    arrays.append(np.memmap(path, dtype, "r", offset, (count,)) if count else empty)
    offset += -(-count * np.dtype(dtype).itemsize // _ALIGN) * _ALIGN
  return Listing(*arrays, head["loose"], tuple(head["nested"]), str(path)), head["digest"]


def _same(path: str, digest: str) -> Listing:
  """Maps a list in another process. Raises ReadFailed: it is another one by now."""
  try:
    found, written = _mapped(pathlib.Path(path))
  except (OSError, ValueError, KeyError, TypeError):
    written = ""
  if written != digest:
    raise errors.ReadFailed(
      f"the list of files {path} was replaced or removed by another process, perhaps a run on the "
      "same folder whose files have changed; the same command lists it anew"
    )
  return found


def differences(before: Listing, now: Listing) -> list[str]:
  """Returns what is other than before: files added, removed, of another size, the first by name."""
  if before.digest == now.digest:
    return []
  found: dict[str, list[str]] = {"added": [], "removed": [], "of another size": []}
  counts = dict.fromkeys(found, 0)
  for what, path in _merged(before, now):
    counts[what] += 1
    if counts[what] <= _NAMED:
      found[what].append(repr(os.fsdecode(path)))
  return [
    f"{plural.of(counts[what], 'file')} {what} "
    f"({', '.join(names)}{', ...' if counts[what] > _NAMED else ''})"
    for what, names in found.items()
    if names
  ]


def _merged(before: Listing, now: Listing) -> Iterator[tuple[str, bytes]]:
  """Yields what happened to each path that is not as it was; both lists are in order."""
  i = j = 0
  while i < len(before) and j < len(now):
    old, new = before.encoded(i), now.encoded(j)
    if old == new and before.sizes[i] != now.sizes[j]:
      yield "of another size", old
    elif old < new:
      yield "removed", old
    elif old > new:
      yield "added", new
    i, j = i + (old <= new), j + (old >= new)
  yield from (("removed", before.encoded(k)) for k in range(i, len(before)))
  yield from (("added", now.encoded(k)) for k in range(j, len(now)))
