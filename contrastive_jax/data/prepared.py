"""What `contrastive_jax prepare` writes: names of files, and what they say of the set.

`SPLIT-00000-of-00004.arrayrecord`, ... hold the images, each a tf.train.Example. `SPLIT.json` is
written last: how many images and classes, the names of these, how images were shrunk and kept, and
a digest of each shard. `SPLIT.labels.npy` holds all labels. Before that there is `SPLIT.plan.json`,
which says what is being made, and a note of each shard that is whole.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from contrastive_jax import errors, plural, reading
from contrastive_jax.data import identity, records

FORM = "contrastive_jax prepared 1"
UNREADABLE = "unreadable"  # the feature that says why there is no image
SUFFIX = ".arrayrecord"
BESIDE = (".json", ".labels.npy")  # what describes shards, in the same folder
PLAN = ".plan.json"  # ends the name of what says what is being made
_SHARD = re.compile(rf"(.+)-\d{{5,}}-of-\d{{5,}}{re.escape(SUFFIX)}")
_AGAIN = "give the same contrastive_jax prepare again"


def shard_name(split: str, number: int, count: int) -> str:
  """Returns the name of the file of a shard."""
  return f"{split}-{number:05d}-of-{count:05d}{SUFFIX}"


@dataclasses.dataclass(frozen=True)
class Described:
  """A set of shards that is whole, by its own word."""

  path: pathlib.Path
  said: dict[str, Any]

  @property
  def content(self) -> str:
    """What the images are: those of the source, and how they were shrunk and kept."""
    return json.dumps([self.said["identity"], self.said["kept as"]], sort_keys=True)

  @property
  def names(self) -> tuple[str, ...]:
    return tuple(self.said["identity"]["class names"])

  @property
  def num_classes(self) -> int:
    return self.said["identity"]["classes"]

  def check(self, files: records.Files) -> None:
    """Raises UserError unless these are all shards, each with its records and bytes."""
    wanted = {shard["name"]: shard for shard in self.said["shards"]}
    held = {pathlib.Path(path).name: n for path, n in zip(files.paths, files.lengths, strict=True)}
    for name, shard in wanted.items():
      path = self.path.parent / name
      if name not in held:
        raise errors.UserError(f"{path} is missing, which {self.path} names; copy it there")
      size = path.stat().st_size
      if (held[name], size) != (shard["images"], shard["bytes"]):
        raise errors.UserError(
          f"{path} has {plural.of(held[name], 'record')} in {size:,} bytes, and {self.path} says "
          f"{shard['images']} in {shard['bytes']:,}; copy it again"
        )
    if extra := sorted(set(held) - set(wanted)):
      raise errors.UserError(f"{self.path} does not name {extra[0]}; remove that, or name others")

  def labels(self) -> np.ndarray:
    """Returns all labels, int32 [n]."""
    path = self.path.with_name(self.path.name.removesuffix(".json") + ".labels.npy")
    try:
      labels = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
      if reading.may_pass(error) and path.exists():
        raise
      raise errors.UserError(f"{path} is damaged or gone ({error}); {_AGAIN}") from error
    told = identity.digest([np.ascontiguousarray(labels, "<i4").data])
    if told != self.said["labels"]:
      raise errors.UserError(f"{path} is not what {self.path} says; {_AGAIN}")
    return labels


def described(paths: Sequence[str]) -> Described | None:
  """Returns what the folder of some shards says of them; None: `prepare` did not write them.

  Raises:
    UserError: the set is not finished, or what it says of itself is damaged.
  """
  first = pathlib.Path(paths[0])
  name = _SHARD.fullmatch(first.name)
  if not name:
    return None
  path = first.with_name(f"{name[1]}.json")
  said = read(path)
  if said is None:
    if read(plan_path(first.parent, name[1])) is not None:
      raise errors.UserError(f"{first.parent}: the split {name[1]} is not finished; {_AGAIN}")
    return None
  return Described(path, said)


def plan_path(folder: pathlib.Path, split: str) -> pathlib.Path:
  """Returns the path of what says what is being made."""
  return folder / f"{split}{PLAN}"


def read(path: pathlib.Path) -> dict[str, Any] | None:
  """Returns what a file of ours says; None: there is none, or it is another's.

  Raises:
    UserError: it is damaged.
  """
  content = reading.content(path)
  if content is None:
    return None
  try:
    said = json.loads(content)
    if not isinstance(said, dict) or said.get("form") != FORM:
      return None
    identity.checked(said["identity"])
    _ = said["kept as"]
    if path.name.endswith(PLAN):
      return said
    for shard in said["shards"]:
      _ = str(shard["name"]), int(shard["images"]), int(shard["bytes"]), str(shard["xxh3_128"])
    return said | {"labels": str(said["labels"])}
  except (ValueError, KeyError, TypeError) as error:
    raise errors.UserError(f"{path} is damaged ({error}); {_AGAIN}") from error
