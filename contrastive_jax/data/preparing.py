"""Copies a set into shards of records with shrunk images, see `prepared`: once, for many epochs.

Whoever starts again after a kill goes on with the shards that have no note, see `one_shard`. So do
several machines, each with its part of the shards; the last one finds all notes and finishes the
set.
"""

import dataclasses
import io
import itertools
import json
import logging
import pathlib
import time
from collections.abc import Iterable, Sequence

import numpy as np

from contrastive_jax import errors, places
from contrastive_jax.data import (
  Source,
  fitting,
  identity,
  jpeg,
  kept,
  pixel_range,
  pixels,
  prepared,
)
from contrastive_jax.data.one_shard import THEN, Kept, Shards, alone

_SAID_EVERY_S = 10.0


def prepare(
  source: Source,
  split: str,
  folder: pathlib.Path,
  how: Kept,
  *,
  part: int = 0,
  parts: int = 1,
  num_threads: int = 4,
  check: bool = False,
) -> bool:
  """Makes this part's shards of a split, those that are not there yet.

  Args:
    source: the images.
    split: names the files.
    folder: where they go.
    how: images are kept.
    part: of the shards: those whose number leaves this remainder
    parts: by this.
    num_threads: that decode and encode.
    check: whether shards that are there are read and compared with their digests.

  Returns:
    Whether the whole split is there.

  Raises:
    UserError: the folder holds another set under that name.
    SaveFailed: it cannot be written for now.
    ReadFailed: images cannot be read for now.
  """
  shards = begin(source, split, folder, how)
  own = range(part, shards.count, parts)
  with alone(shards.notes / f"{part}-of-{parts}.lock", f"part {part} of {parts}"):
    missing = [number for number in own if not shards.is_there(number, check)]
    if there := len(own) - len(missing):
      _log().info("%s: %d of %d shards of this part are there already", split, there, len(own))
    if missing:
      noted = (kept.load(shards.note(number), 1) for number in range(shards.count))
      _tell_of_decoders(split, [{"decoder": jpeg.decoder()}, *(n[0] for n in noted if n)])
    progress = Progress(split, sum(len(shards.positions(n)) for n in missing))
    for number in missing:
      shards.make(number, num_threads, check, progress.add)
  return finish(shards)


def begin(source: Source, split: str, folder: pathlib.Path, how: Kept) -> Shards:
  """Returns the shards to be made, after the folder says of what. Arguments: see `prepare`.

  Raises:
    UserError: the folder holds another set under that name, or a split that numbers classes
      differently, or pixels do not have 8 bits.
    SaveFailed: it cannot be written for now.
  """
  if pixel_range.of(source):
    raise errors.UserError(
      f"pixels of the split {split!r} do not have 8 bits, and prepared images do: shades would be "
      "lost; train on the source itself"
    )
  fitting.check(source, pixels.RGB)
  check_classes(folder, {split: source.label_names})
  shards = Shards(source, split, folder, how)
  with errors.saving(str(folder), THEN):
    shards.notes.mkdir(parents=True, exist_ok=True)
  _check_plan(folder, split, _plan(shards))
  return shards


def check_classes(folder: pathlib.Path, names: dict[str, Sequence[str]]) -> None:
  """Raises UserError if splits number their classes differently; one may know more of them.

  Args:
    folder: where splits are perhaps that were made before.
    names: of the classes of each split that is to be made.
  """
  known = dict(names)
  for path in sorted(folder.glob(f"*{prepared.PLAN}")):
    if (said := prepared.read(path)) is not None:
      known.setdefault(path.name.removesuffix(prepared.PLAN), said["identity"]["class names"])
  for split, other in itertools.product(names, known):
    for number, (one, two) in enumerate(zip(names[split], known[other], strict=False)):
      if one != two:
        raise errors.UserError(
          f"class {number} is {one!r} in the split {split!r} and {two!r} in {other!r} of {folder}; "
          "prepare both from one set, which numbers the classes of its splits alike, or give "
          "another --out"
        )


def finish(shards: Shards) -> bool:
  """Writes what the set says of itself if all shards are there; returns whether they are."""
  notes = [kept.load(shards.note(number), 1) for number in range(shards.count)]
  if not all(notes):
    return False
  labels = np.concatenate([arrays[0] for _, arrays in notes])
  content = io.BytesIO()
  np.save(content, labels, allow_pickle=False)
  places.write(shards.folder / f"{shards.split}.labels.npy", content.getvalue())
  heads = [{"name": shards.path(n).name} | head for n, (head, _) in enumerate(notes)]
  for head in heads:
    head.pop("sha256")  # of the note
  told = identity.digest([np.ascontiguousarray(labels, "<i4").data])
  said = json.dumps(_plan(shards) | {"shards": heads, "labels": told}, indent=1)
  places.write(shards.folder / f"{shards.split}.json", said)
  _tell_of_decoders(shards.split, heads)
  return True


def _tell_of_decoders(split: str, heads: Iterable[dict]) -> None:
  """Says if shards were or will be made by several decoders; notes from before name none."""
  if len(found := sorted({head["decoder"] for head in heads if "decoder" in head})) > 1:
    _log().warning(
      "warning: %s: images are decoded and shrunk by %s: pixels differ a little from file to file; "
      "to have them alike remove the files, and give the command where the packages are the same",
      *(split, " and by ".join(f"({name})" for name in found)),
    )


def _plan(shards: Shards) -> dict:
  return {
    "form": prepared.FORM,
    "identity": identity.of(shards.source),
    "kept as": dataclasses.asdict(shards.how),
    "shards": shards.count,
  }


def _check_plan(folder: pathlib.Path, split: str, plan: dict) -> None:
  """Writes what is being made, or raises UserError if something else is."""
  path = prepared.plan_path(folder, split)
  found = prepared.read(path)
  if found is None:
    if path.exists():
      raise errors.UserError(f"{path} is not of contrastive_jax prepare; give another --out")
    places.write(path, json.dumps(plan))
    return
  before, now = found["identity"], plan["identity"]
  changes = identity.differences(before, now)
  changes += [
    f"--{'format' if key == 'kind' else key} {found['kept as'].get(key)} -> {value}"
    for key, value in plan["kept as"].items()
    if found["kept as"].get(key) != value
  ]
  if changes:
    raise errors.UserError(
      f"{folder} holds or will hold another split {split!r} ({'; '.join(changes)}); give another "
      "--out, or the former images and options"
    )


class Progress:
  """Says now and then how far it is."""

  def __init__(self, split: str, count: int):
    self._split, self._count, self._done, self._unreadable = split, count, 0, 0
    self._begun = self._said = time.monotonic()

  def add(self, count: int, unreadable: int) -> None:
    self._done, self._unreadable = self._done + count, self._unreadable + unreadable
    now = time.monotonic()
    if now - self._said < _SAID_EVERY_S and self._done < self._count:
      return
    self._said = now
    rate = self._done / max(now - self._begun, 1e-9)
    left_min = (self._count - self._done) / rate / 60
    _log().info(
      "%s: %d of %d images of this part, %.0f images/s, %.1f min left, %d unreadable",
      *(self._split, self._done, self._count, rate, left_min, self._unreadable),
    )


def _log() -> logging.Logger:
  return logging.getLogger(__name__)
