"""WebDataset shards: images and labels as members of tar files, read at random by their offsets.

Where a member lies is read from the headers of the tar files once and kept, see `tar_index`; after
that a sample is one read, an epoch has any order, and a run goes on with its batches as with those
of a folder. A sample is what WebDataset takes for one: members that follow each other and have the
same key, which is their name up to the first dot.
"""

import dataclasses
import re
from collections.abc import Iterator

import numpy as np

from contrastive_jax import errors
from contrastive_jax.data import encoded, images, shards, tar_folders, tar_index, text_labels
from contrastive_jax.data.identity import digest
from contrastive_jax.data.open_files import OpenFiles
from contrastive_jax.options import option

_FOLDER = "folder"  # the label is where a sample lies: n01440764/img1.jpg


@dataclasses.dataclass(frozen=True)
class Options:
  path: str = option(
    "",
    "DIR, DIR/NAME-{split}-{0000..0127}.tar or DIR/{split}-*.tar, not compressed",
    identity=False,
  )
  image: str = option("", "suffix of the image, after the key's dot; empty: any image format")
  label: str = option(
    "auto",
    "suffix of the label: cls, json:KEY, or another that begins with a dot; folder: the folder of "
    "a sample; auto: cls, if there; none: no labels",
  )
  names: str = option("", "file with the names of all classes, a line each", identity=False)
  index: str = option(
    "", "folder for the index of offsets (unset: the user's cache)", identity=False
  )
  max_megapixels: int = option(
    images.MAX_MEGAPIXELS,
    "of an image: a JPEG of more is decoded at 1/2, 1/4 or 1/8, any other is replaced",
  )
  cache_gb: float = option(
    50.0, "of shards in a bucket, which are kept on this host: at most so much", identity=False
  )

  def __post_init__(self):
    images.check_cache(self.cache_gb, "data.webdataset.cache_gb")
    images.check_limit(self.max_megapixels, "data.webdataset.max_megapixels")
    words = ("auto", "none", "cls", _FOLDER)
    if self.label not in words and not re.match(r"json:|\.[^.:]", self.label):
      raise errors.UserError(
        f"data.webdataset.label is {self.label!r}; use auto, none, cls, folder, json:KEY, or a "
        "suffix with its dot, such as .cls.txt"
      )


class Shards(encoded.Encoded):
  """The samples of some tar files, in the order of files and members."""

  def __init__(self, index: tar_index.Index, labels, names, max_megapixels: int):
    super().__init__(labels, names, max_megapixels)
    self._index, self._files = index, OpenFiles(index.files, index.sizes)

  def encoded(self, position: int) -> tuple[bytes, str]:
    file, offset, size = self._index.place(position)
    return self._files.read(file, offset, size), self._named(position)

  def _named(self, position: int) -> str:
    file, offset, _ = self._index.place(position)
    return f"the member at byte {offset} of {self._index.files[file]}"

  def content(self) -> str:
    """Returns a digest of names, places and sizes of all samples, and of their labels."""
    return digest([self._index.digest.encode(), self.labels.astype(np.int64).data])

  def in_files(self) -> Iterator[tuple[str, int]]:
    return zip(self._index.files, np.diff(self._index.starts).tolist(), strict=True)


def build(split: str, options: Options) -> Shards:
  """Opens the shards of a split, whose headers are read the first time.

  Raises:
    UserError: there is no such shard, one is compressed or damaged, no sample holds an image, or
      labels are no classes.
  """
  wanted = shards.Wanted(
    "data.webdataset.path", (".tar",), "'DIR/{split}-{0000..0127}.tar'", options.cache_gb
  )
  files = shards.find(options.path, split, wanted)
  asked = tar_index.Asked(options.image, options.label)
  index = tar_index.of(files, asked, options.index)
  names = encoded.read_names(options.names, "data.webdataset.names")
  what, key = f"the labels of {wanted.key} (split {split!r})", "data.webdataset.names"
  values = index.labels
  others = _labels_of_others(asked, options, split, wanted)
  if options.label == _FOLDER:
    folders = [] if names else [folder for found in others for folder in found.different.tolist()]
    values, known = tar_folders.named(values, folders, what)
    names, others = names or tuple(known), iter(())
  labels, names = encoded.class_numbers(values, names, what, key, others)
  return Shards(dataclasses.replace(index, labels=None), labels, names, options.max_megapixels)


def _labels_of_others(
  asked: tar_index.Asked, options: Options, split: str, wanted: shards.Wanted
) -> Iterator[text_labels.Found]:
  """Yields the labels of the other splits. Raises UserError: they are afar."""
  files = shards.of_other_splits(options.path, split, wanted)
  if files:
    yield tar_index.labels(files, asked, options.index)
