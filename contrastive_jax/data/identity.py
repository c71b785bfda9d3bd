"""What a run's images are, in a few words: the same words mean the same images in the same order.

Order, schedule and the meaning of "epoch" follow from the number of images, and labels from the
classes: a run that goes on with others would be another run.

Imports: data, reading.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from contrastive_jax import data, reading
from contrastive_jax.data import pixels

_LOOKED_AT = 64  # images

Identity = dict[str, Any]  # "images", "classes", "class names", "content"


def of(source: data.Source) -> Identity:
  """Returns number of images, of classes, the names of these, and a digest of what is cheap.

  A source that has `content()` says in it by what its images and labels are told from others.
  """
  told = source.content() if hasattr(source, "content") else ""
  return {
    "images": len(source),
    "classes": source.num_classes,
    "class names": list(source.label_names),
    "content": told,
  }


def facts(what: str, source: data.Source) -> dict[str, object]:
  """Returns what processes that read `source`, called `what`, must agree about.

  To the identity, which may know no more than names and sizes, it adds a digest of labels and
  pixels, as the files have them, of 64 images. Raises `ReadFailed`, and `UserError` where that
  takes a package that is absent.
  """
  parts, native = [], data.formed(source, pixels.NATIVE)
  for i in range(0, len(source), -(-len(source) // _LOOKED_AT)):
    try:
      example = reading.patiently(f"image {i}", lambda i=i: native[i])
      image = example["image"]
      parts += [repr((image.shape, str(image.dtype), int(example["label"]))).encode()]
      parts += [np.ascontiguousarray(image).data]
    except data.Unreadable:
      parts += [b"unreadable"]
  told = {f"{what} {key}": value for key, value in of(source).items()}
  return told | {f"{what} pixels": digest(parts)}


def checked(found: Any) -> Identity:
  """Returns what was read from a file, if it is an identity. Raises KeyError or TypeError."""
  return {key: found[key] for key in ("images", "classes", "class names", "content")}


def digest(parts: Iterable[bytes | memoryview]) -> str:
  """Returns a SHA-256 of parts, one after another and told apart."""
  total = hashlib.sha256()
  for part in parts:
    total.update(memoryview(part).nbytes.to_bytes(8, "little"))
    total.update(part)
  return total.hexdigest()


def differences(stored: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
  """Returns what is no longer as it was, e.g. "images 32 -> 64"; of names the first that differ."""
  changes = []
  for key in ("images", "classes"):
    if stored[key] != found[key]:
      changes.append(f"{key} {stored[key]} -> {found[key]}")
  before, now = stored["class names"], found["class names"]
  if before != now:
    gone, new = ([n for n in a if n not in b] for a, b in ((before, now), (now, before)))
    said = [
      f"{word} {', '.join(map(repr, names[:3]))}{', ...' if len(names) > 3 else ''}"
      for word, names in (("without", gone), ("with", new))
      if names
    ]
    changes.append(f"class names {' and '.join(said) or 'in another order'}")
  if not changes and stored["content"] != found["content"]:
    changes.append("as many images and classes, but others or in another order")
  return changes
