"""How many images and classes a run has, for planning where the images themselves are absent."""

import re
from typing import NamedTuple

from ml_collections import ConfigDict

from contrastive_jax import data, errors, run_images
from contrastive_jax.data import store, subset


class Images(NamedTuple):
  count: int
  classes: int  # 0: no labels
  size_px: int  # side of the canvas that the host sends


class _Set(NamedTuple):
  splits: dict[str, int]
  classes: int
  size_px: int | None


# From the sets' own pages in the catalogue of TensorFlow Datasets.
_KNOWN = {
  "cifar10": _Set({"train": 50_000, "test": 10_000}, 10, 32),
  "cifar100": _Set({"train": 50_000, "test": 10_000}, 100, 32),
  "imagenet2012": _Set({"train": 1_281_167, "validation": 50_000}, 1000, None),
  "stl10": _Set({"train": 5_000, "test": 8_000, "unlabelled": 100_000}, 10, 96),
}


def describe(config: ConfigDict, given: str | None = None) -> Images:
  """Returns the sizes of a run's training set: as given, as the source says, or as known.

  Args:
    config: of the run.
    given: "COUNT:CLASSES" or "COUNT:CLASSES:PIXELS", where the source cannot be opened.

  Raises:
    UserError: the source cannot be opened, its sizes are not known here, and none are given.
  """
  if given is not None:
    if not re.fullmatch(r"[1-9]\d*:\d+(:[1-9]\d*)?", given):
      raise errors.UserError(
        f"--plan_images={given} is not COUNT:CLASSES or COUNT:CLASSES:PIXELS, e.g. 1281167:1000"
      )
    count, classes, *size = map(int, given.split(":"))
    return _trained_on(config, count, classes, size[0] if size else None)
  try:
    source, _ = run_images.training_set(config)
  except errors.UserError as error:
    return _known(config, error)
  return of_source(config, source)


def of_source(config: ConfigDict, source: data.Source) -> Images:
  """Returns the sizes of an open training set."""
  return Images(len(source), source.num_classes, _canvas(config, source.native_size_px))


def _known(config: ConfigDict, error: errors.UserError) -> Images:
  name = config.data.tfds.name.partition(":")[0] if config.data.source == "tfds" else ""
  if name not in _KNOWN:
    raise errors.UserError(
      f"the images cannot be opened ({error}); to plan without them give their number and classes, "
      "e.g. --plan_images=1281167:1000"
    ) from error
  known, split = _KNOWN[name], config.data.split
  if split in known.splits:
    return _trained_on(config, known.splits[split], known.classes, known.size_px)
  try:
    from tensorflow_datasets.core import splits
  except ModuleNotFoundError as absent:
    raise errors.UserError(
      f"the slice {split} needs the package {absent.name}; install the extra tfds: "
      "pip install -e '.[tfds]', or give --plan_images=COUNT:CLASSES"
    ) from absent
  infos = {
    part: splits.SplitInfo(name=part, shard_lengths=[count], num_bytes=0)
    for part, count in known.splits.items()
  }
  try:
    parts = splits.ReadInstruction.from_spec(split).to_absolute(infos)
  except (ValueError, KeyError, AssertionError) as problem:
    raise errors.UserError(
      f"{name} has no split {split!r}; it has {', '.join(known.splits)}"
    ) from problem
  count = sum((p.to or known.splits[p.splitname]) - (p.from_ or 0) for p in parts)
  return _trained_on(config, count, known.classes, known.size_px)


def _trained_on(config: ConfigDict, count: int, classes: int, size_px: int | None) -> Images:
  held_out = subset.num_held_out(count, classes, config.data.held_out)
  return Images(count - held_out, classes, _canvas(config, size_px))


def _canvas(config: ConfigDict, native_size_px: int | None) -> int:
  return config.data.host_size_px or native_size_px or store.DEFAULT_HOST_SIZE_PX
