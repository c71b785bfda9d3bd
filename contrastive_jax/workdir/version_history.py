"""With which versions which steps of a run were computed: the "history" in versions.json.

A run may go on under another Python, another JAX or on other devices. Its state, images and random
keys are the same, its sums are rounded otherwise: a line says so, and the file keeps what was.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from contrastive_jax import config, reading, stored

KEY = "history"
DECODER = "jpeg_decoder"
_FIRST_DECODER = {DECODER: "Pillow, whole images"}  # of runs from before it was written down


def read(workdir: str, step: int) -> list[dict[str, Any]]:
  """Returns what the steps before `step` were computed with: each entry from its "step" on.

  A file from before there was a history counts as the versions since step 0, one that is damaged
  tells nothing. What a start wrote from whose step on nothing is left is left out.
  """
  content = reading.content(pathlib.Path(workdir) / "versions.json")
  try:
    found = {} if content is None else stored.parsed(content)
  except ValueError:
    return []
  told = found.get(KEY)
  if not isinstance(told, list):
    told = [{"step": 0} | {k: v for k, v in found.items() if k != KEY and k[:7] != "config_"}]
  entries = [e for e in told if isinstance(e, dict) and isinstance(e.get("step"), int)]
  return [entry for entry in entries if entry["step"] < step and len(entry) > 1]


def changes(before: Sequence[Mapping[str, Any]], now: Mapping[str, Any]) -> list[str]:
  """Returns "name old -> new" of every version that is other than in the last entry."""
  entry = _FIRST_DECODER | before[-1] if before else {}
  last = {key: entry[key] for key in now if key in entry}
  return config.changes(last, {key: now[key] for key in last})


def extended(
  before: Sequence[Mapping[str, Any]], step: int, now: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
  """Returns the history with a start at `step`, if that was under other versions."""
  return [*before] if before and not changes(before, now) else [*before, {"step": step} | now]
