"""A TensorFlow Datasets set that is already prepared as ArrayRecord, read without TensorFlow.

TFDS starts a download when it is asked for a set that is not there, so the prepared folder is
looked up here first and opened as it is: nothing is ever downloaded, and no TensorFlow is imported.
Only the image and the label of a record are parsed, and images are decoded as those of a folder
are.
"""

import contextlib
import copy
import dataclasses
import logging
import os
from collections.abc import Sequence

import numpy as np

from contrastive_jax import errors, plural, reading, slow
from contrastive_jax.buckets import address
from contrastive_jax.data import Example, Unreadable, images, tfds_folder
from contrastive_jax.data.records import Ahead, record
from contrastive_jax.options import option

TAKES_SLICES = True  # by position, as TFDS defines them
_AT_ONCE = 1024  # records read for their labels


@dataclasses.dataclass(frozen=True)
class Options:
  name: str = option("", "cifar10, NAME/CONFIG, NAME:1.0.0, ...")
  path: str = option(
    "",
    "data_dir of prepared sets, or the folder of one version; empty: the default of TFDS",
    identity=False,
  )
  image: str = option("image", "feature that holds the image")
  label: str = option("", "feature that holds the class; empty: label, if there is one")
  max_megapixels: int = option(
    images.MAX_MEGAPIXELS,
    "of an image: a JPEG of more is decoded at 1/2, 1/4 or 1/8, any other is replaced",
  )
  cache_gb: float = option(
    50.0, "of a set in a bucket, whose files are kept on this host: at most so much", identity=False
  )

  def __post_init__(self):
    images.check_cache(self.cache_gb, "data.tfds.cache_gb")
    images.check_limit(self.max_megapixels, "data.tfds.max_megapixels")


class Prepared:
  """Random access to the records of a split."""

  factors: dict[str, np.ndarray] = {}
  _size_px = _form = None

  def __init__(
    self,
    records,
    parts,
    features,
    image_key: str,
    label_key: str | None,
    full_name: str = "",
    max_megapixels: int = images.MAX_MEGAPIXELS,
  ):
    import tensorflow_datasets as tfds

    self._max_megapixels = max_megapixels
    self._parts = parts  # [(file, first, past the last record)], in the order of the records
    self._past = np.cumsum([stop - start for _, start, stop in parts])

    keys = [image_key] + ([label_key] if label_key else [])
    self._records, self._image, self._label = records, image_key, label_key
    self._full_name = full_name
    self._features = tfds.features.FeaturesDict({key: features[key] for key in keys})
    self._decoders = {image_key: tfds.decode.SkipDecoding()}
    label = features[label_key] if label_key else None
    self.num_classes = getattr(label, "num_classes", None) or 0
    self.label_names = tuple(getattr(label, "names", None) or ())
    self._shape = height, width = features[image_key].shape[:2]
    self.native_size_px = max(height, width) if height and width else None

  def __len__(self) -> int:
    return len(self._records)

  def content(self) -> str:
    """Returns name, version and features: a prepared version does not change."""
    return " ".join(filter(None, (self._full_name, self._image, self._label)))

  def read_labels(self) -> np.ndarray:
    """Returns all labels, int [n], from every record, which may take minutes; decodes no image."""
    labels = np.full(len(self), -1)
    for start in range(0, len(self) if self._label else 0, _AT_ONCE):
      indices = range(start, min(start + _AT_ONCE, len(self)))
      some = self.ahead(indices)
      for i in indices:
        with contextlib.suppress(Unreadable):
          parsed = reading.patiently(self._named(i), lambda some=some, i=i: some._parsed(i))
          labels[i] = parsed[self._label]
    return labels

  def _named(self, index: int) -> str:
    """Says which record of which file an example is, both counted from 0."""
    number = int(np.searchsorted(self._past, index, side="right"))
    file, _, stop = self._parts[number]
    return f"record {stop - int(self._past[number]) + index} of {file}"

  def _parsed(self, index: int) -> dict:
    try:
      with slow.named(self._named(index)):
        encoded = record(self._records, index)
      return self._features.deserialize_example_np(encoded, decoders=self._decoders)
    except (OSError, MemoryError):
      raise
    except Exception as error:  # array_record and protobuf raise their own kinds
      raise Unreadable(f"{self._named(index)}: {type(error).__name__}: {error}") from error

  def __getitem__(self, index: int) -> Example:
    record = self._parsed(index)
    name = self._named(index)
    image = images.decode(
      record[self._image], name, self._max_megapixels, self._size_px, self._form
    )
    label = int(record[self._label]) if self._label else -1
    if not -1 <= label < max(self.num_classes, 0):
      raise errors.UserError(
        f"{name} is of class {label}, and features.json names "
        f"{plural.of(self.num_classes, 'class', 'classes')}; {tfds_folder.ANEW}"
      )
    if self.native_size_px and image.shape[:2] != tuple(self._shape):
      raise errors.UserError(
        f"{name} has {image.shape[0]} x {image.shape[1]} pixels, and features.json says "
        f"{self._shape[0]} x {self._shape[1]}; {tfds_folder.ANEW}"
      )
    return {"image": image, "label": label, "index": index}

  def in_common(self, other: "Prepared") -> int:
    """Returns how many records of `other` are read here too, be they named by other slices."""
    return sum(
      max(0, min(stop, other_stop) - max(start, other_start))
      for file, start, stop in self._parts
      for other_file, other_start, other_stop in other._parts
      if file == other_file
    )

  def within(self, size_px: int) -> "Prepared":
    """Returns this source with images shrunk to fit in a square, decoded no larger than needed.

    Where all have one size they keep it: it is compared with what the set says.
    """
    source = copy.copy(self)
    source._size_px = None if self.native_size_px else size_px
    return source

  def formed(self, form) -> "Prepared":
    """Returns this source with images in another form than 8-bit RGB, see `pixels`."""
    source = copy.copy(self)
    source._form = form
    return source

  def ahead(self, indices: Sequence[int]) -> "Prepared":
    """Returns this source with some records already read, which is ten times as fast for many."""
    source = copy.copy(self)
    with slow.named(f"{self._named(indices[0])}, and others" if indices else "no record"):
      source._records = Ahead(self._records, indices)
    return source


def build(split: str, options: Options) -> Prepared:
  """Opens a split or a slice such as "train[:90%]".

  Raises:
    UserError: the set is not prepared, or TensorFlow Datasets is not installed.
  """
  try:
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import decode
  except ModuleNotFoundError as error:
    raise errors.UserError(
      f"data.source=tfds needs the package {error.name}; install the extra tfds: "
      "pip install -e '.[tfds]'"
    ) from error

  data_dir = options.path or tfds.core.constants.DATA_DIR
  if address.is_bucket(data_dir):
    folder, copy_records = tfds_folder.in_bucket(options.name, data_dir, options.cache_gb)
  else:
    folder, copy_records = tfds_folder.find(options.name, data_dir), None
  builder = tfds_folder.builder(folder)
  own = builder.info.full_name  # NAME/1.0.0 or NAME/CONFIG/1.0.0
  if options.name and options.name.replace(":", "/") not in (own, own.rpartition("/")[0]):
    raise errors.UserError(
      f"{data_dir} holds {own}, not {options.name}; set data.tfds.name or data.tfds.path"
    )
  tfds_folder.check_version(folder, str(builder.info.version))
  options = dataclasses.replace(options, name=options.name or own)
  features = builder.info.features
  image_key, label_key = options.image, options.label or _default_label(options.name, features)
  image_keys = [
    key for key, feature in features.items() if isinstance(feature, tfds.features.Image)
  ]
  if image_key not in image_keys:
    raise errors.UserError(
      f"{folder}/features.json has no image feature {image_key!r} but"
      f" {', '.join(image_keys) or 'none'}; set data.tfds.image"
    )
  if features[image_key].np_dtype not in (np.uint8, np.uint16):
    raise errors.UserError(
      f"{options.name}: {image_key} is {features[image_key].np_dtype}; uint8 and uint16 are read"
    )
  label_keys = [
    key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)
  ]
  if label_key is not None and label_key not in label_keys:
    is_no_class = (
      f"{label_key!r} is no class but {type(features[label_key]).__name__}"
      if label_key in features
      else f"there is no class feature {label_key!r}"
    )
    classes = " or ".join(sorted(label_keys))
    others = f"set it to {classes}" if classes else "the set has no classes"
    raise errors.UserError(
      f"data.tfds.label: {is_no_class} in {folder}/features.json; {others}, or leave it out"
    )
  tfds_folder.check_classes(folder, label_key, features)
  in_records = builder.info.file_format is tfds.core.FileFormat.ARRAY_RECORD
  if in_records:
    tfds_folder.check_splits(folder, builder.info.splits)
  try:
    parts = builder.info.splits[split].file_instructions
    if not parts:
      raise tfds_folder.without_records(folder, split)
    if in_records:
      if copy_records:
        copy_records(os.fspath(part.filename) for part in parts)
      tfds_folder.check_shards(parts)
    records = builder.as_data_source(split, deserialize_method=decode.DeserializeMethod.RAW_BYTES)
    len(records)
  except NotImplementedError as error:  # TFDS's word for a format without random access
    raise errors.UserError(
      f"{options.name} in {data_dir} is prepared as {builder.info.file_format.value},"
      " not array_record;"
      f" {tfds_folder.how_to_prepare(options.name, data_dir)}"
    ) from error
  except errors.UserError:
    raise
  except (ValueError, KeyError, AssertionError) as error:
    raise tfds_folder.unknown(options.name, folder, split, builder.info.splits, error) from error
  return Prepared(
    records,
    [(os.path.realpath(part.filename), part.skip, part.skip + part.take) for part in parts],
    features,
    image_key,
    label_key,
    own,
    options.max_megapixels,
  )


def _default_label(name: str, features) -> str | None:
  """Returns "label" if that is a class; a number or a text of that name is none."""
  import tensorflow_datasets as tfds

  if "label" not in features:
    return None
  if isinstance(features["label"], tfds.features.ClassLabel):
    return "label"
  logging.getLogger(__name__).warning(
    "warning: the feature label of %s is no class but %s: the images are taken without labels; "
    "data.tfds.label names another feature",
    name,
    type(features["label"]).__name__,
  )
  return None
