"""The images of an evaluation: the run's own or others, and how they become batches and views."""

import contextlib
import copy
import dataclasses
import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from contrastive_jax import augment, build, catalogue, data, errors, plural, run_images
from contrastive_jax.data import given as given_lib
from contrastive_jax.data import order, pixels, subset
from contrastive_jax.data.decoding import PIXELS, Decoding
from contrastive_jax.data.labels import number_of_classes, tell_of_one_class
from contrastive_jax.evaluation import config as eval_config

_SHOWN = 3  # classes named in a message
# Fits the machine, whatever the images.
_DECODING = [
  field.name
  for field in dataclasses.fields(Decoding)
  if field.name not in ("host_size_px", *PIXELS)
]


@dataclasses.dataclass(frozen=True)
class Images:
  """The two splits and what they are called in messages."""

  train: data.Source
  test: data.Source
  train_name: str
  test_name: str
  num_classes: int
  label_names: tuple[str, ...]
  view: augment.Recipe
  batch_size: int
  pipeline_options: dict[str, Any]
  order_name: str  # of the run: what is trained on images sees them in its order

  @property
  def classes_known(self) -> bool:
    """Whether the labels of both splits are known without reading their images."""
    return all(subset.labels_of(source) is not None for source in (self.train, self.test))

  @property
  def training_options(self) -> dict[str, Any]:
    """Returns keyword arguments of `pipeline.train_batches`."""
    return {**self.pipeline_options, "order_name": self.order_name}


def load(
  config: ConfigDict, run_config: ConfigDict, given: given_lib.Images | None = None
) -> Images:
  """Opens the training and the test split: the run's own, or what `config.data` puts in place.

  Args:
    config: of the evaluation, see `eval_config`.
    run_config: of the training run.
    given: images of the source "given", by split.

  Raises:
    UserError: there is no such split, source or factor, or no labels where they are needed.
  """
  merged = _merged(config, run_config)
  asked = config.data
  splits = (merged.data.split, merged.data.eval_split)
  names = [f'split "{split}" of data source "{merged.data.source}"' for split in splits]
  if asked.held_out:
    with _told_of_the_run(asked):
      train, test = _held_out(config, merged, given)
    names[1] = f"what the run held out of {names[0]}"
  else:
    with _told_of_the_run(asked), data.one_look():
      train, test = run_images.source(merged, splits[0], given), _scored(merged, given)
    run_images.warn_if_scored_on_itself(merged, train, test)
  if asked.label:
    num_classes = max(
      number_of_classes(_factor(s, asked.label), f'factor "{asked.label}"') for s in (train, test)
    )
    train, test = (_Relabelled(s, asked.label, num_classes) for s in (train, test))
  for source, name in zip((train, test), names, strict=True):
    if not source.num_classes and not set(config.protocols) <= eval_config.NEED_NO_LABELS:
      raise errors.UserError(
        f"{name} has no labels, which probes and neighbours need; "
        f"{'leave out data.held_out and ' if asked.held_out else ''}set --config.data.source, "
        "--config.data.split or --config.data.eval_split to one that has"
      )
  label_names = max(tuple(train.label_names), tuple(test.label_names), key=len)
  known = [subset.labels_of(source) for source in (train, test)]
  needed = not set(config.protocols) <= eval_config.NEED_NO_LABELS
  if needed:
    check_names(train.label_names, test.label_names, *names)
    _tell_of_bare_numbers(train.label_names, test.label_names, *names)
  if needed and all(labels is not None for labels in known):  # else once they are read
    check_classes(*known, *names, label_names)
  if needed and "transformation" not in config.protocols:
    train = subset.labelled(train)  # others would be encoded in vain: 100,000 of STL-10
  return Images(
    train=subset.evenly(subset.share(train, asked.train_share), asked.max_train or len(train)),
    test=subset.evenly(test, asked.max_test or len(test)),
    train_name=names[0],
    test_name=names[1],
    num_classes=max(train.num_classes, test.num_classes),
    label_names=label_names,
    view=build.recipe(merged),
    batch_size=config.batch_size,
    pipeline_options=run_images.pipeline_options(merged),
    order_name=run_config.data.order or order.NEWEST,
  )


class Split(NamedTuple):
  """The images of one split, to be looked at once each."""

  source: data.Source
  name: str  # in messages
  view: augment.Recipe
  pipeline_options: dict[str, Any]

  @property
  def form(self) -> pixels.Form:
    """What is made of an image before it is a batch's: channels, bits, range of values."""
    return pixels.Form(*(self.pipeline_options[name] for name in PIXELS))


def one_split(
  config: ConfigDict,
  run_config: ConfigDict,
  which: str,
  given: given_lib.Images | None = None,
) -> Split:
  """Opens the split "train" or "test" alone, by its name in the run or in `config.data`.

  Nothing is kept in memory of images that are seen once. `given` is as for `load`. Raises
  `UserError` as `load` does.
  """
  merged = _merged(config, run_config)
  split = merged.data.split if which == "train" else merged.data.eval_split
  with _told_of_the_run(config.data):
    source = run_images.source(merged, split, given)
  merged.data.cache = "none"
  name = f'split "{split}" of data source "{merged.data.source}"'
  return Split(source, name, build.recipe(merged), run_images.pipeline_options(merged))


def check_names(train: Sequence[str], test: Sequence[str], train_name: str, test_name: str) -> None:
  """Raises UserError if two splits number their classes otherwise; one may know more of them.

  Args:
    train, test: names of the classes, () where they have none.
    train_name, test_name: how the message calls their images.
  """
  for number, (one, other) in enumerate(zip(train, test, strict=False)):
    if one != other:
      raise errors.UserError(
        f"nothing is scored: class {number} is {one!r} in {train_name} and {other!r} in "
        f"{test_name}; number the classes of both alike"
      )


def _tell_of_bare_numbers(
  train: Sequence[str], test: Sequence[str], train_name: str, test_name: str
) -> None:
  """Says that one of two splits with labels names its classes and the other only numbers them."""
  if bool(train) != bool(test):
    with_names, bare = (train_name, test_name) if train else (test_name, train_name)
    logging.getLogger(__name__).warning(
      "warning: %s has names of its classes, and %s numbers alone: class 0 is taken to be %r in "
      "both; if it is not, scores mean nothing",
      *(with_names, bare, (train or test)[0]),
    )


def check_classes(
  train: np.ndarray, test: np.ndarray, train_name: str, test_name: str, names: Sequence[str]
) -> None:
  """Warns of classes that are scored and not among those that vote, or that probes are trained on.

  Args:
    train, test: labels, int [n]; below 0: none.
    train_name, test_name: how messages call their images.
    names: of the classes.

  Raises:
    UserError: none is, and every score would be 0.
  """
  known, scored = (np.unique(labels[labels >= 0]) for labels in (train, test))
  missing = np.setdiff1d(scored, known)
  tell_of_one_class(known, names, train_name)
  if not len(missing) or not len(known):  # or images without labels, which is told elsewhere
    return
  some = ", ".join(str(names[i]) if i < len(names) else str(i) for i in missing[:_SHOWN])
  some += ", ..." if len(missing) > _SHOWN else ""
  if len(missing) == len(scored):
    raise errors.UserError(
      f"nothing is scored: none of the {plural.of(len(scored), 'class', 'classes')} of {test_name} "
      f"({some}) is among "
      f"the {len(known):,} of {train_name}; see that both name their classes alike, or score "
      "another split, --config.data.eval_split"
    )
  logging.getLogger(__name__).warning(
    "warning: %s of %s (%s) %s not in %s: images of %s count as wrong",
    *(f"{len(missing):,} of the {len(scored):,} classes", test_name, some),
    *(("is", train_name, "it") if len(missing) == 1 else ("are", train_name, "them")),
  )


@contextlib.contextmanager
def _told_of_the_run(asked: ConfigDict) -> Iterator[None]:
  """Says of images that cannot be had where their options come from, if that is not the user."""
  try:
    yield
  except errors.UserError as error:
    if asked.source:
      raise
    raise type(error)(
      f"{error} (data.split, data.eval_split and the images are those of the run's config.json, "
      "but for what --config.data of the evaluation gives)"
    ) from error


def _scored(merged: ConfigDict, given: given_lib.Images | None) -> data.Source:
  """Opens the split that is scored. Raises `UserError` that says what else there is to score."""
  try:
    return run_images.source(merged, merged.data.eval_split, given)
  except errors.UserError as error:
    _, held_out = run_images.training_set(merged, given)
    if held_out is None or not held_out.num_classes:
      raise
    raise errors.UserError(
      f"{error}; or score what the run held out of its training set, --config.data.held_out=True"
    ) from error


def _held_out(
  config: ConfigDict, merged: ConfigDict, given: given_lib.Images | None
) -> tuple[data.Source, data.Source]:
  """Opens what the run was trained on and what it held out. Raises `UserError` if it cannot."""
  for key in ("source", "split", "eval_split"):
    if config.data[key]:
      raise errors.UserError(
        f"data.held_out scores images of the run's own training set, and data.{key} "
        f'"{config.data[key]}" names others; leave one of them out'
      )
  train, test = run_images.training_set(merged, given)
  if test is None:
    raise errors.UserError(
      f"data.held_out: the run held none of its {plural.of(len(train), 'training image')} out; "
      "score another split, --config.data.eval_split"
    )
  return train, test


def _merged(config, run_config) -> ConfigDict:
  """Returns the run's config with the evaluation's images in it."""
  asked, own = config.data, run_config.data
  merged = run_config.copy_and_resolve_references()
  with merged.ignore_type():
    if asked.source:
      merged.data = asked.copy_and_resolve_references()
      if asked.source == own.source == "tfds":  # prepared sets lie beside each other
        merged.data.tfds.path = asked.tfds.path or own.tfds.path
      merged.data.split = asked.split or "train"
      merged.data.eval_split = asked.eval_split or "test"
    else:
      for key, value in _of_own_source(asked, own.source).items():
        merged.data[own.source][key] = value
      merged.data.split = asked.split or own.split
      merged.data.eval_split = asked.eval_split or own.eval_split
      merged.data.host_size_px = asked.host_size_px or own.host_size_px
    with merged.data.unlocked():  # other images come in the form of the run's: its network has it
      for key in PIXELS:
        merged.data[key] = own[key]
    for key in _DECODING:
      merged.data[key] = own[key] if asked[key] is None else asked[key]
    merged.image_size_px = config.image_size_px or run_config.image_size_px
  return merged


def _of_own_source(asked: ConfigDict, source: str) -> dict[str, Any]:
  """Returns the options of the run's source that the evaluation gives: all that are not defaults.

  Raises:
    UserError: it gives one of another source, which nothing would read.
  """
  given = {}
  for name in catalogue.sources():
    defaults = {field.name: field.default for field in dataclasses.fields(catalogue.source(name))}
    given[name] = {key: value for key, value in asked[name].items() if value != defaults[key]}
    if given[name] and name != source:
      key, value = next(iter(given[name].items()))
      raise errors.UserError(
        f'data.{name}.{key} is {value!r}, but the images are the run\'s own, of source "{source}"; '
        f"add --config.data.source={name} to take others"
      )
  return given[source]


class _Relabelled:
  """A source whose label is one of its factors."""

  def __init__(self, source: data.Source, factor: str, num_classes: int):
    self._source, self.labels = source, _factor(source, factor)
    self.num_classes, self.label_names = num_classes, ()
    self.factors, self.native_size_px = source.factors, source.native_size_px

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> data.Example:
    return {**self._source[index], "label": int(self.labels[index])}

  def ahead(self, indices: Sequence[int]) -> "_Relabelled":
    relabelled = copy.copy(self)
    relabelled._source = data.ahead(self._source, indices)
    return relabelled

  def within(self, size_px: int) -> "_Relabelled":
    relabelled = copy.copy(self)
    relabelled._source = data.within(self._source, size_px)
    return relabelled

  def formed(self, form: Any) -> "_Relabelled":
    relabelled = copy.copy(self)
    relabelled._source = data.formed(self._source, form)
    return relabelled


def _factor(source, name):
  if name not in source.factors:
    known = ", ".join(source.factors) or "none"
    raise errors.UserError(f'data.label "{name}" is no factor of the source; it has {known}')
  return source.factors[name]
