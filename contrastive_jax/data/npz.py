"""Images in one NumPy file: `images` uint8 [n, h, w, 3] and, if known, `labels` [n].

Further integer arrays of length n become factors (coarse classes, ...). A path may contain
"{split}".
"""

import copy
import dataclasses
import errno
import itertools
import logging
import math
import pathlib
import re
import zipfile
from collections.abc import Collection, Iterator

import numpy as np

from contrastive_jax import data, errors, paths, plural, reading, slow
from contrastive_jax.buckets import address, files
from contrastive_jax.data import (
  Example,
  array_files,
  array_folders,
  images,
  npz_labels,
  parts,
  pixels,
  splits,
  text_labels,
)
from contrastive_jax.data.identity import digest
from contrastive_jax.data.labels import first_repeated, number_of_classes
from contrastive_jax.options import option

_IMAGES, _LABELS = ("images", "image", "x"), ("labels", "label", "y")  # the first that is there
_MOST_CHANNELS = 64  # more are a side of an array that is to be transposed


@dataclasses.dataclass(frozen=True)
class Options:
  path: str = option(
    "",
    "FILE.npz, DIR/NAME_{split}.npz for one file per split, or the folder of CIFAR or MNIST",
    identity=False,
  )
  label: str = option(
    "", "array used as label, NAME or NAME_{split}; empty: labels, label, y or y_SPLIT; none: none"
  )
  holdout: float = option(
    0.0, "part of the training images that is split test, where there is none: 0.1, ..."
  )
  cache_gb: float = option(
    50.0, "of a file in a bucket, which is kept on this host: at most so large", identity=False
  )

  def __post_init__(self):
    parts.check(self.holdout, "data.npz.holdout")
    images.check_cache(self.cache_gb, "data.npz.cache_gb")


class Arrays:
  """The arrays of one file, held in memory."""

  _form = pixels.Form()

  def __init__(self, images, labels, label_names, factors, num_classes, origin):
    self.origin = origin  # file and name of the array
    self.images, self.labels, self.factors = images, labels, factors
    self.label_names = label_names
    self.num_classes = num_classes
    self.native_size_px = max(images.shape[1:3])

  def __len__(self) -> int:
    return len(self.images)

  def content(self) -> str:
    """Returns a digest of pixels and labels, which are in memory."""
    labels = np.full(len(self), -1) if self.labels is None else self.labels
    shape = repr(self.images.shape).encode()
    pixels = np.ascontiguousarray(self.images).data
    return digest([shape, pixels, labels.astype(np.int64).tobytes()])

  def __getitem__(self, index: int) -> Example:
    image = self.images[index]
    if self._form is not pixels.NATIVE:
      image = pixels.formed(image, self._form, f"image {index} of {self.origin[0]}")
    return {
      "image": image,
      "label": -1 if self.labels is None else int(self.labels[index]),
      "index": index,
    }

  def formed(self, form: pixels.Form) -> "Arrays":
    """Returns this source with images in another form than 8-bit RGB, see `pixels`."""
    held = self.images.shape[-1]
    if form.channels not in (0, held) and (held, form.channels) not in pixels.GREY_OR_RGB:
      raise errors.UserError(
        f"{self.origin[0]}: {self.origin[1]} has shape {list(self.images.shape)}, and "
        f"data.channels is {form.channels}; set --config.data.channels={held}, or transpose it to "
        "[n, h, w, c]"
      )
    source = copy.copy(self)
    source._form = form
    return source

  def in_common(self, other: "Arrays") -> int:
    """Returns how many images of `other` are here too: all, if it is the same array."""
    return len(other) if self.origin == other.origin else 0


def build(split: str, options: Options) -> data.Source:
  """Opens a split. Raises UserError for a missing file or key, a wrong type or shape."""
  return parts.held_out(
    lambda asked: _opened(asked, options), split, options.holdout, "data.npz.holdout"
  )


def _opened(split: str, options: Options) -> Arrays:
  path = _path(options.path.replace("{split}", split), options.cache_gb)
  is_folder = reading.is_folder(path)
  arrays = array_folders.read(path, split, options.label) if is_folder else _load(path)
  keys, label_keys, name = list(_IMAGES), [*_LABELS, f"y_{split}"], split
  if "{split}" not in options.path:
    if of_split := _of_split(arrays, split):
      name, image_key, label_key = of_split
      keys, label_keys = [image_key], [label_key, *label_keys]
    elif split != "train":
      if f"images_{split}" in arrays:
        raise errors.NoSplit(
          f"{path} has images_{split} beside images, which is read as train and may be all; "
          "if it is not call it images_train (and its labels labels_train)"
        )
      raise errors.NoSplit(
        f"{path} holds no split {split!r} (no array x_{split}, {split}_images or images_{split}); "
        "use one file per split and write {split} in data.npz.path, or hold out a part as split "
        "test, --config.data.npz.holdout=0.1"
      )
  image_key = next((key for key in keys if key in arrays), None)
  if image_key is None:
    raise errors.UserError(
      f"{path} has no array 'images' (nor image, x) but {_names(arrays)}; rename one"
    )
  pixels = _check_images(path, image_key, arrays[image_key])
  label_keys = [options.label.replace("{split}", name)] if options.label else label_keys
  label_key = next((key for key in label_keys if key in arrays), None)
  if options.label not in ("", "none") and label_key is None:
    raise errors.UserError(
      f"{path} has no array {label_keys[0]!r} but {_names(arrays)}; set data.npz.label"
    )
  if label_key is None and not options.label:
    _tell_of_no_labels(path, arrays, image_key, name, label_keys)
  labels, num_classes = None, 0
  said = np.ravel(arrays.get("label_names", ()))
  names = tuple(text_labels.text(f"{path}: label_names", name) for name in said)
  if label_key is not None:
    what, others = f"{path}: {label_key}", _labels_of_others(arrays, label_key, split, options)
    read = npz_labels.read(what, arrays[label_key], len(pixels), names, others)
    labels, names = read.numbers, names or read.names
    num_classes = max(number_of_classes(labels, what), read.columns)
    if names and len(names) < num_classes:
      raise errors.UserError(
        f"{path}: label_names holds {plural.of(len(names), 'name')} for {num_classes} classes; "
        "name each"
      )
    if (twice := first_repeated(names)) is not None:
      raise errors.UserError(
        f"{path}: label_names holds {twice!r} twice; give each class a name of its own"
      )
    num_classes = max(num_classes, len(names))
  factors = {
    key: array
    for key, array in arrays.items()
    if array.shape == (len(pixels),) and array.dtype.kind in "iu" and key != label_key
  }
  return Arrays(pixels, labels, names, factors, num_classes, (path.resolve(), image_key))


def _tell_of_no_labels(
  path: pathlib.Path, arrays: dict[str, np.ndarray], images: str, split: str, usual: list[str]
) -> None:
  """Says that no array is called as labels are, if one may be meant so."""
  n = len(arrays[images])
  can_be = [
    key
    for key, array in arrays.items()
    if array.shape in ((n,), (n, 1)) and array.dtype.kind in "biuUS" and key != "label_names"
  ]
  if can_be:
    logging.getLogger(__name__).warning(
      "warning: %s has no array of labels, such as %s, but %s: images are taken without; set "
      "data.npz.label to %s, or to none",
      *(path, usual[0], ", ".join(can_be), can_be[0].replace(split, "{split}")),
    )


def _labels_of_others(
  arrays: dict[str, np.ndarray], own: str, split: str, options: Options
) -> Iterator[np.ndarray]:
  """Yields the labels of other splits: in the same file, or in those that the path names."""
  names = {name for key in arrays for name in _named(key) if splits.kind(name, short=True)}
  keys = [labels for name in sorted(names) for _, labels in _keys(name)]
  if options.label:
    keys = [options.label.replace("{split}", name) for name in sorted(names)]
  yield from (arrays[key] for key in dict.fromkeys(keys) if key in arrays and key != own)
  if "{split}" not in options.path:
    return
  for name in splits.spelt_like(split):
    asked = options.label.replace("{split}", name)
    keys = [asked] if asked else [*_LABELS, f"y_{name}"]
    try:
      found = _load(_path(options.path.replace("{split}", name), options.cache_gb), keys)
    except errors.Absent:
      continue
    yield from itertools.islice((found[key] for key in keys if key in found), 1)


def _of_split(arrays: Collection[str], split: str) -> tuple[str, ...]:
  """Returns a split's own name, and those of its images and labels, in a file of several; (): none.

  Keras' mnist.npz has x_train and y_train, scikit-learn's users X_train, MedMNIST train_images, and
  who writes a file for each split as `images` may put all into one as images_train.
  """
  names = [split, *(name for key in arrays for name in _named(key))]
  kind = splits.kind(split)
  alike = [name for name in names if name == split or kind and splits.kind(name) == kind]
  if not set(_IMAGES) & set(arrays):
    alike += [name for name in names if splits.is_short_for(name, split)]
  beside = {f"images_{name}" for name in alike if set(_IMAGES) & set(arrays)}  # `images` counts
  found = ((name, *pair) for name in alike for pair in _keys(name))
  return next((one for one in found if one[1] in arrays and one[1] not in beside), ())


def _named(key: str) -> list[str]:
  """Returns the split that an array of images is called by, if it is: x_train, train_images."""
  match = re.fullmatch(r"[xX]_(\w+)|(\w+)_images|images_(\w+)", key)
  return [name for name in match.groups() if name] if match else []


def _keys(name: str) -> list[tuple[str, str]]:
  """Returns what the images and labels of a split may be called in a file of several."""
  return [
    (f"x_{name}", f"y_{name}"),
    (f"X_{name}", f"y_{name}"),
    (f"{name}_images", f"{name}_labels"),
    (f"images_{name}", f"labels_{name}"),
  ]


def _path(given: str, cache_gb: float) -> pathlib.Path:
  """Returns the path of a file on this host, to which one in a bucket is copied."""
  key = "data.npz.path"
  if not address.is_bucket(given):
    return pathlib.Path(paths.local(given, key))
  folder, _, name = given.rpartition("/")
  if array_files.is_called_so(name):
    raise errors.UserError(
      f'"{given}" is in a bucket, and files as of STL-10, SVHN and MNIST are read on this machine: '
      f"copy the set here, or save its arrays as .npz; then set {key}"
    )
  place = address.parsed(folder, key)
  found = files.Files(place, key, under=name, whole_folder=False)
  if name not in found.sizes:
    raise errors.Absent(f'no file "{given}"; set {key} to a .npz file')
  return found.only([name]).whole([name], cache_gb, "data.npz.cache_gb") / name


def _load(path: pathlib.Path, wanted: Collection[str] = ()) -> dict[str, np.ndarray]:
  """Returns the arrays of a file, or those of them that are wanted. Raises UserError."""
  if not array_files.is_there(path):
    raise errors.Absent(f'no file "{path}"; set data.npz.path to a .npz file')
  if (found := array_files.read(path)) is not None:
    return found
  try:
    _check_sizes(path)
    with slow.named(str(path)), np.load(path, allow_pickle=False) as file:
      members = [name.removesuffix(".npy") for name in file.zip.namelist() if _is_array(name)]
      return {key: file[key] for key in members if not wanted or key in wanted}
  except Exception as error:  # damaged files make zlib, tokenize and NumPy raise almost anything
    # A damaged directory has a seek to before the file's begin: that is no fault of the system.
    if reading.may_pass(error) and getattr(error, "errno", None) != errno.EINVAL:
      raise
    raise errors.UserError(
      f"{path} is not a .npz file of plain arrays ({error});"
      " write it with numpy.savez(path, images=..., labels=...)"
    ) from error


def _check_sizes(path: pathlib.Path) -> None:
  """Raises ValueError if an array claims another size than its member of the file has.

  NumPy would take the memory that a header asks for before it looks whether the file holds as much.
  """
  held = path.stat().st_size
  with slow.named(str(path)), zipfile.ZipFile(path) as file:
    arrays = [member for member in file.infolist() if _is_array(member.filename)]
    if (twice := first_repeated(member.filename for member in arrays)) is not None:
      raise ValueError(f"it holds {twice} twice")
    for member in arrays:
      # Deflate makes 1 byte of 1,032 at most (zlib.net/zlib_tech.html).
      if member.compress_size > held or member.file_size > 1100 * member.compress_size + 1000:
        raise ValueError(f"{member.filename} claims {member.file_size:,} bytes")
      with file.open(member) as content:
        try:
          version = np.lib.format.read_magic(content)
          read = {(1, 0): np.lib.format.read_array_header_1_0}
          shape, _, dtype = read.get(version, np.lib.format.read_array_header_2_0)(content)
        except MemoryError as error:  # of Python's parser: not the memory that is short
          raise ValueError(f"the header of {member.filename} is damaged") from error
        claimed = math.prod(shape) * dtype.itemsize
        if dtype.hasobject:
          raise ValueError(f"{member.filename} holds Python objects")
        if min(shape, default=0) < 0 or claimed != member.file_size - content.tell():
          raise ValueError(
            f"{member.filename} claims {list(shape)} {dtype}, {claimed:,} bytes, and holds "
            f"{member.file_size - content.tell():,}"
          )


def _is_array(name: str) -> bool:
  return name.endswith(".npy")


def _check_images(path, key, images):
  if images.dtype.kind not in "biuf":
    raise errors.UserError(f"{path}: {key} is {images.dtype}, and pixels are numbers; convert it")
  if images.ndim == 3:
    images = images[..., None]
  if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3):
    images = images.transpose(0, 2, 3, 1)  # as PyTorch has them
  if images.ndim != 4 or images.shape[-1] > _MOST_CHANNELS:
    raise errors.UserError(
      f"{path}: {key} has shape {images.shape}, not [n, h, w, 3], [n, h, w, channels]"
      " or [n, h, w]; transpose it"
    )
  if not images.size:
    raise errors.UserError(
      f"{path}: {key} has shape {images.shape}: no pixels; give at least one image"
    )
  return images


def _names(arrays) -> str:
  return ", ".join(arrays) or "nothing"
