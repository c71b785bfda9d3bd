"""The folder of a prepared TFDS set: where it lies, and whether what it says of itself is so.

Its JSON files name shards, records and classes. A copy that was cut short, or damaged, is named
here before any of it is taken for images.
"""

import json
import os
import re
from collections.abc import Callable, Iterable

from contrastive_jax import errors, plural, reading, slow
from contrastive_jax.buckets import address as buckets_address
from contrastive_jax.buckets import files, local
from contrastive_jax.data.labels import first_repeated

_MOST_CLASSES = 2**20  # a probe has a column for each
_VERSION = r"\d+\.\d+\.\d+"
ANEW = "copy the prepared set again, or prepare it anew"


def find(name: str, data_dir: str) -> str:
  """Returns the folder itself if it is one of a version, else that of the newest or the named."""
  from etils import epath

  if (epath.Path(data_dir).expanduser() / "dataset_info.json").exists():
    return str(epath.Path(data_dir).expanduser())
  if not name:
    raise errors.UserError(
      "tfds needs the name of a set; set data.tfds.name, e.g. cifar10, or data.tfds.path to the "
      "folder of a prepared version (with dataset_info.json in it)"
    )
  name, _, version = name.partition(":")
  folder = epath.Path(data_dir).expanduser() / name
  found = {}
  if folder.is_dir():
    for child in folder.iterdir():
      if re.fullmatch(_VERSION, child.name) and (child / "dataset_info.json").exists():
        found[child.name] = child
  newest_last = sorted(found, key=lambda version: tuple(map(int, version.split("."))))
  wanted = version or (newest_last[-1] if newest_last else "")
  if wanted not in found:
    raise errors.Absent(
      f"no prepared {name}{':' + version if version else ''} in {data_dir}"
      + (f" (versions there: {', '.join(newest_last)})" if found else "")
      + f"; {how_to_prepare(name, data_dir)}"
    )
  return str(found[wanted])


def in_bucket(
  name: str, data_dir: str, cache_gb: float
) -> tuple[str, Callable[[Iterable[str]], None]]:
  """Copies what says of a prepared set in a bucket what is in it.

  Args:
    name: of the set; "": `data_dir` is the folder of one version.
    data_dir: address of sets, or of the folder of one version.
    cache_gb: that may be kept on this host, with the records.

  Returns:
    What `find` does, of a folder of this host, and a function that copies the files of records at
    some paths in it.
  """
  option = "data.tfds.cache_gb"
  place = buckets_address.parsed(data_dir, "data.tfds.path")
  found = files.Files(place, "data.tfds.path", under=name.partition(":")[0])
  if not found.sizes:
    found = files.Files(place, "data.tfds.path")
  described = [n for n in found.sizes if n.endswith((".json", ".txt"))]
  here = found.whole(described, cache_gb, option)

  def copy(paths: Iterable[str]) -> None:
    names = [os.path.relpath(path, here) for path in paths]
    found.whole([n for n in names if n in found.sizes], cache_gb, option)

  with local.called(here, place):
    return find(name, str(here)), copy


def how_to_prepare(name: str, data_dir: str) -> str:
  return (
    "prepare it once: pip install -e '.[prepare]', then in Python: tensorflow_datasets.builder("
    f'"{name}", data_dir="{data_dir}", file_format="array_record").download_and_prepare()'
  )


def builder(folder: str):
  """Returns TFDS's reader of a prepared folder. Raises UserError if its JSON files are damaged."""
  import tensorflow_datasets as tfds

  for name in ("dataset_info.json", "features.json"):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
      raise errors.UserError(f"there is no {path}; {ANEW}")
    if other := reading.no_regular_file(path):
      raise errors.UserError(f"{path} is {other}; {ANEW}")
  try:
    with slow.named(f"the JSON files and names of classes in {folder}"):
      builder = tfds.builder_from_directory(folder)
      _ = builder.info.full_name, builder.info.splits, builder.info.features.items()
    return builder
  except Exception as error:  # TFDS and protobuf raise their own kinds, and almost any other
    if reading.may_pass(error):
      raise
    raise errors.UserError(
      f"dataset_info.json, features.json or the names of classes in {folder} are damaged "
      f"({_words(error)}); {ANEW}"
    ) from error


def check_version(folder: str, version: str) -> None:
  """Raises UserError if a folder is named by another version than dataset_info.json says."""
  name = os.path.basename(os.path.realpath(folder))
  if re.fullmatch(_VERSION, name) and name != version:
    raise errors.UserError(f"{folder}/dataset_info.json is of version {version}; {ANEW}")


def check_classes(folder: str, label_key: str | None, features) -> None:
  """Raises UserError if classes are named of which features.json does not know, or not so many."""
  if label_key is None:
    names = os.path.join(folder, "label.labels.txt")
    if os.path.exists(names) and "label" not in features:
      raise errors.UserError(
        f"there is {names}, and features.json in the same folder has no feature label; {ANEW}"
      )
    return
  label = features[label_key]
  names = os.path.join(folder, f"{label_key}.labels.txt")
  count = label.num_classes or 0
  if not 1 <= count <= _MOST_CLASSES:
    raise errors.UserError(
      f"{folder}/features.json names {count:,} classes of {label_key} (1 to {_MOST_CLASSES:,} can "
      f"be); {ANEW}"
    )
  if not os.path.exists(names):
    return
  if len(label.names) != count:
    raise errors.UserError(
      f"{names} names {plural.of(len(label.names), 'class', 'classes')}, features.json {count:,}; "
      f"{ANEW}"
    )
  if (twice := first_repeated(label.names)) is not None:
    raise errors.UserError(f"{names} names the class {twice!r} twice; {ANEW}")


def check_splits(folder: str, splits) -> None:
  """Raises UserError if dataset_info.json names a split or a file of records twice, or lengths < 0.

  TFDS takes the last of two splits of a name, and skips what has no length.
  """
  path = os.path.join(folder, "dataset_info.json")
  with open(path, "rb") as file:
    listed = json.load(file).get("splits") or ()
  if (twice := first_repeated(str(split.get("name")) for split in listed)) is not None:
    raise errors.UserError(f"{path} names the split {twice!r} twice; {ANEW}")
  if not splits:
    raise errors.UserError(f"{path} names no split; {ANEW}")
  for name, split in splits.items():
    if min(split.shard_lengths, default=0) < 0:
      raise errors.UserError(
        f"{path}: shardLengths of the split {name!r} has {min(split.shard_lengths)} records; {ANEW}"
      )
  files = [str(file) for split in splits.values() for file in _files(split, path)]
  if (twice := first_repeated(files)) is not None:
    raise errors.UserError(f"{path}: two shards are the same file, {twice}; {ANEW}")
  lengths = (length for split in splits.values() for length in split.shard_lengths)
  for file, length in zip(files, lengths, strict=True):
    if not length and os.path.exists(file):  # which TFDS does not open; of a bucket it is not here
      _check_shard(file, 0)


def without_records(folder: str, split: str) -> errors.UserError:
  """Returns what is wrong where a split, or a slice of one, is named and holds nothing."""
  return errors.UserError(
    f"{folder}/dataset_info.json gives {split!r} no record (shardLengths is empty or 0, or the "
    f"slice is): name another split, or {ANEW}"
  )


def unknown(name: str, folder: str, split: str, splits, error: Exception) -> errors.UserError:
  """Returns what is wrong where a split is not named; a name that was damaged has no files."""
  path = os.path.join(folder, "dataset_info.json")
  files = (str(file) for split in splits.values() for file in _files(split, path))
  gone = next((file for file in files if not os.path.exists(file)), None)
  said = f" ({path} names {gone}, which is not there: if {split!r} should be, {ANEW})"
  return errors.UserError(
    f"{name} in {folder} has no split {split!r} ({' '.join(str(error).split())[:200]}); it has "
    f"{', '.join(splits) or 'none'}{said if gone else ''}"
  )


def _files(split, path: str) -> list:
  """Returns the files of records of a split, as its template names them."""
  try:
    return split.filepaths
  except (ValueError, KeyError, AssertionError) as error:
    raise errors.UserError(
      f"{path}: filepathTemplate of the split {split.name!r} names no files ({_words(error)}); "
      f"{ANEW}"
    ) from error


def check_shards(parts) -> None:
  """Raises UserError unless each file of records holds as many as dataset_info.json says."""
  for part in parts:
    _check_shard(os.fspath(part.filename), part.examples_in_shard)


def _check_shard(path: str, length: int) -> None:
  from array_record.python import array_record_module

  if not os.path.exists(path):
    raise errors.UserError(f"there is no {path}, which dataset_info.json names; {ANEW}")
  if other := reading.no_regular_file(path):
    raise errors.UserError(f"{path} is {other}; {ANEW}")
  try:
    with slow.named(path):
      reader = array_record_module.ArrayRecordReader(path)
      held = reader.num_records()
      reader.close()
  except (RuntimeError, ValueError) as error:
    with open(path, "rb"):  # raises what the system says, if it is the system that cannot
      pass
    raise errors.UserError(f"{path} is damaged ({_words(error)}); {ANEW}") from error
  if held != length:
    raise errors.UserError(
      f"{path} holds {held} records, and dataset_info.json says {length}; {ANEW}"
    )


def _words(error: Exception) -> str:
  return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
