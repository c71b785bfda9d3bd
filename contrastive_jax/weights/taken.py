"""What a layout takes of a file: our arrays, the names that they came from, and what is left."""

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass
class Taken:
  """Filled name by name.

  Attributes:
    arrays: by our dotted names below the backbone.
    origin: the file's name of each.
    unused: what an array is that is no part of the backbone, by the file's name.
    options: of the section `model` that the names show.
  """

  arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
  origin: dict[str, str] = dataclasses.field(default_factory=dict)
  unused: dict[str, str] = dataclasses.field(default_factory=dict)
  options: dict[str, Any] = dataclasses.field(default_factory=dict)

  def add(self, name: str, ours: dict[str, np.ndarray]) -> None:
    """Takes what the file's array `name` is here; nothing if `ours` is empty."""
    self.arrays |= ours
    self.origin |= dict.fromkeys(ours, name)

  def left(self, names) -> list[str]:
    """Returns the file's names of which nothing was said."""
    used = set(self.origin.values())
    return [name for name in names if name not in used and name not in self.unused]
