"""The lines of metrics.jsonl, read back one by one: the file may be long, and damaged anywhere."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

from contrastive_jax import reading


def read(path: pathlib.Path) -> Iterator[dict[str, Any] | None]:
  """Yields what each line says, None for one that is damaged; nothing if there is no file.

  Raises `ReadFailed` and `UserError` as `reading` does.
  """
  return map(parsed, reading.lines(path))


def parsed(line: bytes | None) -> dict[str, Any] | None:
  """Returns what a line says; None: it is cut off, over-long, no object or has no step."""
  try:
    found = json.loads(line.decode()) if line is not None else None
  except (ValueError, RecursionError):
    return None
  step = found.get("step") if isinstance(found, dict) else None
  return found if isinstance(step, int) and not isinstance(step, bool) else None
