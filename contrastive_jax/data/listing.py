"""The files of a folder, listed once: names in order, sizes and times, in a file that others map.

One process lists, which of 14 million files takes minutes, and keeps the list in the user's cache:
a workdir is not to be written before the run may have it, and it may be read by many runs. The
other processes of the run that see the cache take that list, if its digest is the one that they are
told; workers share its pages. The workdir gets a copy of its own when the run begins, from which a
later start says what has changed.
"""

import array
import bisect
import collections
import concurrent.futures
import dataclasses
import functools
import hashlib
import json
import logging
import os
import pathlib
import stat
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from contrastive_jax import errors
from contrastive_jax.data import splits

_KEPT_FROM = 100_000  # files; fewer are listed in a second or so, and by every process
_THREADS = 16  # that ask for sizes: over a network each answer takes a while
_PIECE = 256  # files that a thread asks for at a time
_ALIGN = 64  # bytes
_HEAD_BYTES = 4096
_NAMED = 3  # files of each kind, in a line of what has changed
_LINK = -1  # the size of a link: its own is that of a path

_made: set[str] = set()  # digests of what this process listed
_trusted: set[str] = set()  # of what another process of the run did


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

  @functools.cached_property
  def digest(self) -> str:
    """SHA-256 of names and sizes."""
    total = hashlib.sha256(np.ascontiguousarray(self.names).data)
    total.update(np.ascontiguousarray(self.sizes, "<i8").data)
    return total.hexdigest()


def of(root: pathlib.Path, suffixes: tuple[str, ...], kept_in: str = "") -> Listing:
  """Lists a folder, or takes the list that another process of the run has just made.

  Args:
    root: of the set.
    suffixes: of the files that belong to it, in lower case.
    kept_in: folder for long lists; "": that of the user's cache.
  """
  place = _place(root, kept_in)
  if _trusted and (known := load(place)) and known.digest in _trusted:
    return known
  found = scan(root, suffixes)
  _made.add(found.digest)
  if len(found) < _KEPT_FROM:
    return found
  try:
    place.parent.mkdir(parents=True, exist_ok=True)
    save(
      found, place, place.with_name(f"{place.name}.{os.getpid()}.tmp")
    )  # others may write it too
    return load(place) or found
  except OSError as error:
    logging.getLogger(__name__).warning(
      "warning: the list of %d files cannot be kept in %s (%s): every process makes it anew, and "
      "each worker holds it; set --config.data.folder.listings to a folder that all can write",
      *(len(found), place.parent, error.strerror),
    )
    return found


def made() -> list[str]:
  """Returns the digests of what this process has listed, for the others of its run."""
  return sorted(_made)


def trust(digests: list[str]) -> None:
  """Takes lists with these digests, where they are kept, in place of listing again."""
  _trusted.update(digests)


def _place(root: pathlib.Path, kept_in: str) -> pathlib.Path:
  cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
  folder = pathlib.Path(kept_in or os.path.join(cache, "contrastive_jax", "listings"))
  name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:20]
  return folder / f"{name}.files"


def scan(root: pathlib.Path, suffixes: tuple[str, ...], sizes: bool = True) -> Listing:
  """Lists all files below root whose names end so, links followed, nothing hidden.

  A warning tells of folders that may not be read, and `left_out` of other files. Without `sizes`
  these and times are 0.
  """
  names, starts = bytearray(), array.array("q", [0])
  bytes_of, times, nested = array.array("q"), array.array("q"), []
  others: collections.Counter[str] = collections.Counter()
  loose = 0
  with concurrent.futures.ThreadPoolExecutor(_THREADS, "list") as pool:
    for folder, files in _walk(os.fspath(root), "", suffixes, others):
      prefix = os.fsencode(folder) + b"/" if folder else b""
      loose += 0 if folder else len(files)
      parts = folder.split(os.sep)
      if len(parts) > 1 and splits.kind(parts[1]):
        nested.append(os.sep.join(parts[:2]))
      for entry in files:
        names += prefix + os.fsencode(entry.name) + b"\0"
        starts.append(len(names))
      pieces = [files[i : i + _PIECE] for i in range(0, len(files), _PIECE)] if sizes else []
      for found in pool.map(_measured, pieces) if len(pieces) > 1 else map(_measured, pieces):
        bytes_of.extend(found[0])
        times.extend(found[1])
  _tell_left_out(root, others)
  count = len(starts) - 1
  return Listing(
    np.frombuffer(memoryview(names)[: max(0, len(names) - 1)], np.uint8),
    np.frombuffer(starts, np.int64),
    np.frombuffer(bytes_of, np.int64) if sizes else np.zeros(count, np.int64),
    np.frombuffer(times, np.int64) if sizes else np.zeros(count, np.int64),
    loose,
    tuple(dict.fromkeys(nested)),
  )


def of_names(root: object, sizes: Mapping[str, int], suffixes: tuple[str, ...]) -> Listing:
  """Returns what `scan` would of files that are known by name: {relative path: bytes}."""
  others: collections.Counter[str] = collections.Counter()
  found, nested = [], []
  for name in sizes:
    *folders, file = name.split("/")
    if file.startswith(".") or not all(map(splits.belongs, folders)):
      continue
    if not file.lower().endswith(suffixes):
      others[os.path.splitext(file)[1].lower()] += 1
      continue
    found.append((os.fsencode(name), sizes[name]))
    if len(folders) > 1 and splits.kind(folders[1]):
      nested.append("/".join(folders[:2]))
  _tell_left_out(root, others)
  found.sort()
  starts = np.cumsum([0, *(len(name) + 1 for name, _ in found)], dtype=np.int64)
  return Listing(
    np.frombuffer(b"\0".join(name for name, _ in found), np.uint8),
    starts,
    np.array([size for _, size in found], np.int64),
    np.zeros(len(found), np.int64),
    sum(b"/" not in name for name, _ in found),
    tuple(dict.fromkeys(sorted(nested))),
  )


def _measured(entries: list[os.DirEntry]) -> tuple[list[int], list[int]]:
  found = [entry.stat(follow_symlinks=False) for entry in entries]
  sizes = [_LINK if stat.S_ISLNK(f.st_mode) else f.st_size for f in found]
  return sizes, [f.st_mtime_ns for f in found]


def _walk(
  root: str, folder: str, suffixes: tuple[str, ...], others: collections.Counter[str]
) -> Iterator[tuple[str, list[os.DirEntry]]]:
  """Yields (relative folder, some files in it), all paths in the order of their bytes.

  What lies below a folder "a" comes after "a-b" and before "a0": as if its name were "a/".
  """
  here = os.path.join(root, folder) if folder else root
  try:
    with os.scandir(here) as found:
      entries = sorted(
        ((os.fsencode(e.name) + b"/", e) if _is_folder(e) else (os.fsencode(e.name), e))
        for e in found
        if not e.name.startswith(".")
      )
  except PermissionError as error:  # not for us to see; what cannot be read is no empty one
    logging.getLogger(__name__).warning(
      "warning: folder %s is left out (%s)", error.filename, error.strerror
    )
    return
  files: list[os.DirEntry] = []
  for key, entry in entries:
    if not key.endswith(b"/"):
      if entry.name.lower().endswith(suffixes):
        files.append(entry)
      else:
        others[os.path.splitext(entry.name)[1].lower()] += 1
    elif splits.belongs(entry.name) and not _leads_back(here, entry.name):
      if files:
        yield folder, files
        files = []
      yield from _walk(root, os.path.join(folder, entry.name), suffixes, others)
  if files:
    yield folder, files


def _is_folder(entry: os.DirEntry) -> bool:
  try:
    return entry.is_dir()
  except OSError:
    return False


def _leads_back(folder: str, name: str) -> bool:
  """Whether a sub-folder is a link to a folder that it lies in: a walk would never end."""
  path = os.path.join(folder, name)
  if not os.path.islink(path):
    return False
  target = os.path.realpath(path)
  return pathlib.Path(os.path.realpath(folder)).is_relative_to(target)


# Lie beside images and are none: nothing is said of them.
_COMPANIONS = (
  *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".html", ".md", ".yaml", ".yml", ".py"),
  *(".db", ".ini", ".log"),
)


def _tell_left_out(root: object, others: collections.Counter[str]) -> None:
  kinds = [
    f"{n} {suffix or 'without a suffix'}"
    for suffix, n in others.most_common()
    if suffix not in _COMPANIONS
  ]
  if kinds:
    logging.getLogger(__name__).warning(
      "warning: left out under %s, for their names do not end as those of images: %s%s",
      root,
      ", ".join(kinds[:8]),
      ", ..." if len(kinds) > 8 else "",
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
    f"{counts[what]:,} files {what} ({', '.join(names)}{', ...' if counts[what] > _NAMED else ''})"
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
