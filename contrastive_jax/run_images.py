"""The images of a run: from its config to sources, which all processes open alike."""

import json
import logging
from collections.abc import Callable
from typing import TypeVar

import jax
from ml_collections import ConfigDict

from contrastive_jax import data, errors, plural
from contrastive_jax.config import fields_of
from contrastive_jax.data import given, lists, parts, pixels, subset
from contrastive_jax.data.decoding import PIXELS, Decoding
from contrastive_jax.processes import agree

T = TypeVar("T")


def source(config: ConfigDict, split: str, images: given.Images | None = None) -> data.Source:
  """Opens a split of the run's images; `images` are those of the source "given"."""
  name = config.data.source
  if name == "given":
    return given.opened(images, split)
  options = dict(config.data[name].items()) if name in config.data else {}
  return data.build(name, split=split, **options)


def training_set(
  config: ConfigDict, images: given.Images | None = None
) -> tuple[data.Source, data.Source | None]:
  """Opens a run's training images: those trained on, and those held out (None: there are none)."""
  return subset.hold_out(source(config, config.data.split, images), config.data.held_out)


def in_turn(make: Callable[[], T]) -> T:
  """Returns `make()`, which opens images: on process 0 first, whose lists of files the others take.

  Every process must call. What one raises, `UserError` or `ReadFailed`, all raise.
  """
  if jax.process_count() == 1:
    return make()
  with agree.mistakes_shared():
    made = make() if jax.process_index() == 0 else None
  lists.trust(json.loads(agree.texts(json.dumps(lists.made()))[0]))
  with agree.mistakes_shared():
    return make() if made is None else made


def warn_if_scored_on_itself(config: ConfigDict, train: data.Source, test: data.Source) -> None:
  """Warns where images would be scored on themselves, which flatters neighbours above all.

  Args:
    config: names the splits.
    train: data.split, whole or what is trained on.
    test: data.eval_split, whole.
  """
  split, scored = config.data.split, config.data.eval_split
  if split == scored:
    what = f'data.split and data.eval_split are both "{split}": every image'
  else:
    count = parts.in_common(train, test)
    if not count:
      return
    of_all = f'of the {plural.of(len(test), "image")} of data.eval_split "{scored}"'
    what = plural.of(count, f"{of_all} is", f"{of_all} are")
    what += f' also in data.split "{split}": each of them'
  logging.getLogger(__name__).warning(
    "warning: %s finds itself among its neighbours, and scores tell nothing of new images; "
    "name another split",
    what,
  )


def form(config: ConfigDict) -> pixels.Form:
  """Returns what is made of the run's images: channels and bits of their pixels."""
  return pixels.Form(*(config.data[name] for name in PIXELS))


def check_rgb(config: ConfigDict, what: str) -> None:
  """Raises `UserError`, which says `what` cannot be done, unless images are RGB of 8 bits."""
  if (config.data.channels, config.data.bits) != (3, 8):
    raise errors.UserError(
      f"{what} takes three channels of 8 bits, and the run has data.channels "
      f"{config.data.channels} and data.bits {config.data.bits}; contrastive_jax embed gives its "
      "features as a file"
    )


def pipeline_options(config: ConfigDict) -> dict:
  """Returns how batches are assembled, as keyword arguments of the pipeline's functions."""
  return fields_of(Decoding, config.data)
