"""What is asked of a cell's encoder: on test images, and on those held out to choose by."""

import functools
import json
import pathlib
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from contrastive_jax import config as config_lib
from contrastive_jax import config_files, errors, reading, stored
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.study import layout, measure

_OTHER_IMAGES = ("source", "split", "eval_split")  # keys of an evaluation's data


class Question(NamedTuple):
  """An evaluation of a run.

  Attributes:
    spec: name of its config.
    changes: {dotted key: value} of that config.
    config: both together.
    flat: the same by dotted keys, as JSON has it, without what changes speed alone.
  """

  spec: str
  changes: dict[str, Any]
  config: ConfigDict
  flat: dict[str, Any]

  @property
  def name(self) -> str:
    return self.config.name


def on_test(study: ConfigDict) -> list[Question]:
  """Returns the evaluations of the study. Raises `UserError`."""
  found = [_question(spec, {}) for spec in study.evaluations]
  names = [question.name for question in found]
  for name in names:
    if names.count(name) > 1 or name == layout.HELD_OUT:
      raise errors.UserError(
        f'evaluations: the name "{name}" is taken; each needs one of its own, not {layout.HELD_OUT}'
      )
  for figure in filter(None, (study.measure, study.choose_by, *study.also)):
    score = measure.parse(figure)
    if isinstance(score, measure.Score) and not any(_answers(q, score) for q in found):
      raise errors.UserError(
        f"figure {figure} is of none of the evaluations {', '.join(study.evaluations)}; name one "
        "that has its protocol, layer and encoder"
      )
  return found


def held_out(study: ConfigDict) -> Question | None:
  """Returns what chooses: the protocol of a figure alone, on images held out of the training set.

  None where nothing is chosen. Raises `UserError` if the figure is of other images.
  """
  if not study.choose:
    return None
  score = measure.parse(study.choose_by or study.measure)
  own = (q for q in on_test(study) if not any(q.config.data[key] for key in _OTHER_IMAGES))
  question = next((q for q in own if _answers(q, score)), None)
  if question is None:
    raise errors.UserError(
      f"figure {study.choose_by or study.measure} chooses, and its evaluation names images of its "
      "own; choose_by one on the run's own images, e.g. knn.h"
    )
  return _question(
    question.spec,
    {
      "data.held_out": True,
      "name": layout.HELD_OUT,
      "protocols": (score.protocol,),
      "layers": (score.layer,),
      "baselines": (),
    },
  )


def answer(workdir: pathlib.Path, question: Question, step: int) -> dict[str, Any] | None:
  """Returns what the evaluation of a checkpoint found; None: it is not there, or not whole."""
  for name in sorted(reading.names_in(workdir / "eval")):
    if name.startswith(question.name) and name.endswith(".json"):
      found = _read(workdir / "eval" / name)
      if (
        (found.get("name"), found.get("checkpoint_step")) == (question.name, step)
        and found.get("complete")
        and isinstance(found.get("config"), dict)
        and not differences(found["config"], question)
      ):
        return found
  return None


def differences(stored: dict[str, Any], question: Question) -> list[str]:
  """Returns "key stored -> asked" of an answer and a question, speed left aside."""
  return config_lib.changes(_defaults() | _flat(stored), question.flat)


def _question(spec: str, changes: dict[str, Any]) -> Question:
  config = config_files.load(spec, config_files.EVALUATIONS)
  eval_config.check_kind(config)
  config = config_lib.changed(config, changes)
  return Question(spec, changes, config, _flat(config.to_dict()))


@functools.cache
def _defaults() -> dict[str, Any]:
  """Of keys that the package did not have when an answer was given."""
  return _flat(eval_config.evaluation().to_dict())


def _answers(question: Question, score: measure.Score) -> bool:
  config = question.config
  encoders = ("checkpoint", *config.baselines)
  layers = (*config.layers, *(["pixels"] if "raw_pixels" in config.baselines else []))
  named = score.evaluation in (None, question.name)
  return (
    named
    and score.protocol in config.protocols
    and score.layer in layers
    and score.encoder in encoders
  )


def _read(path: pathlib.Path) -> dict[str, Any]:
  try:
    return stored.parsed(reading.content(path) or b"{}")
  except ValueError:  # being written, damaged, or no file: no answer
    return {}


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
  flat = {}
  for key, value in config.items():
    if isinstance(value, dict):
      flat |= _flat(value, f"{prefix}{key}.")
    elif prefix + key not in eval_config.SPEED:
      flat[prefix + key] = json.loads(json.dumps(value))  # tuples become lists
  return flat
