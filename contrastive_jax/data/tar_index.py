"""Where the samples of tar files lie, read from the headers of their members once and kept.

A tar file has no table of contents: to find a member is to read the header of each before it. What
is found of a file is kept in a folder until the file has another size or time, so that a second
start reads no header, and one that was interrupted goes on with the files that are missing.
"""

import concurrent.futures
import dataclasses
import functools
import hashlib
import io
import json
import logging
import math
import os
import pathlib
import tarfile
import time
from collections.abc import Iterator, Sequence

import numpy as np

from contrastive_jax import errors, plural, reading, slow
from contrastive_jax.data import folder, kept, text_labels
from contrastive_jax.data.identity import digest

_FORM = "tar index 2"
_AT_ONCE = 16  # files; the time is that of a disk or a network
_SAID_EVERY_S = 10.0
_MOST_LABEL_BYTES = 2**20
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


@dataclasses.dataclass(frozen=True)
class Asked:
  """What of a sample is read: suffix of the image ("": any), and of the label, see `webdataset`."""

  image: str
  label: str


@dataclasses.dataclass(frozen=True, eq=False)
class Index:
  """All samples of some files, in order; `place(i)` says where one lies."""

  files: tuple[str, ...]
  sizes: tuple[int, ...]  # bytes of each file
  starts: np.ndarray  # int64 [files + 1]: the first sample of each, and the end
  offsets: np.ndarray  # int64 [n]: of the image in its file
  lengths: np.ndarray  # int32 [n]: bytes of the image
  digest: str
  labels: np.ndarray | None  # [n], texts

  def place(self, sample: int) -> tuple[int, int, int]:
    """Returns number of the file, offset and length of an image."""
    file = int(np.searchsorted(self.starts, sample, side="right")) - 1
    return file, int(self.offsets[sample]), int(self.lengths[sample])


@dataclasses.dataclass
class _Part:
  """What is known of one file."""

  head: dict  # what the file is, and what was odd in it
  offsets: np.ndarray
  lengths: np.ndarray
  labels: np.ndarray


def of(files: Sequence[pathlib.Path], asked: Asked, kept_in: str = "") -> Index:
  """Returns the index of some files, each from where it is kept or from its headers.

  Args:
    files: tar files.
    asked: what of each sample.
    kept_in: folder for what is found; "": that of the user's cache.

  Raises:
    UserError: a file is compressed, damaged or cut short, or none holds an image.
  """
  parts = _parts(files, asked, kept_in)
  _tell(files, parts, asked.label)
  counts = [len(part.offsets) for part in parts]
  if not sum(counts):
    wanted = f"a member .{asked.image}" if asked.image else "an image"
    raise errors.UserError(
      f"no sample of {files[0]}{' and the others' if len(files) > 1 else ''} has {wanted}; members "
      f"are {', '.join(parts[0].head['first']) or 'none'}; set data.webdataset.image"
    )
  labels = np.concatenate([part.labels for part in parts])
  return Index(
    tuple(map(str, files)),
    tuple(part.head["bytes"] for part in parts),
    np.cumsum([0, *counts]),
    np.concatenate([part.offsets for part in parts]),
    np.concatenate([part.lengths for part in parts]),
    digest(part.head["digest"].encode() for part in parts),
    labels,
  )


def labels(files: Sequence[pathlib.Path], asked: Asked, kept_in: str = "") -> text_labels.Found:
  """Returns the labels of some files, of which nothing else is told. Raises as `of`."""
  found = [part.labels for part in _parts(files, asked, kept_in)]
  different = np.unique(np.concatenate([np.unique(some) for some in found]))
  return text_labels.Found(different, sum(int(np.count_nonzero(some != b"")) for some in found))


def _parts(files: Sequence[pathlib.Path], asked: Asked, kept_in: str) -> list[_Part]:
  place = kept.folder(kept_in, "data.webdataset.index", "tar_indexes")
  parts, begun = [], time.monotonic()
  with concurrent.futures.ThreadPoolExecutor(_AT_ONCE, "index") as threads:
    found = threads.map(functools.partial(_of_one, asked=asked, place=place), files)
    try:
      for part in found:
        parts.append(part)
        if time.monotonic() - begun > _SAID_EVERY_S:
          begun = time.monotonic()
          _log().info("index of tar files: %d of %d are read", len(parts), len(files))
    except BaseException:
      threads.shutdown(cancel_futures=True)
      raise
  return parts


def _tell(files: Sequence[pathlib.Path], parts: Sequence[_Part], label: str) -> None:
  """Says what is odd about samples: several images in one, none at all, labels in some or none."""
  for what, key, end in (
    (
      "more than one image",
      "several",
      "a key ends at the first dot of a name, so that these files are one sample: the first image "
      "is taken; data.webdataset.image names another",
    ),
    ("no image", "without", "left out"),
  ):
    count = sum(part.head[key][0] for part in parts)
    if count:
      file, first = next(
        (f, p.head[key][1]) for f, p in zip(files, parts, strict=True) if p.head[key][0]
      )
      said = plural.of(count, "sample holds", "samples hold")
      _log().warning("warning: %s %s, the first in %s: %s; %s", said, what, file, first, end)
  links = [link for part in parts for link in part.head.get("links", ())]  # older: not known
  if links:
    _log().warning(
      "warning: left out are members that are links to others, such as %s in %s: pack what they "
      "stand for (tar --dereference --hard-dereference)",
      *(links[0], next(f for f, p in zip(files, parts, strict=True) if p.head.get("links"))),
    )
  unlabelled = sum(int((part.labels == b"").sum()) for part in parts)
  if 0 < unlabelled < sum(len(part.labels) for part in parts):
    said = plural.of(unlabelled, "sample has", "samples have")
    _log().warning("warning: %s no label beside others that have one", said)
  elif unlabelled and label != "none":
    see = "see data.webdataset.label"
    # An index from before does not say in which folders its samples lie.
    folders = list(dict.fromkeys(f for part in parts for f in part.head.get("folders", ())))[:2]
    if label == "auto" and len(folders) > 1:
      see = (
        f"{' and '.join(folders)} are folders: data.webdataset.label=folder takes such as classes"
      )
    quiet = label == "auto" and len(folders) < 2
    _log().log(
      logging.INFO if quiet else logging.WARNING,
      "%sno sample has a label %s: images are taken without labels; members are %s; %s",
      *("" if quiet else "warning: ", "cls" if label == "auto" else label),
      *(", ".join(parts[0].head["first"]), see),
    )


def _of_one(path: pathlib.Path, asked: Asked, place: pathlib.Path) -> _Part:
  """Returns what is kept of a file if it is still so, else what its headers say, which is kept."""

  def looked_up():
    with slow.named(str(path)):
      head = {"form": _FORM, "image": asked.image, "label": asked.label} | kept.facts_of(path)
      file = place / f"{kept.name_of(head)}.tar-index"
      if found := kept.load(file, 3):
        return _Part(found[0], *found[1]), None
      return _read(path, asked, head), file

  part, file = reading.patiently(str(path), looked_up)
  if file:
    try:
      kept.save(file, part.head, (part.offsets, part.lengths, part.labels))
    except (errors.SaveFailed, errors.UserError) as error:
      _log().warning(
        "warning: the index of %s is not kept (%s): the next start reads all headers again; set "
        "data.webdataset.index to a folder that can be written",
        *(path, " ".join(str(error).split())),
      )
  return part


def _read(path: pathlib.Path, asked: Asked, head: dict) -> _Part:
  """Reads all headers of a file, and the labels."""
  rows, names, first, folders = [], hashlib.sha256(), [], []
  odd, links = {"several": [0, ""], "without": [0, ""]}, []
  try:
    with open(path, "rb") as labels_of:
      for key, members in _samples(path, links):
        first = first or [f".{member.suffix}" for member in members]
        above = key.rpartition("/")[0]
        if above and len(folders) < 2 and above not in folders:
          folders.append(above)
        found = [m for m in members if _is_image(m.suffix, asked.image)]
        several = len(found) > 1
        if several or not found:
          said = ", ".join(m.suffix for m in (found or members))
          count, example = odd["several" if several else "without"]
          odd["several" if several else "without"] = [count + 1, example or f"{key!r} ({said})"]
        if found:
          if found[0].sparse or found[0].size >= 2**31:
            raise tarfile.TarError(f"{key}.{found[0].suffix} is a sparse file or has 2 GB and more")
          label = _label(labels_of, key, members, asked.label)
          rows.append((found[0].offset, found[0].size, label))
          names.update(
            f"{key}\0{found[0].suffix}\0{found[0].size}\0".encode(errors="surrogateescape")
          )
  except (tarfile.TarError, ValueError, EOFError) as error:
    raise errors.UserError(_damaged(path, error)) from error
  head |= odd | {"digest": names.hexdigest(), "first": first[:10]}
  head |= {"folders": folders, "links": links}
  offsets, lengths, labels = zip(*rows, strict=True) if rows else ((), (), ())
  return _Part(
    head,
    np.array(offsets, np.int64),
    np.array(lengths, np.int32),
    np.array(labels, np.bytes_) if labels else np.empty(0, "S1"),
  )


def _damaged(path: pathlib.Path, error: Exception) -> str:
  with open(path, "rb") as file:
    begin = file.read(8)
  packed = next((name for magic, name in _PACKED.items() if begin.startswith(magic)), None)
  if packed:
    return (
      f"{path} is compressed ({packed}), which cannot be read at random; unpack it to a "
      "plain .tar (the images in it are compressed already)"
    )
  return (
    f"{path} is no whole tar file ({' '.join(str(error).split())[:200]}); copy it again, or name "
    "other shards"
  )


@dataclasses.dataclass(frozen=True)
class _Member:
  suffix: str
  offset: int
  size: int
  sparse: bool


def _samples(path: pathlib.Path, links: list[str]) -> Iterator[tuple[str, list[_Member]]]:
  """Yields the key of each sample and its members; files that are no sample's are passed over.

  The first member that is a link, and left out, is put into `links`.

  Raises TarError: the file is damaged. tarfile itself takes a damaged header for the end.
  """
  last, members = "", []
  with tarfile.open(path, "r:", errorlevel=2) as tar:
    while (member := tar.next()) is not None:
      tar.members.clear()  # or it would remember all
      above, slash, name = member.name.rpartition("/")
      stem, dot, suffix = name.partition(".")
      if not (stem and dot) or stem.startswith("__"):
        continue
      if not member.isreg():
        links += [member.name] if not links and (member.islnk() or member.issym()) else []
        continue
      key = f"{above}{slash}{stem}"
      if key != last:
        if members:
          yield last, members
        last, members = key, []
      members.append(_Member(suffix, member.offset_data, member.size, member.issparse()))
    end = tar.offset
  if members:
    yield last, members
  with open(path, "rb") as file:
    file.seek(end)
    if file.read(512).strip(b"\0"):
      raise tarfile.ReadError(f"the header at byte {end} is damaged")


def _is_image(suffix: str, asked: str) -> bool:
  if asked:
    return suffix.lower() == asked.removeprefix(".").lower()
  return f".{suffix.rpartition('.')[2].lower()}" in folder.suffixes()


def _label(file: io.BufferedReader, key: str, members: list[_Member], asked: str) -> bytes:
  """Returns a label as it is written, b"" if there is none."""
  if asked == "none":
    return b""
  if asked == "folder":
    return os.fsencode(key.rpartition("/")[0])
  wanted, _, key = asked.partition(":") if asked != "auto" else ("cls", "", "")
  wanted = wanted.removeprefix(".").lower()
  member = next((m for m in members if m.suffix.lower() == wanted), None)
  if member is None:
    return b""
  if member.size > _MOST_LABEL_BYTES:
    raise ValueError(f"a label of {member.size:,} bytes")
  file.seek(member.offset)
  content = file.read(member.size)
  if wanted == "json" and asked[:1] != ".":
    found = json.loads(content)
    found = found.get(key) if isinstance(found, dict) else None
    content = _written(found).encode()
  return content.strip()


def _written(value: object) -> str:
  """Returns a value of JSON as a label is written; "" for none."""
  if value is None or isinstance(value, float) and math.isnan(value):
    return ""
  if isinstance(value, bool) or isinstance(value, float) and value.is_integer():
    return str(int(value))
  return str(value)


def _log() -> logging.Logger:
  return logging.getLogger(__name__)
