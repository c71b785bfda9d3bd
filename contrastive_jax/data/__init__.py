"""Image sets with random access: every source is one module here, found by its name.

A source module (`shapes`, `folder`, `webdataset`, ...) defines a frozen dataclass `Options` and a
function `build(split, options)`; adding one is adding a file. Sources know files and pixels;
batches, order and processes belong to `pipeline`. Nothing in a source imports JAX, so that worker
processes start quickly.

Imports: buckets, catalogue, errors, hiding, limits, locking, numpy_pickle, options, orphan, paths,
places, plural, reading, slow.
"""

import contextlib
import contextvars
import dataclasses
import importlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypedDict

import numpy as np

from contrastive_jax import catalogue, errors, reading, slow


class Unreadable(Exception):
  """One image that cannot be decoded. The pipeline puts a neighbour in its place."""


class Refused(Unreadable):
  """One that may be whole, but not as the options stand; the text says what to change."""


class Example(TypedDict):
  image: np.ndarray  # uint8 [h, w, 3], any size; or of the form that was asked for
  label: int  # -1: no label
  index: int  # position in the source


class Source(Protocol):
  """Random access to the images of one split.

  `source[i]` raises `Unreadable` if the image is damaged, and lets through what the system says
  when it cannot read (`reading.may_pass`): whoever asked waits and asks again.

  Sources are compared by identity. One that reads many records faster than one by one also has
  `ahead(indices)`, which returns the same source with those records at hand. One that decodes files
  has `within(size_px)`, which returns it with images shrunk to fit in a square of that side: less
  is decoded. One whose files may hold other pixels than 8-bit RGB has `formed(form)`, which returns
  it with images in a form of `pixels`. One whose splits may overlap has `in_common(other)`, which
  counts the images of `other`, of its own kind, that it holds too, and mostly `places(positions)`,
  a number of 64 bits for where each of these lies; one whose images have names has `hashes(seed)`,
  likewise for each name; one that knows all labels without reading an image has `labels`, int [n];
  one whose files may change has `content()`, a text that changes with its images, their order or
  their labels.
  """

  num_classes: int  # 0: no labels
  label_names: tuple[str, ...]  # () if the classes have no names
  factors: dict[str, np.ndarray]  # extra labels, int [n] each
  native_size_px: int | None  # longer side of every image; None: not known, or not one size

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> Example: ...


def ahead(source: Source, indices: Sequence[int]) -> Source:
  """Returns a source with some records at hand, if it can read ahead."""
  return source.ahead(indices) if hasattr(source, "ahead") else source


def within(source: Source, size_px: int) -> Source:
  """Returns a source with images shrunk to fit in a square, if it can shrink them."""
  return source.within(size_px) if hasattr(source, "within") else source


def formed(source: Source, form: Any) -> Source:
  """Returns a source with images in another form than 8-bit RGB, see `pixels`, if it can."""
  return source.formed(form) if hasattr(source, "formed") else source


# What opens splits of a source with its options, while they share a look at its folder.
_looks: contextvars.ContextVar[dict | None] = contextvars.ContextVar("looks", default=None)


@contextlib.contextmanager
def one_look() -> Iterator[None]:
  """What `build` opens of a folder meanwhile has one look at it: a bucket takes minutes to list."""
  before = _looks.set({})
  try:
    yield
  finally:
    _looks.reset(before)


def build(source: str, *, split: str, **given: Any) -> Source:
  """Opens a split of a source by the name of its module.

  Options that are None or "" count as not given.

  Args:
    source: one of `catalogue.sources()`: "shapes", "folder", "npz", "tfds", "webdataset", ...
    split: "train", "test", ..., a slice such as "train[:10000]" or "train[80%:]" (see `parts`), or
      several, "train+extra" (see `several`); for `tfds` see its own documentation.
    **given: fields of the source's `Options`.

  Raises:
    UserError: an unknown source, an option that it does not have, or whatever the source finds
      wrong.
    ReadFailed: the system could not read it, and waiting did not help.
  """
  known = [field.name for field in dataclasses.fields(catalogue.source(source))]
  module = importlib.import_module(f"{__name__}.{source}")
  given = {key: value for key, value in given.items() if value is not None and value != ""}
  for key, value in given.items():
    if key not in known:
      raise errors.UserError(
        f'data source "{source}" has no option {key} (given {value!r}); it takes {", ".join(known)}'
      )
  options = module.Options(**given)
  looks = {} if _looks.get() is None else _looks.get()
  parts, several = (importlib.import_module(f"{__name__}.{name}") for name in ("parts", "several"))

  def opened() -> Source:
    with slow.named(f"{given.get('path', '')} of the data source {source}".lstrip()):
      if hasattr(module, "TAKES_SLICES"):
        return module.build(split, options)
      # Of a try that failed no look is kept: a disk may come back with other folders.
      shared = hasattr(module, "opener")
      make = looks.pop(options, None) or module.opener(options) if shared else None

      def one(asked: str) -> Source:
        name, cut = parts.parsed(asked)
        found = make(name) if make else module.build(name, options)
        return found if cut is None else parts.sliced(found, cut, asked)

      found = several.opened(split, one)
      if shared:
        looks[options] = make
      return found

  try:
    return reading.patiently(f"data source {source}", opened)
  except PermissionError as error:
    raise errors.UserError(
      f'data source "{source}" may not read {error.filename or "its files"} ({error.strerror}); '
      "set the permissions right or name others"
    ) from error
