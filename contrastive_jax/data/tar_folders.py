"""Classes of samples in tar files by the folders that they lie in: n01440764/img1.jpg."""

import os
from collections.abc import Iterable

import numpy as np

from contrastive_jax.data import splits
from contrastive_jax.data.labels import distinct, tell_alike


def named(labels: np.ndarray, others: Iterable[bytes], what: str) -> tuple[np.ndarray, list[str]]:
  """Returns the class of each sample, texts [n], "" for none, and the names of all, in order.

  The class is the topmost folder below what lies around all: of train/n01440764/a.jpg the second
  if all samples lie in train, or in folders of splits.

  Args:
    labels: the folder of each sample, bytes [n], b"" for none.
    others: folders in other splits, whose classes are numbered along.
    what: how a message calls them.

  Raises:
    UserError: there are so many that they name images.
  """
  found, inverse = np.unique(labels, return_inverse=True)
  here = found.tolist()
  classes = _classes({*here, *others})
  names = sorted({name for name in classes.values() if name}, key=os.fsencode)
  distinct(len({classes[folder] for folder in here} - {""}), len(labels), what)
  tell_alike(names, what)
  return np.array([classes[folder] for folder in here], np.str_)[inverse], names


def _classes(folders: Iterable[bytes]) -> dict[bytes, str]:
  paths = {f: [p for p in os.fsdecode(f).split("/") if p not in ("", ".")] for f in folders}
  inside = [path for path in paths.values() if path]
  while inside and all(len(path) > 1 for path in inside):
    first = {path[0] for path in inside}
    if len(first) > 1 and not all(map(splits.kind, first)):
      break
    for path in inside:
      del path[0]
  return {folder: path[0] if path else "" for folder, path in paths.items()}
