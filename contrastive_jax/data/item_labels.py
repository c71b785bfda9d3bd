"""The labels of what an object gives, one by one: class numbers, or names of classes.

An item is an image, (image, label, ...), or a mapping of the two by usual names.
"""

import contextlib
import logging
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from contrastive_jax import errors, reading
from contrastive_jax.data import list_classes, text_labels
from contrastive_jax.data.labels import number_of_classes

_IMAGE_KEYS, _LABEL_KEYS = ("image", "img", "jpg", "png"), ("label", "labels", "target", "cls")
_LOOKED_AT = 16  # items whose labels are compared with those that an object lists
_TOLD_FROM = 10_000  # items that are read for their labels


def parted(item: Any, name: str) -> tuple[Any, Any]:
  """Returns the image and the label (None: there is none) of what an object gave."""
  if isinstance(item, Mapping):
    image, label = (
      next((key for key in keys if key in item), None) for keys in (_IMAGE_KEYS, _LABEL_KEYS)
    )
    if image is None:
      raise errors.UserError(
        f"{name} has no {' or '.join(_IMAGE_KEYS)} but {', '.join(map(str, item))}; give (image, "
        "label)"
      )
    return item[image], item[label] if label else None
  if isinstance(item, tuple | list):
    if not item:
      raise errors.UserError(f"{name} is empty; give an image, or (image, label)")
    return item[0], item[1] if len(item) > 1 else None
  return item, None


def read(items: Any, name: str) -> tuple[np.ndarray | None, tuple[str, ...], int]:
  """Returns the labels of all items, int [n], the names of the classes, and how many there are."""
  found = _listed(items, name)
  if found is None:
    first, has_place = _first_label(items, name)
    if not has_place:
      _tell_of_other_keys(items, name)
      return None, (), 0
    if first is not None and _class(first) is None:
      logging.getLogger(__name__).warning(
        "warning: beside an image %s has no class but a %s: its images are taken without labels",
        *(name, type(first).__name__),
      )
      return None, (), 0
    if len(items) >= _TOLD_FROM:
      logging.getLogger(__name__).info(
        "%s lists no labels (targets): its %s items are read once for them", name, f"{len(items):,}"
      )
    found = [_label_of(items, i, name) for i in range(len(items))]
  if any(isinstance(label, str) for label in found):
    texts = text_labels.without_none(np.array([str(label) for label in found])).tolist()
    names = list_classes.classes(texts, f"the label of {name}")
    numbers = {text: number for number, text in enumerate(names)}
    return np.array([list_classes.class_of(text, numbers) for text in texts]), names, len(names)
  labels = np.array(found, np.int64)
  count = number_of_classes(labels, f"the label of {name}")
  names = getattr(items, "classes", ()) or _names_of_features(items)
  if not (isinstance(names, list | tuple) and all(isinstance(n, str) for n in names)):
    names = ()
  if len(names) < count:
    names = ()
  return labels, tuple(names), max(count, len(names))


def _tell_of_other_keys(items: Any, name: str) -> None:
  """Says that no key of an item is called as labels are, if one may be meant so."""
  with contextlib.suppress(Exception):  # whatever another's code raises: told elsewhere
    item = items[0]
    if not isinstance(item, Mapping):
      return
    can_be = [key for key in item if key not in _IMAGE_KEYS and _class(item[key]) is not None]
    if can_be:
      logging.getLogger(__name__).warning(
        "warning: items of %s have no %s but %s: images are taken without labels; give (image, "
        "label)",
        *(name, " or ".join(_LABEL_KEYS), ", ".join(map(str, can_be))),
      )


def _names_of_features(items: Any) -> Any:
  """Returns the names of classes that a set of Hugging Face's datasets tells; () if it is none."""
  features = getattr(items, "features", None)
  if not isinstance(features, Mapping):
    return ()
  label = next((features[key] for key in _LABEL_KEYS if key in features), None)
  return getattr(label, "names", ())


def _first_label(items: Any, name: str) -> tuple[Any, bool]:
  """Returns the first label that there is, and whether items have a place for one, of the first 16.

  An item that fails tells neither: that is told when its image is read.
  """
  has_place = False
  for i in range(min(len(items), _LOOKED_AT)):
    named = f"item {i} of {name}"
    try:
      item = reading.patiently(named, lambda i=i: items[i])
    except (errors.UserError, errors.ReadFailed, MemoryError):
      raise
    except Exception:  # whatever another's code raises
      continue
    _, label = parted(item, named)
    if label is not None:
      return label, True
    if isinstance(item, Mapping):
      has_place = has_place or any(key in item for key in _LABEL_KEYS)
    elif isinstance(item, tuple | list):
      has_place = has_place or len(item) > 1
    if not has_place:
      break
  return None, has_place


def _listed(items: Any, name: str) -> list[int | str] | None:
  """Returns the labels that an object lists, if they are those of its items."""
  columns = getattr(items, "column_names", ())  # of a set of Hugging Face's datasets
  columns = columns if isinstance(columns, list | tuple) else ()
  ways = [lambda key=key: getattr(items, key, None) for key in ("targets", "labels")]
  ways += [lambda key=key: list(items[key]) for key in _LABEL_KEYS if key in columns]
  for way in ways:
    listed = way()
    if hasattr(listed, "__array__"):  # of a file or a device at once, not one by one
      listed = np.asarray(listed)
      listed = listed.reshape(-1) if listed.size == len(listed) else listed
    if listed is not None and hasattr(listed, "__len__") and len(listed) == len(items):
      found = [_class(label) for label in listed]
      # Not at equal distances: classes may come in turn.
      places = np.random.default_rng(0).integers(0, len(items), _LOOKED_AT).tolist()
      if None not in found and all(_label_of(items, i, name) == found[i] for i in places):
        return found
  return None


def _label_of(items: Any, index: int, name: str) -> int | str:
  """Returns the label of an item; -1 where it cannot be read, or has none."""
  named = f"item {index} of {name}"
  try:
    _, label = reading.patiently(named, lambda: parted(items[index], named))
  except (errors.UserError, errors.ReadFailed, MemoryError):
    raise
  except Exception:  # whatever another's code raises: told when the image is read
    return -1
  found = -1 if label is None else _class(label)
  if found is None:
    raise errors.UserError(f"{named}: label {label!r} is no class; give 0, 1, ..., or -1 for none")
  return found


def _class(label: Any) -> int | str | None:
  if isinstance(label, str):
    return label
  if isinstance(label, bytes):  # as h5py gives texts
    return label.decode(errors="surrogateescape")
  if isinstance(label, np.bool_):
    return int(label)
  try:
    return operator.index(label)  # also of NumPy and, without dimensions, of PyTorch
  except TypeError:
    return None
