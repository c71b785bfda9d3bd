"""ArrayRecord files, as `contrastive_jax prepare` or others wrote them; no TensorFlow, no TFDS.

A record is a tf.train.Example with an encoded image and perhaps a class, or an encoded image and
nothing else. What `prepare` wrote says of itself how many records there are, of which classes; of
other files the labels are read from all records once, and kept.
"""

import dataclasses
import logging
import os
import pathlib
import time
from collections.abc import Iterator, Sequence

import numpy as np

from contrastive_jax import errors, reading, slow
from contrastive_jax.data import (
  Unreadable,
  encoded,
  images,
  kept,
  prepared,
  records,
  shards,
  text_labels,
  tf_example,
)
from contrastive_jax.data.identity import digest
from contrastive_jax.options import option

SUFFIXES = (".arrayrecord", ".array_record", ".ar")
_IMAGES = (
  "image",
  "image/encoded",
  "encoded",
  "jpg",
  "png",
  "img",
)  # names, the first that is there
_LABELS = ("label", "labels", "image/class/label", "class", "cls")
_TOLD_BY = 16  # records: the first may have no label
_AT_ONCE = 256  # records read for their labels
_SAID_EVERY_S = 10.0


@dataclasses.dataclass(frozen=True)
class Options:
  path: str = option(
    "", "DIR of contrastive_jax prepare, or DIR/{split}-*.arrayrecord", identity=False
  )
  image: str = option("", "feature that holds the image; empty: image, image/encoded, ...")
  label: str = option("", "feature of the class; empty: label, if there is one; none: no labels")
  names: str = option("", "file with the names of all classes, a line each", identity=False)
  index: str = option(
    "", "folder for labels read from records (unset: the user's cache)", identity=False
  )
  max_megapixels: int = option(
    images.MAX_MEGAPIXELS,
    "of an image: a JPEG of more is decoded at 1/2, 1/4 or 1/8, any other is replaced",
  )
  cache_gb: float = option(
    50.0, "of a set in a bucket, whose files are kept on this host: at most so much", identity=False
  )

  def __post_init__(self):
    images.check_cache(self.cache_gb, "data.arrayrecord.cache_gb")
    images.check_limit(self.max_megapixels, "data.arrayrecord.max_megapixels")


class Records(encoded.Encoded):
  """The records of some files, in order."""

  def __init__(self, layout: "_Layout", files, labels, names, told: str, max_megapixels: int):
    super().__init__(labels, names, max_megapixels)
    self._layout, self._files, self._told = layout, files, told
    self._records = files.opened()

  def __getstate__(self):
    return {key: value for key, value in self.__dict__.items() if key != "_records"}

  def __setstate__(self, state):
    self.__dict__.update(state)
    self._records = self._files.opened()

  def encoded(self, position: int) -> tuple[bytes, str]:
    name = self._files.named(position)
    try:
      with slow.named(name):
        return self._layout.image_of(records.record(self._records, position), name), name
    except (OSError, MemoryError, Unreadable):
      raise
    except Exception as error:  # array_record raises its own kinds
      raise Unreadable(f"{name}: {type(error).__name__}: {error}") from error

  def ahead(self, indices: Sequence[int]) -> "Records":
    """Returns this source with some records already read, many at once."""
    source = encoded.copy.copy(self)
    with slow.named(f"{self._files.named(indices[0])}, and others" if indices else "no record"):
      source._records = records.Ahead(self._records, indices)
    return source

  def content(self) -> str:
    """Returns what `prepare` says of the set, or a digest of names, sizes and labels."""
    return digest([self._told.encode(), self.labels.astype(np.int64).data])

  def in_files(self) -> Iterator[tuple[str, int]]:
    return zip(self._files.paths, self._files.lengths, strict=True)


def build(split: str, options: Options) -> Records:
  """Opens the files of a split.

  Raises:
    UserError: there is none, one is damaged, missing or not what `prepare` wrote, or records hold
      no images.
  """
  wanted = shards.Wanted(
    "data.arrayrecord.path",
    SUFFIXES,
    "'DIR/{split}-*.arrayrecord'",
    options.cache_gb,
    prepared.BESIDE,
  )
  found = [str(path) for path in shards.find(options.path, split, wanted)]
  known = prepared.described(found)
  files = records.Files(found, [records.length(file) for file in found])
  if known:
    known.check(files)
  if not len(files):
    raise errors.UserError(f"{found[0]} and all beside it hold no record; name other files")
  layout = _layout_of(files, options.image, options.label)
  names = encoded.read_names(options.names, "data.arrayrecord.names")
  if options.label == "none":
    labels, names = np.full(len(files), -1), ()
  elif known:
    labels, names = known.labels(), names or known.names
  else:
    labels = _labels(files, layout, options.index)
    what = f"the values of {layout.label} in the records of {found[0]}"
    others = _labels_of_others(layout, options, split, wanted)
    labels, names = encoded.class_numbers(labels, names, what, "data.arrayrecord.names", others)
  if known:
    told = known.content
  else:
    told = repr([(os.path.basename(file), os.path.getsize(file)) for file in found])
  source = Records(layout, files, labels, names, told, options.max_megapixels)
  if known and options.label != "none":
    source.num_classes = known.num_classes
  return source


def _labels_of_others(
  layout: "_Layout", options: Options, split: str, wanted: shards.Wanted
) -> Iterator[text_labels.Found]:
  """Yields the labels of the other splits, for which all their records are read, which is told.

  Raises UserError: they are afar.
  """
  found = [str(path) for path in shards.of_other_splits(options.path, split, wanted)]
  files = records.Files(found, [records.length(file) for file in found]) if found else ()
  if not len(files):
    return
  logging.getLogger(__name__).info(
    "labels %s are texts: the %d records of the other splits, such as %s, are read once for "
    "theirs; data.arrayrecord.names, a file with a class a line, does without",
    *(layout.label, len(files), found[0]),
  )
  yield text_labels.found(_labels(files, layout, options.index))


@dataclasses.dataclass(frozen=True)
class _Layout:
  """What a record is: an image alone (`image` None), or an Example with these features."""

  image: str | None
  label: str

  def image_of(self, record: bytes, name: str) -> bytes:
    if self.image is None:
      return record
    features = tf_example.parse(record)
    if found := features.get(self.image):
      return found[0]
    reason = features.get(prepared.UNREADABLE)
    raise Unreadable(reason[0].decode() if reason else f"{name}: it holds no {self.image}")

  def labels_of(self, record: bytes) -> tf_example.Values:
    return tf_example.parse(record).get(self.label, [])


def _layout_of(files: records.Files, image: str, label: str) -> _Layout:
  """Returns what the first record is that can be read. Raises UserError: it is no image."""
  name = files.named(0)
  opened = files.opened()
  first = reading.patiently(name, lambda: _first(opened, files))
  if not image and images.is_image(first):
    return _Layout(None, "")
  try:
    features = tf_example.parse(first)
  except (ValueError, KeyError) as error:
    raise errors.UserError(
      f"{name} is neither an encoded image nor a tf.train.Example ({error}); write records of one "
      "of these forms"
    ) from error
  if prepared.UNREADABLE in features:
    return _Layout("image", label or "label")
  there = ", ".join(sorted(features)) or "none"
  key = image or next((k for k in _IMAGES if k in features), "") or _only_image(features)
  if not features.get(key) or not isinstance(features[key][0], bytes):
    raise errors.UserError(
      f"{name} has no image {key or 'feature'} (features: {there}); set data.arrayrecord.image"
    )
  features = _of_several(opened, files) | {k: v for k, v in features.items() if v}
  if label not in ("", "none") and not features.get(label):
    raise errors.UserError(
      f"{name} has no feature {label!r} (features: {there}); set data.arrayrecord.label"
    )
  if not label and not any(features.get(k) for k in _LABELS) and set(features) - {key}:
    logging.getLogger(__name__).info(
      "records such as %s have no label: images are taken without labels; features are %s; see "
      "data.arrayrecord.label",
      *(name, there),
    )
  label = label or next((k for k in _LABELS if features.get(k)), "none")
  if label != "none" and isinstance(features[label][0], float):
    raise errors.UserError(
      f"{name}: the feature {label} is a float, no class; set data.arrayrecord.label, to none for "
      "no labels"
    )
  return _Layout(key, label)


def _of_several(opened, files: records.Files) -> dict[str, tf_example.Values]:
  """Returns all features with a value of the first records, those that are damaged left out."""
  found: dict[str, tf_example.Values] = {}
  for index in range(min(len(files), _TOLD_BY)):
    try:
      record = reading.patiently(files.named(index), lambda i=index: records.record(opened, i))
      found = {k: v for k, v in tf_example.parse(record).items() if v} | found
    except (errors.ReadFailed, errors.UserError, MemoryError):
      raise
    except Exception:  # a damaged record, which its reader replaces
      continue
  return found


def _first(opened, files: records.Files) -> bytes:
  for index in range(min(len(files), 100)):
    try:
      return records.record(opened, index)
    except (OSError, MemoryError):
      raise
    except Exception:  # a damaged record, which its reader replaces
      continue
  raise errors.UserError(f"the first records of {files.paths[0]} are all damaged; copy it again")


def _only_image(features) -> str:
  found = [
    key
    for key, values in features.items()
    if values and isinstance(values[0], bytes) and images.is_image(values[0])
  ]
  return found[0] if len(found) == 1 else ""


def _labels(files: records.Files, layout: _Layout, kept_in: str) -> np.ndarray:
  """Returns the labels of all records: as they are kept, or from the records, which is told."""
  if layout.label in ("", "none"):
    return np.full(len(files), -1)
  place = kept.folder(kept_in, "data.arrayrecord.index", "labels")
  facts = [kept.facts_of(path) for path in files.paths]
  path = (
    place / f"{kept.name_of({'form': 'labels 2', 'label': layout.label, 'files': facts})}.labels"
  )
  if found := kept.load(path, 1):
    _tell_of_several(found[0]["several"], layout.label)
    return found[1][0]
  opened, labels, begun, several = files.opened(), [], time.monotonic(), []
  log = logging.getLogger(__name__)
  for start in range(0, len(files), _AT_ONCE):
    indices = range(start, min(start + _AT_ONCE, len(files)))
    some = records.Ahead(opened, indices)
    for index in indices:
      found = _labels_of(files, some, layout, index)
      labels.append(found[0] if found else -1)
      if len(found) > 1:
        several.append(index)
    if time.monotonic() - begun > _SAID_EVERY_S:
      begun = time.monotonic()
      log.info("labels of %s, ...: %d of %d are read", files.paths[0], len(labels), len(files))
  texts = any(isinstance(label, bytes) for label in labels)
  array = np.array([b"" if label == -1 else label for label in labels] if texts else labels)
  odd = (len(several), files.named(several[0]) if several else "")
  _tell_of_several(odd, layout.label)
  _keep(path, odd, array)
  return array


def _tell_of_several(odd: tuple[int, str], label: str) -> None:
  count, first = odd
  if count:
    logging.getLogger(__name__).warning(
      "warning: %d record%s several values of %s, the first is %s: the first value is taken; set "
      "data.arrayrecord.label to another feature, or none",
      *(count, " has" if count == 1 else "s have", label, first),
    )


def _keep(path: pathlib.Path, odd: tuple[int, str], labels: np.ndarray) -> None:
  try:
    kept.save(path, {"several": odd}, [labels])
  except (errors.SaveFailed, errors.UserError) as error:
    logging.getLogger(__name__).warning(
      "warning: labels are not kept in %s (%s): the next start reads all records again; set "
      "data.arrayrecord.index to a folder that can be written",
      *(path.parent, " ".join(str(error).split())),
    )


def _labels_of(files: records.Files, some, layout: _Layout, index: int) -> tf_example.Values:
  try:
    record = reading.patiently(files.named(index), lambda: records.record(some, index))
    return layout.labels_of(record)
  except (errors.ReadFailed, errors.UserError):
    raise
  except Exception:  # a damaged record: its image will be replaced
    return []
