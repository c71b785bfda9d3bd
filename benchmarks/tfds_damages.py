"""Damages a prepared TFDS set in random places and tells what came of it; a table.

python benchmarks/tfds_damages.py --trials=1000

Each trial damages one file of a fresh set: a field of a JSON file gets another value, an entry is
doubled, a file is cut, emptied, deleted or changed in one bit, two shards change places. Then all
images of the split are read. Right is: what was read before, or images in the place of those that
are named with file and record, or one line that names the file.

What the format has no digest of is counted apart: the names of the set and its classes, features
and whole shards that lie in the place of others, of as many records.
"""

import collections
import copy
import json
import logging
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

import numpy as np
import prepared_sets
from absl import app, flags

from contrastive_jax import data, errors, reading
from contrastive_jax.data import pipeline

_TRIALS = flags.DEFINE_integer("trials", 1000, "Damages.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the damages.")
_SHOWN = flags.DEFINE_bool("show", False, "Print each line with which a set was refused.")

VALUES = (None, -1, 0, 2, "2", 2**31, str(2**63), "x", "", [], {}, ["x"], 1.5, True)
JSON = ("dataset_info.json", "features.json")
SHARDS = tuple(f"tiny-train.array_record-{n:05d}-of-00002" for n in range(2))
OUTCOMES = (
  "as before",
  "record named",
  "file named",
  "no file named",
  "cannot be told",
  "traceback",
  "SILENT",
)


def main(argv: list[str]) -> None:
  del argv
  logging.disable(logging.WARNING)  # of what is replaced
  reading.PAUSES_S = (0.0,)
  rng = np.random.default_rng(_SEED.value)
  counts = {name: collections.Counter() for name in DAMAGES}
  with tempfile.TemporaryDirectory() as root:
    folder = prepared_sets.write(pathlib.Path(root))
    whole = {path: path.read_bytes() for path in folder.iterdir()}
    before = read(root)
    for trial in range(_TRIALS.value):
      name = list(DAMAGES)[trial % len(DAMAGES)]
      where = DAMAGES[name](folder, rng)
      counts[name][outcome(root, before, where, name)] += 1
      for path in set(folder.iterdir()) - set(whole):
        path.unlink()
      for path, content in whole.items():
        path.write_bytes(content)
  print(f"| {_TRIALS.value} damages | " + " | ".join(OUTCOMES) + " |")
  print("|---|" + "--:|" * len(OUTCOMES))
  for name, found in counts.items():
    print(f"| {name} | " + " | ".join(str(found[o]) for o in OUTCOMES) + " |")


def read(root: str) -> dict:
  """Returns all that a run takes from the training split."""
  source = data.build("tfds", split="train", path=root, name="tiny")
  batches = list(pipeline.eval_batches(source, batch_size=8, host_size_px=6, cache="none"))
  found = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
  return found | {"names": source.label_names, "classes": source.num_classes, "source": source}


def outcome(root: str, before: dict, where: str, name: str) -> str:
  try:
    found = read(root)
  except errors.UserError as error:
    if _SHOWN.value:
      print(f"{where}: {error}")
    if root in str(error) and "\n" not in str(error):
      return "file named"
    print(f"{name}, {where}: {error}", file=sys.stderr)
    return "no file named"
  except Exception as error:
    print(f"{name}, {where}: {error!r}", file=sys.stderr)
    return "traceback"
  if len(found["image"]) != len(before["image"]) or found["classes"] != before["classes"]:
    return silent(name, where, "as many images or classes")
  kept = found["replaced"] == 0
  if any((found[key][kept] != before[key][kept]).any() for key in ("image", "label")):
    return "cannot be told" if name in NOT_TOLD else silent(name, where, "the same images")
  if found["names"] != before["names"]:
    return "cannot be told" if where.startswith("label") else silent(name, where, "the same names")
  if kept.all():
    return "as before"
  for number in np.flatnonzero(~kept):
    try:
      found["source"][int(number)]
    except data.Unreadable as error:
      if os.path.realpath(root) not in str(error):
        return silent(name, where, "named")
  return "record named"


def silent(name: str, where: str, what: str) -> str:
  print(f"{name}, {where}: not {what}", file=sys.stderr)
  return "SILENT"


def places(tree, path=()):
  """Yields the place of every value in a tree of JSON."""
  for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
    yield (*path, key)
    if isinstance(value, dict | list):
      yield from places(value, (*path, key))


def _tree(folder, rng):
  path = folder / rng.choice(JSON)
  tree = json.loads(path.read_text())
  place = list(places(tree))[rng.integers(len(list(places(tree))))]
  part = tree
  for key in place[:-1]:
    part = part[key]
  return path, tree, part, place


def other_value(folder, rng):
  path, tree, part, place = _tree(folder, rng)
  part[place[-1]] = VALUES[rng.integers(len(VALUES))]
  path.write_text(json.dumps(tree))
  return f"{path.name} {place} = {part[place[-1]]!r}"


def gone_or_doubled(folder, rng):
  path, tree, part, place = _tree(folder, rng)
  if isinstance(part, list) and rng.integers(2):
    part.append(copy.deepcopy(part[place[-1]]))
    done = "doubled"
  else:
    del part[place[-1]]
    done = "taken out"
  path.write_text(json.dumps(tree))
  return f"{path.name} {place} {done}"


def text_cut(folder, rng):
  path = folder / rng.choice((*JSON, "label.labels.txt"))
  content = path.read_bytes()
  contents = (b"", content[: rng.integers(len(content))], b"[]", b"3", b"null", b"\xff\0")
  path.write_bytes(contents[rng.choice(6, p=(0.1, 0.5, 0.1, 0.1, 0.1, 0.1))])
  return f"{path.name} cut"


def class_twice(folder, rng):
  path = folder / "label.labels.txt"
  names = path.read_text().split()
  one, other = rng.choice(len(names), 2, replace=False)
  names[one] = names[other]
  path.write_text("\n".join(names) + "\n")
  return f"{path.name} with a name twice"


def text_bit(folder, rng):
  return _bit(folder / rng.choice((*JSON, "label.labels.txt")), rng, any_byte=True)


def shard_bit(folder, rng):
  """Most of so small a shard is padding with zeros, of which a fifth of the flips are."""
  return _bit(folder / rng.choice(SHARDS), rng, any_byte=rng.random() < 0.2)


def _bit(path, rng, any_byte):
  content = bytearray(path.read_bytes())
  chosen = np.arange(len(content)) if any_byte else np.flatnonzero(np.frombuffer(content, np.uint8))
  place, bit = int(rng.choice(chosen)), int(rng.integers(8))
  content[place] ^= 1 << bit
  path.write_bytes(content)
  return f"{path.name} byte {place} bit {bit}"


def shard_cut(folder, rng):
  path = folder / rng.choice(SHARDS)
  content = path.read_bytes()
  kind = rng.integers(4)
  if kind == 0:
    path.unlink()
  else:
    cut = content[: rng.integers(len(content))]
    path.write_bytes((cut, b"", content + bytes(rng.integers(1, 1000)))[kind - 1])
  return f"{path.name} {('deleted', 'cut', 'emptied', 'with bytes behind it')[kind]}"


def shard_in_place_of_another(folder, rng):
  one, other = (folder / name for name in rng.permutation((*SHARDS, OF_TEST))[:2])
  first, second = one.read_bytes(), other.read_bytes()
  one.write_bytes(second)
  other.write_bytes(first)
  return f"{one.name} for {other.name}"


OF_TEST = "tiny-test.array_record-00000-of-00001"
DAMAGES = {
  "JSON: another value": other_value,
  "JSON: taken out or doubled": gone_or_doubled,
  "JSON or class names: cut, empty, another kind": text_cut,
  "class names: one twice": class_twice,
  "JSON or class names: a bit": text_bit,
  "shard: a bit": shard_bit,
  "shard: cut, empty, deleted, bytes behind": shard_cut,
  "two shards of as many records: swapped": shard_in_place_of_another,
}
NOT_TOLD = ("two shards of as many records: swapped",)

if __name__ == "__main__":
  app.run(main)
