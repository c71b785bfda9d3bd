"""Where the results of an evaluation are written: no answer takes the place of another question's.

The first evaluation of a name is NAME.json. Another question under the same name is NAME-2.json,
NAME-3.json and so on; the same question asked again replaces its own file. What was asked is in the
file: the config and the step of the checkpoint.
"""

import itertools
import json
import pathlib
from collections.abc import Callable
from typing import Any

from contrastive_jax import errors, places, reading
from contrastive_jax.evaluation import config as eval_config

_PICTURE_BYTES = 500_000  # at most, of 2,000 points in 840 x 720 pixels


def stem(folder: pathlib.Path, name: str, config: dict[str, Any], checkpoint_step: int) -> str:
  """Returns the name of the file, without ".json", for this question.

  Args:
    folder: where the results of a run lie.
    name: of the evaluation.
    config: all that is asked, by key.
    checkpoint_step: of whose checkpoint it is asked.
  """
  asked = _question({"name": name, "config": config, "checkpoint_step": checkpoint_step})
  for number in itertools.count(1):
    candidate = name if number == 1 else f"{name}-{number}"
    path = folder / f"{candidate}.json"
    if not path.exists() or _question(_read(path)) == asked:
      return candidate


def check_place(folder: pathlib.Path) -> None:
  """Raises `UserError` for the checkpoints of a run: what lies there goes when they do."""
  for path in (folder.absolute(), folder.resolve()):
    for place in (path, *path.parents):
      if place.name == "checkpoints" and (place.parent / "config.json").exists():
        raise errors.UserError(
          f"--out {folder} lies in the checkpoints of a run, which removes them with all that they "
          f"hold; give another folder, or leave it out for {place.parent}/eval"
        )


def prepare(folder: pathlib.Path, results: int, num_classes: int, pictures: int) -> None:
  """Makes the folder and tries it with about as many bytes as are to come.

  Raises:
    UserError, SaveFailed: see `places.ready`.
  """
  # The old file stays until the new one is whole, so both have to fit; a figure takes 22 letters.
  records = 2 * (10_000 + results * (2_000 + 30 * num_classes))
  remedy = "give another place for them, --out=DIR"
  places.ready(folder, "results", remedy, records + pictures * _PICTURE_BYTES)


def write(
  path: pathlib.Path, found: dict[str, Any], put: Callable[[], None] = lambda: None
) -> None:
  """Writes what was found so far; what cannot be written is printed, as one line of JSON.

  Args:
    path: of the file.
    found: what it is to hold.
    put: brings it where it is to be, if that is not here.

  Raises:
    SaveFailed: it could not be written.
  """
  try:
    places.write(path, json.dumps(found, indent=2) + "\n")
    put()
  except errors.SaveFailed as error:
    try:
      print(json.dumps(found), flush=True)
    except OSError:  # stdout may lie on the same disk
      raise error from None
    raise errors.SaveFailed(f"{error}; what was found is on stdout, the line of JSON") from error


def _read(path: pathlib.Path) -> dict[str, Any]:
  """Returns what a file holds; nothing if it is damaged, which then stays as it is."""
  try:
    found = json.loads(reading.content(path) or b"")
  except (ValueError, errors.ReadFailed):  # and UserError: it is no file
    return {}
  return found if isinstance(found, dict) else {}


def _question(found: dict[str, Any]) -> str:
  """Returns what a result answers, as text that can be compared."""
  config = json.loads(json.dumps(found.get("config")))  # tuples become lists
  for key in eval_config.SPEED:
    *sections, last = key.split(".")
    part = config
    for section in sections:
      part = part.get(section) if isinstance(part, dict) else None
    if isinstance(part, dict):
      part.pop(last, None)
  asked = [found.get("name"), found.get("checkpoint_step"), config]
  return json.dumps(asked, sort_keys=True)
