"""What cells amount to: steps and images, and the time of those to come by those that are done."""

import json
import pathlib
from collections.abc import Sequence

from contrastive_jax import config as config_lib
from contrastive_jax import data, errors
from contrastive_jax.data import subset
from contrastive_jax.study import cells as cells_lib
from contrastive_jax.study import layout
from contrastive_jax.study.cells import Cell


class Times:
  """Seconds of cells, from what the records of a study say now."""

  def __init__(self, root: pathlib.Path, cells: Sequence[Cell]):
    records = {cell.name: layout.record(root, cell.name) for cell in cells}
    known = {name: r for name, r in records.items() if "seconds" in r}
    done = {name: r for name, r in known.items() if r.get("state") == layout.DONE}
    self._done = [cell for cell in cells if cell.name in done]
    self._seconds = {name: record["seconds"] for name, record in done.items()}

  def of(self, cell: Cell) -> float | None:
    """Returns what a cell took, or what the cells most like it took for as many epochs, or steps.

    Those are most like it that share the most labels; None: no cell is done.
    """
    if cell.name in self._seconds:
      return self._seconds[cell.name]
    shared = {other.name: _shared(cell, other) for other in self._done}
    unit, length = _length(cell)
    alike = [other for other in self._done if _length(other)[0] == unit]
    most = max((shared[other.name] for other in alike), default=0)
    like = [other for other in alike if shared[other.name] == most]
    rates = [self._seconds[other.name] / _length(other)[1] for other in like]
    return length * sum(rates) / len(rates) if rates else None


class Sizes:
  """How many images and steps cells have; each image set is opened once."""

  def __init__(self):
    self._images: dict[str, int | None] = {}

  def images(self, cell: Cell) -> int | None:
    """Returns the images in an epoch, None if the image set cannot be opened here."""
    config = cells_lib.resolve(cell).data
    options = dict(config[config.source].items()) if config.source in config else {}
    key = json.dumps(config_lib.flatten(config), default=str)
    if key not in self._images:
      try:
        source = data.build(config.source, split=config.split, **options)
        held_out = subset.num_held_out(len(source), source.num_classes, config.held_out)
        self._images[key] = len(source) - held_out
      except (errors.UserError, errors.ReadFailed):
        self._images[key] = None
    return self._images[key]

  def steps(self, cell: Cell) -> int | None:
    """Returns the steps of a whole run."""
    config, images = cells_lib.resolve(cell), self.images(cell)
    per_epoch = None if images is None else images // config.batch_size
    return None if per_epoch is None else config_lib.total_steps(config, per_epoch)


def words(seconds: float) -> str:
  """Returns a time as people say it."""
  if seconds < 100:
    return f"{seconds:.0f} s"
  minutes = seconds / 60
  return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def _shared(one: Cell, other: Cell) -> int:
  return sum(one.labels[axis] == other.labels[axis] for axis in one.labels)


def _length(cell: Cell) -> tuple[str, int]:
  """Returns how long a cell is, in the unit that it says it in."""
  base = cells_lib.base(cell.config)
  steps = cell.changes.get("steps", base.steps)
  return ("steps", steps) if steps else ("epochs", cell.changes.get("epochs") or base.epochs)
