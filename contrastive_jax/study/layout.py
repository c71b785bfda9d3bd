"""The folder of a study: where everything lies, and what is known of each cell.

DIR/study.json              its config
DIR/cells/NAME/             workdir of a run, and beside what a run leaves:
  cell.json                   labels, seed, state, exit code, seconds, devices
  cell.lock                   held while a study works on the cell
  output.log                  what its processes printed
  eval/held_out.json          scores on the images held out, where something is chosen
  eval/NAME.json              scores on the test images
DIR/choices/GROUP.json      which label was chosen, by what; written once
DIR/report/                 table, pictures, page
"""

import pathlib
import stat
import types
from collections.abc import Mapping
from typing import Any

from contrastive_jax import errors, places, reading, stored

HELD_OUT = "held_out"  # name of the evaluation that chooses
# The states of a cell. One that has none was not begun.
TRAINED = "trained"  # to its last step, not scored yet
DONE = "done"  # trained, and scored as far as it is to be
FAILED = "failed"
_NUMBER = int | float
# What is written by the keys of a file.
_RECORD = {"labels": dict, "seed": int, "state": str, "step": int | None, "exit_code": int | None}
_RECORD |= {"seconds": _NUMBER, "devices": dict, "scored": list, "error": str}
_CHOICE = {"group": dict, "chosen": dict, "by": str, "means": dict, "seeds": list}


def check(root: pathlib.Path) -> None:
  """Raises `UserError` for the first thing that a study would stumble over; writes nothing."""
  remedy = "give another --workdir"
  places.check_folder(root, "the study's folder", remedy)
  for name in ("study.json", "report.lock"):
    places.check_kind(root / name, stat.S_ISREG, "a file", remedy)
  for name in ("cells", "choices", "report"):
    places.check_kind(root / name, stat.S_ISDIR, "a folder", remedy)
  if not (root / "study.json").exists() and (root / "config.json").exists():
    raise errors.UserError(  # its page would be lost
      f"{root} is the workdir of a run (config.json), and a study has a folder of its own; {remedy}"
    )


def check_begun(root: pathlib.Path) -> None:
  """Raises `UserError` where no study was begun, of which there is nothing to report."""
  if not (root / "study.json").exists():
    raise errors.UserError(
      f"{root} holds no study yet (no study.json); give the --workdir of one, or leave --report out"
    )


def cell(root: pathlib.Path, name: str) -> pathlib.Path:
  """Returns the workdir of a cell."""
  return root / "cells" / name


def choice(root: pathlib.Path, group: str) -> pathlib.Path:
  """Returns the file of a choice, by `cells.name_of` the group's labels."""
  return root / "choices" / f"{group}.json"


def report(root: pathlib.Path) -> pathlib.Path:
  return root / "report"


def record(root: pathlib.Path, name: str) -> dict[str, Any]:
  """Returns what cell.json holds, nothing if there is none.

  Keys: labels, seed, state, step (the last), exit_code, seconds (of training and scoring), devices
  ({"kind", "count"}), scored (names of the evaluations that are done), error (of a failed cell).
  """
  return read(cell(root, name) / "cell.json", _RECORD) or {}


def read_choice(path: pathlib.Path) -> dict[str, Any] | None:
  """Returns what the file of a choice holds, None if there is none."""
  return read(path, _CHOICE, needed=("chosen", "by"))


def choices(root: pathlib.Path) -> dict[str, dict[str, Any]]:
  """Returns {group: what its file holds}, see `choose`."""
  names = sorted(n for n in reading.names_in(root / "choices") if n.endswith(".json"))
  found = {n.removesuffix(".json"): read_choice(root / "choices" / n) for n in names}
  return {name: content for name, content in found.items() if content}


def read(
  path: pathlib.Path,
  kinds: Mapping[str, type | types.UnionType] = types.MappingProxyType({}),
  needed: tuple[str, ...] = (),
) -> dict[str, Any] | None:
  """Returns what a file of JSON holds, None if there is none. Raises `UserError`, `ReadFailed`.

  Args:
    path: of the file.
    kinds: of its values, by key; those that it has are compared.
    needed: keys that it must have.
  """
  content = reading.content(path)
  if content is None:
    return None
  try:
    found = stored.parsed(content)
    for key in needed:
      if key not in found:
        raise ValueError(f"has no {key}")
    for key, kind in kinds.items():
      if key in found and not isinstance(found[key], kind):
        raise ValueError(f"has {key} {str(found[key])[:40]}, which is no {_word(kind)}")
  except ValueError as error:
    raise errors.UserError(f"{path} is damaged: it {error}; mend it or remove it") from error
  return found


def _word(kind: type | types.UnionType) -> str:
  return str(kind) if isinstance(kind, types.UnionType) else kind.__name__


def write(path: pathlib.Path, content: str | bytes) -> None:
  """Writes a whole file or nothing, also where several studies write it at once."""
  with errors.placing(str(path), then="give the same command again"):
    places.write(path, content)
