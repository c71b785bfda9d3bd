"""The figures of a study by name, and where each is read from: an evaluation's file or the log.

knn.h                              top-1 of kNN on h, of the run's own encoder
linear_sgd.h.random_init           of a baseline
linear_sgd.z.1:mean_per_class      another figure of the same record, of layer z.1
transfer/linear_sgd.h              of the evaluation whose name is transfer
metric.contrastive_accuracy        the last value that training logged
"""

import re
from typing import Any, NamedTuple

from contrastive_jax import errors
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.study import collect

FIELDS = ("top1", "top5", "mean_per_class", "color", "rotation", "noise", "sobel")
_FIGURE = re.compile(r"(?:([\w.-]+)/)?(\w+)\.([\w.]+?)(?::(\w+))?")


class Metric(NamedTuple):
  """The last value of a metric in metrics.jsonl."""

  name: str


class Score(NamedTuple):
  """A figure of an evaluation's record."""

  evaluation: str | None  # its name; None: the only one with such a record
  protocol: str
  layer: str
  encoder: str
  field: str


def parse(text: str) -> Metric | Score:
  """Reads the name of a figure. Raises `UserError`."""
  if text.startswith("metric.") and len(text) > len("metric."):
    return Metric(text.removeprefix("metric."))
  match = _FIGURE.fullmatch(text)
  if not match or match[2] not in eval_config.PROTOCOLS:
    raise errors.UserError(
      f'figure "{text}" is no PROTOCOL.LAYER, e.g. knn.h, nor metric.NAME; protocols are '
      f"{', '.join(eval_config.PROTOCOLS)}"
    )
  evaluation, protocol, layer, field = match.groups("")
  first, _, last = layer.rpartition(".")
  named = first and last in ("checkpoint", *eval_config.BASELINES)
  layer, encoder = (first, last) if named else (layer, "checkpoint")
  if (field or "top1") not in FIELDS:
    raise errors.UserError(f'figure "{text}": {field} is none of {", ".join(FIELDS)}')
  return Score(evaluation or None, protocol, layer, encoder, field or "top1")


def in_result(score: Score, result: dict[str, Any]) -> float | None:
  """Returns the figure in what an evaluation's file holds, None if it has none."""
  records = result.get("results")
  for record in records if isinstance(records, list) else ():
    if isinstance(record, dict) and score[1:4] == tuple(
      record.get(key) for key in ("protocol", "layer", "encoder")
    ):
      value = record.get(score.field)
      return value if collect.is_number(value) else None
  return None
