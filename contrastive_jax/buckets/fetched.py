"""A committed checkpoint, read from a bucket into a folder of this host: files, or their blocks."""

import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from contrastive_jax import errors
from contrastive_jax.buckets import steps
from contrastive_jax.buckets.objects import Objects, at_once, described

MANIFEST = "manifest.json"  # of a checkpoint: enough to know its score
_MOST_BYTES = 2**24  # asked for at once, unless one block is larger
_MOST_BETWEEN = 2**18  # bytes that nobody needs between two blocks: less than a request costs


class Block(NamedTuple):
  """A part of a file that has a digest of its own."""

  offset: int
  size: int
  digest: str


def fetch(
  objects: Objects,
  folder: pathlib.Path,
  step: int,
  items: Sequence[str] | None = None,
  *,
  all_there: bool = False,
) -> str | None:
  """Sees that the files of a checkpoint are in a folder of this host.

  Args:
    objects: of the run.
    folder: of the run, here.
    step: of the checkpoint.
    items: which of its folders and files, by their own names or by path; None: all.
    all_there: whether the bucket must have the others, too, in their length.

  Returns:
    What is wrong with it; None if what is here is what was committed.

  Raises:
    ReadFailed: it cannot be read for now.
    SaveFailed: there is no room for it here.
  """
  place, prefix = folder / steps.prefix(step), steps.prefix(step)
  try:
    files = steps.read(step, objects.get(steps.marker(step)))
  except FileNotFoundError:
    return "its marker is missing"
  except ValueError as error:
    return str(error)
  wanted = {n: f for n, f in files.items() if items is None or _is_of(n, items)}
  there = objects.listed(prefix)
  for name, (size, _) in (files if all_there else wanted).items():
    found = there.get(f"{prefix}/{name}")
    if found != size:
      said = "is missing" if found is None else f"has {found} bytes, {size} were written"
      return f"object {prefix}/{name} {said}"

  def read(name):
    path, expected = place / name, wanted[name]
    if path.is_file() and described(path) == expected:
      return True
    # Once more: what came over the network, or lies on this disk, may be what is damaged.
    return any(
      objects.download(f"{prefix}/{name}", path, expected[0]) == expected for _ in range(2)
    )

  with errors.saving(f"the local copy {place}"):
    place.mkdir(parents=True, exist_ok=True)
    for path in [p for p in place.rglob("*") if p.is_file()]:
      if path.relative_to(place).as_posix() not in files:
        path.unlink()
    try:
      right = at_once(read, list(wanted))
    except FileNotFoundError as error:
      return f"an object is missing ({error})"
  wrong = next((name for name, ok in zip(wanted, right, strict=True) if not ok), None)
  return None if wrong is None else f"object {prefix}/{wrong} does not match its digest"


def _is_of(name: str, items: Sequence[str]) -> bool:
  parts = name.split("/")
  return name in items or parts[0] in items or parts[-1] in items


def fetch_blocks(
  objects: Objects,
  folder: pathlib.Path,
  step: int,
  wanted: Mapping[str, tuple[int, Sequence[Block]]],
  digest_of: Callable[[bytes], str],
) -> None:
  """Sees that blocks of the files of a checkpoint are in a folder of this host.

  A file has its length there, and holes where nothing was asked for. What is there already, and
  right, is not read again; what comes and is not right, once more. Whoever reads a block compares
  it then: one that is still wrong is damaged.

  Args:
    objects: of the run.
    folder: of the run, here.
    step: of the checkpoint.
    wanted: bytes of each file, by path within the checkpoint, and which of its blocks.
    digest_of: what is compared with that of a block.

  Raises:
    ReadFailed: a block cannot be read for now.
    SaveFailed: there is no room for it here.
  """
  place = folder / steps.prefix(step)

  def get(run: tuple[str, list[Block]]) -> None:
    name, blocks = run
    start, end = blocks[0].offset, blocks[-1].offset + blocks[-1].size
    for _ in range(2):
      try:
        content = memoryview(objects.part(f"{steps.prefix(step)}/{name}", start, end))
      except FileNotFoundError:
        return
      descriptor = os.open(place / name, os.O_WRONLY)
      try:
        _write_at(descriptor, content, start)
      finally:
        os.close(descriptor)
      parts = ((b, content[b.offset - start : b.offset - start + b.size]) for b in blocks)
      if all(digest_of(part) == block.digest for block, part in parts):
        return

  with errors.saving(f"the local copy {place}"):
    runs = []
    for name, (size, blocks) in wanted.items():
      missing = _missing(place / name, size, sorted(set(blocks)), digest_of)
      runs += [(name, run) for run in _runs(missing)]
    at_once(get, runs)


def _missing(
  path: pathlib.Path, size: int, blocks: list[Block], digest_of: Callable[[bytes], str]
) -> list[Block]:
  """Returns the blocks that are not right in a file, which has its length from now on."""
  if path.is_file() and path.stat().st_size == size:
    with path.open("rb", buffering=0) as file:
      return [b for b in blocks if digest_of(os.pread(file.fileno(), b.size, b.offset)) != b.digest]
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open("wb") as file:
    file.truncate(size)
  return blocks


def _runs(blocks: list[Block]) -> list[list[Block]]:
  """Puts blocks that are near each other together, to be asked for at once."""
  found: list[list[Block]] = []
  for block in blocks:
    last = found[-1] if found else None
    if (
      last
      and block.offset + block.size - last[0].offset <= _MOST_BYTES
      and block.offset - last[-1].offset - last[-1].size <= _MOST_BETWEEN
    ):
      last.append(block)
    else:
      found.append([block])
  return found


def _write_at(descriptor: int, content: memoryview, offset: int) -> None:
  while len(content):
    count = os.pwrite(descriptor, content, offset)
    content, offset = content[count:], offset + count
