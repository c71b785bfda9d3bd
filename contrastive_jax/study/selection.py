"""Which cells a command is about: --only cuts axes, --shard takes one part of several."""

import re
from collections.abc import Sequence

from ml_collections import ConfigDict

from contrastive_jax import errors, options
from contrastive_jax.study import choose
from contrastive_jax.study.cells import Cell


def only(study: ConfigDict, cells: Sequence[Cell], cuts: Sequence[str]) -> list[Cell]:
  """Returns the cells whose labels are among those given.

  Args:
    study: whose cells they are.
    cells: in order.
    cuts: each "axis=label,label", or "seed=0,1"; of an axis given twice both lists count together.

  Raises:
    UserError: there is no such axis or label.
  """
  known = {axis: list(labels) for axis, labels in study.axes.items()}
  known["seed"] = [str(seed) for seed in study.seeds]
  allowed: dict[str, set[str]] = {}
  for cut in cuts:
    axis, sign, labels = cut.partition("=")
    if not sign or axis not in known:
      raise errors.UserError(
        f"--only={cut}: give AXIS=LABEL,LABEL; axes are {', '.join(known)}"
        + options.nearest(axis, known)
      )
    for label in labels.split(","):
      if label not in known[axis]:
        raise errors.UserError(
          f"--only={cut}: axis {axis} has no label {label!r}; it has {', '.join(known[axis])}"
        )
      allowed.setdefault(axis, set()).add(label)
  return [
    cell
    for cell in cells
    if all((cell.labels | {"seed": str(cell.seed)})[axis] in allowed[axis] for axis in allowed)
  ]


def shard(study: ConfigDict, cells: Sequence[Cell], part: str) -> list[Cell]:
  """Returns part I of N of the cells: groups of which one is chosen stay whole, and go in turn.

  Args:
    study: whose cells they are.
    cells: all that the parts share, in order.
    part: "I/N", I from 0.

  Raises:
    UserError: that is no part.
  """
  match = re.fullmatch(r"(\d+)/(\d+)", part)
  if not match or not int(match[1]) < int(match[2]):
    raise errors.UserError(f"--shard={part}: give I/N with I from 0 to N - 1, e.g. 0/4")
  number, count = map(int, match.groups())
  groups = list(choose.groups(study, cells).values())[number::count]
  return [cell for group in groups for cell in group]
