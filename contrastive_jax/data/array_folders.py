"""Folders of sets that are downloaded as arrays in several files: CIFAR-10, CIFAR-100, MNIST."""

import functools
import pathlib
from collections.abc import Callable

import numpy as np

from contrastive_jax import errors, reading, slow
from contrastive_jax.data import cifar, idx, splits

_Read = Callable[[], dict[str, np.ndarray]]


def read(folder: pathlib.Path, split: str, label: str) -> dict[str, np.ndarray]:
  """Returns the arrays of a split: `images_SPLIT`, `labels_SPLIT`, and of CIFAR further ones.

  Args:
    folder: of the set, or that above; of MNIST also that above a folder raw.
    split: as it was asked for, which is SPLIT.
    label: likewise, "": the usual one.

  Raises:
    UserError: there is no such set, there are several, a file is damaged, or it has no such split.
  """
  with slow.named(str(folder)):
    places = ([folder], sorted(folder.glob("*")), sorted(folder.glob("*/raw")))  # MNIST/raw/
    found = next(filter(None, (_in(some, label) for some in places)), {})
    if not found:
      raise errors.Absent(
        f'"{folder}" is a folder, and no file of CIFAR or MNIST lies there; set data.npz.path to '
        "a .npz file, or DIR/NAME_{split}.npz for one a split"
      )
    if len(found) > 1:
      raise errors.UserError(
        f"{folder} holds several sets, {', '.join(found)}; set data.npz.path to one of them"
      )
    ((place, of_kind),) = found.items()
    kind = splits.kind(split)
    if kind not in of_kind:
      raise errors.NoSplit(
        f"{place} has no split {split!r} but {', '.join(of_kind)}; name one of these, or a slice "
        "such as train[90%:] (--config.data.split, --config.data.eval_split)"
      )
    arrays = of_kind[kind]()
  return {f"{k}_{split}" if k in ("images", "labels") else k: array for k, array in arrays.items()}


def _in(folders: list[pathlib.Path], label: str) -> dict[str, dict[str, _Read]]:
  """Returns what reads each split of each set in some folders, by what a user may set for it."""
  found: dict[str, dict[str, _Read]] = {}
  for folder in folders:
    if not reading.is_folder(folder):
      continue
    if one := cifar.form(folder):
      found[str(folder)] = {
        kind: functools.partial(cifar.read, folder, one, kind, label) for kind in ("train", "test")
      }
    for path in sorted(folder.iterdir(), key=lambda path: len(path.name)):  # the unpacked first
      match = idx.NAME.fullmatch(path.name)
      if match and path.is_file():  # archives of Kaggle hold folders that are called so, too
        begin, word, _ = match.groups()
        kind = splits.kind(word) or "test"  # t10k
        name = f"{folder}/{begin}{{split}}{path.name[match.end(2) :]}" if begin else str(folder)
        found.setdefault(name, {}).setdefault(kind, functools.partial(idx.read, path))
  return found
