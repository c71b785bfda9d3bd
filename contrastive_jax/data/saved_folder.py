"""The folders that `save_to_disk` of Hugging Face's `datasets` writes: which files, in which order.

A `DatasetDict` has a folder a split and dataset_dict.json, a `Dataset` has state.json, which names
its Arrow files. Neither needs that package.
"""

import json
import pathlib
import re
from typing import Any

from contrastive_jax import errors, paths, reading
from contrastive_jax.data import splits

_KEY = "data.parquet.path"


def files(given: str, split: str) -> list[pathlib.Path]:
  """Returns the files of a split in order; [] if the folder is of another kind.

  Raises:
    UserError: there is no such split, or what the folder says of itself is damaged.
  """
  if not given or re.match(r"\w+://", given):
    return []
  folder = pathlib.Path(paths.local(given, _KEY))
  if not reading.is_folder(folder):
    return []
  several = _read(folder / "dataset_dict.json")
  if several is not None:
    folder /= _chosen(folder, split, several)
  state = _read(folder / "state.json")
  if state is None and several is None:
    return []
  try:
    names = [file["filename"] for file in (state or {})["_data_files"]]
    if any(pathlib.PurePath(name).name != name for name in names):
      raise ValueError("a file lies elsewhere")
  except (KeyError, TypeError, ValueError) as error:
    raise errors.UserError(
      f"{folder / 'state.json'} names no Arrow files of this folder; save the set again"
    ) from error
  if (state or {}).get("_indices_data_files"):  # of `datasets` before 2.0, which kept a choice so
    raise errors.UserError(
      f"{folder} holds a choice of rows that is kept beside the rows; load it with datasets, call "
      "flatten_indices() and save it again"
    )
  if several is None and splits.kind(split) != "train" and not _is_named(folder, split):
    raise errors.UserError(
      f"{folder} holds one set without splits, which is 'train'; set {_KEY} to the folder above "
      f"or write {{split}} in it, to have {split!r}"
    )
  missing = [name for name in names if not (folder / name).is_file()]
  if missing:
    raise errors.UserError(f"there is no {folder / missing[0]}, which state.json names")
  return [folder / name for name in names]


def names(given: str) -> tuple[str, ...]:
  """Returns the splits of a folder that has one for each; () if it is of another kind."""
  if not given or re.match(r"\w+://", given):
    return ()
  folder = pathlib.Path(paths.local(given, _KEY))
  return tuple(_names(_read(folder / "dataset_dict.json"))) if reading.is_folder(folder) else ()


def _is_named(folder: pathlib.Path, split: str) -> bool:
  return folder.name == split or splits.kind(folder.name) == splits.kind(split) != ""


def _chosen(folder: pathlib.Path, split: str, several: Any) -> str:
  names = _names(several)
  if split in names:
    return split
  alike = [name for name in names if splits.kind(name) == splits.kind(split) != ""]
  if len(alike) != 1:
    raise errors.UserError(
      f"{folder} has no split {split!r} but {', '.join(names) or 'none'}; name one of them"
    )
  return alike[0]


def _names(several: Any) -> list[str]:
  found = several.get("splits") if isinstance(several, dict) else None
  return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _read(path: pathlib.Path) -> Any:
  """Returns what a JSON file holds; None if there is none."""
  content = reading.content(path)
  if content is None:
    return None
  try:
    return json.loads(content)
  except ValueError as error:
    raise errors.UserError(f"{path} is damaged ({error}); save the set again") from error
