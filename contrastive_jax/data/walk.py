"""Lists the image files of a folder: what is in it, and what is left out.

Links are followed, nothing hidden counts, and a folder that may not be read is told.
"""

import array
import collections
import concurrent.futures
import logging
import os
import pathlib
import stat
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from contrastive_jax import slow
from contrastive_jax.data import listing, splits
from contrastive_jax.data.listing import Listing

_THREADS = 16  # that ask for sizes: over a network each answer takes a while
_PIECE = 256  # files that a thread asks for at a time


def scan(
  root: pathlib.Path,
  suffixes: tuple[str, ...],
  sizes: bool = True,
  outside: frozenset[str] = splits.SYSTEM,
) -> Listing:
  """Lists all files below root whose names end so, links followed, nothing hidden.

  Folders of names `outside` do not belong to the set. A warning tells of folders that may not be
  read, of hidden ones with images, and how many other files are left out. Without `sizes` these and
  times are 0.
  """
  names, starts = bytearray(), array.array("q", [0])
  bytes_of, times, nested = array.array("q"), array.array("q"), []
  others: collections.Counter[str] = collections.Counter()
  hidden: list[str] = []
  loose = 0
  with concurrent.futures.ThreadPoolExecutor(_THREADS, "list") as pool:
    for folder, files in _walk(os.fspath(root), "", suffixes, others, hidden, outside):
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
  _tell_hidden(root, hidden)
  count = len(starts) - 1
  return Listing(
    np.frombuffer(memoryview(names)[: max(0, len(names) - 1)], np.uint8),
    np.frombuffer(starts, np.int64),
    np.frombuffer(bytes_of, np.int64) if sizes else np.zeros(count, np.int64),
    np.frombuffer(times, np.int64) if sizes else np.zeros(count, np.int64),
    loose,
    tuple(dict.fromkeys(nested)),
  )


def of_names(
  root: object,
  sizes: Mapping[str, int],
  suffixes: tuple[str, ...],
  outside: frozenset[str] = splits.SYSTEM,
) -> Listing:
  """Returns what `scan` would of files that are known by name: {relative path: bytes}."""
  others: collections.Counter[str] = collections.Counter()
  found, nested = [], []
  hidden: dict[str, None] = {}
  for name in sizes:
    *folders, file = name.split("/")
    if folders and splits.may_be_hidden_class(folders[-1]) and _is_image(file, suffixes):
      if all(splits.belongs(folder, outside) for folder in folders[:-1]):
        hidden["/".join(folders)] = None
    if file.startswith(".") or not all(splits.belongs(folder, outside) for folder in folders):
      continue
    if not file.lower().endswith(suffixes):
      others[os.path.splitext(file)[1].lower()] += 1
      continue
    found.append((os.fsencode(name), sizes[name], 0))
    if len(folders) > 1 and splits.kind(folders[1]):
      nested.append("/".join(folders[:2]))
  _tell_left_out(root, others)
  _tell_hidden(root, list(hidden))
  return listing.of(found, nested)


def holds_image(
  root: str | os.PathLike, suffixes: tuple[str, ...], outside: frozenset[str]
) -> bool:
  """Returns whether there is an image below root; looks no further than the first one."""
  here, below = os.fspath(root), []
  try:
    with slow.named(here), os.scandir(here) as found:
      for entry in found:
        if entry.name.startswith("."):
          continue
        if _is_folder(entry):
          below.append(entry.name)
        elif entry.name.lower().endswith(suffixes):
          return True
  except PermissionError:  # told when it is listed
    return False
  return any(
    holds_image(os.path.join(here, name), suffixes, outside)
    for name in below
    if splits.belongs(name, outside) and not _leads_back(here, name)
  )


def measured(root: pathlib.Path, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
  """Returns sizes and times of files that are known by name, int64 [n] each.

  A size is -1 of a link, and `listing.GONE` where there is no such file.
  """

  def look(start: int) -> list[tuple[int, int]]:
    return [_looked_at(os.path.join(root, name)) for name in names[start : start + _PIECE]]

  with concurrent.futures.ThreadPoolExecutor(_THREADS, "list") as pool:
    found = [each for piece in pool.map(look, range(0, len(names), _PIECE)) for each in piece]
  sizes, times = np.array(found, np.int64).reshape(-1, 2).T
  return sizes, times


def _looked_at(path: str) -> tuple[int, int]:
  try:
    found = os.lstat(path)
  except (FileNotFoundError, NotADirectoryError):
    return listing.GONE, 0
  return (listing.LINK if stat.S_ISLNK(found.st_mode) else found.st_size), found.st_mtime_ns


def _measured(entries: list[os.DirEntry]) -> tuple[list[int], list[int]]:
  found = [entry.stat(follow_symlinks=False) for entry in entries]
  sizes = [listing.LINK if stat.S_ISLNK(f.st_mode) else f.st_size for f in found]
  return sizes, [f.st_mtime_ns for f in found]


def _walk(
  root: str,
  folder: str,
  suffixes: tuple[str, ...],
  others: collections.Counter[str],
  hidden: list[str],
  outside: frozenset[str],
) -> Iterator[tuple[str, list[os.DirEntry]]]:
  """Yields (relative folder, some files in it), all paths in the order of their bytes.

  What lies below a folder "a" comes after "a-b" and before "a0": as if its name were "a/".
  """
  here = os.path.join(root, folder) if folder else root
  try:
    with slow.named(here), os.scandir(here) as found:
      there = list(found)
      entries = sorted(
        ((os.fsencode(e.name) + b"/", e) if _is_folder(e) else (os.fsencode(e.name), e))
        for e in there
        if not e.name.startswith(".")
      )
  except PermissionError as error:  # not for us to see; what cannot be read is no empty one
    logging.getLogger(__name__).warning(
      "warning: folder %s is left out (%s)", error.filename, error.strerror
    )
    return
  for entry in there:
    if splits.may_be_hidden_class(entry.name) and _is_folder(entry):
      if _has_image(entry.path, suffixes):
        hidden.append(os.path.join(folder, entry.name))
  files: list[os.DirEntry] = []
  for key, entry in entries:
    if not key.endswith(b"/"):
      if entry.name.lower().endswith(suffixes):
        files.append(entry)
      else:
        others[os.path.splitext(entry.name)[1].lower()] += 1
    elif splits.belongs(entry.name, outside) and not _leads_back(here, entry.name):
      if files:
        yield folder, files
        files = []
      yield from _walk(root, os.path.join(folder, entry.name), suffixes, others, hidden, outside)
  if files:
    yield folder, files


def _is_image(file: str, suffixes: tuple[str, ...]) -> bool:
  return not file.startswith(".") and file.lower().endswith(suffixes)


def _has_image(folder: str, suffixes: tuple[str, ...]) -> bool:
  """Returns whether an image lies directly in a folder, as those of a class do."""
  try:
    with slow.named(folder), os.scandir(folder) as found:
      return any(_is_image(entry.name, suffixes) for entry in found)
  except PermissionError:
    return False


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


def _tell_hidden(root: object, hidden: Sequence[str]) -> None:
  if hidden:
    names = ", ".join(sorted(hidden)[:8]) + (", ..." if len(hidden) > 8 else "")
    logging.getLogger(__name__).warning(
      "warning: left out under %s, for their names begin with a dot, though they hold images: %s; "
      "rename those that are classes",
      root,
      names,
    )
