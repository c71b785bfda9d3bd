"""What every cell needs on hardware that is not there, in one table; see the room `plan`.

Each plan is compiled by a process of its own, and cells whose steps are alike share one.
"""

import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

from contrastive_jax import config as config_lib
from contrastive_jax import errors
from contrastive_jax.study import cells as cells_lib
from contrastive_jax.study import children, commands, layout
from contrastive_jax.study.cells import Cell

_GIB = 2**30
_NO_PART = ("seed", "optimizer.base_lr", "optimizer.lr_scaling", "method.temperature")
_HEAD = ("cell", "topology", "GiB a chip", "of", "fits", "hours at least", "warnings")


def table(
  root: pathlib.Path, selected: Sequence[Cell], topologies: str, images: str | None = None
) -> Iterator[str]:
  """Yields the lines of a table in Markdown, each when its plan is compiled.

  Args:
    root: folder of the study; DIR/plans/CELL/plan.json holds a plan in full.
    selected: cells to plan.
    topologies: as --plan of `contrastive_jax train` takes them.
    images: as its --plan_images.

  Raises:
    UserError: a plan cannot be made.
  """
  yield f"| {' | '.join(_HEAD)} |"
  yield "|---|---" + "|--:" * (len(_HEAD) - 2) + "|"
  for cell, count in _distinct(selected):
    others = f" (and {count - 1} like it)" if count > 1 else ""
    for plan in _plans(root, cell, topologies, images):
      yield f"| {' | '.join([cell.name + others, *_row(plan)])} |"


def _distinct(selected: Sequence[Cell]) -> list[tuple[Cell, int]]:
  """Returns the first cell of those with equal plans, and how many they are."""
  found: dict[str, list[Cell]] = {}
  for cell in selected:
    flat = config_lib.flatten(cells_lib.resolve(cell))
    key = json.dumps({k: v for k, v in flat.items() if k not in _NO_PART}, default=str)
    found.setdefault(key, []).append(cell)
  return [(alike[0], len(alike)) for alike in found.values()]


def _plans(
  root: pathlib.Path, cell: Cell, topologies: str, images: str | None
) -> list[dict[str, object]]:
  folder = root / "plans" / cell.name
  words = [w for w in commands.train("", cell) if not w.startswith("--workdir=")]
  words += [f"--plan={topologies}", f"--workdir={folder}"]
  words += [f"--plan_images={images}"] if images else []
  done = subprocess.run(
    [sys.executable, "-m", "contrastive_jax", *words],
    env=children.environment(),
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )
  if done.returncode:
    said = [line for line in done.stderr.splitlines() if line.strip()] or ["it says nothing"]
    full = done.returncode == errors.EXIT_SAVE_FAILED
    line = said[-1].removeprefix("error: ").removeprefix("stopped: ")
    raise (errors.SaveFailed if full else errors.UserError)(f"plan of cell {cell.name}: {line}")
  return (layout.read(folder / "plan.json") or {})["plans"]


def _row(plan: dict) -> list[str]:
  needed, limit = plan["memory"].get("total"), plan["memory_limit"]
  hours = plan.get("hours_at_least")
  fits = "no" if any(w.startswith("does not fit") for w in plan["warnings"]) else "yes"
  return [
    plan["topology"],
    "-" if needed is None else f"{needed / _GIB:.2f}",
    "-" if not limit else f"{limit / _GIB:.2f}",
    fits if limit or fits == "no" else "-",
    "-" if hours is None else f"{hours:.2f}",
    f"{len(plan['warnings'])}",
  ]
