"""The command that scores a run, named at its end: one that works with what images there are."""

import shlex

from ml_collections import ConfigDict

from contrastive_jax import data
from contrastive_jax.evaluation import config as eval_config


def to_score(
  config: ConfigDict,
  workdir: str,
  source: data.Source,
  held_out: data.Source | None,
  scored: data.Source | None,
) -> str:
  """Returns it, and what is to be known of it.

  Args:
    config: of the run.
    workdir: of the run.
    source: what it was trained on.
    held_out: of the training set; None: nothing was.
    scored: the split that an evaluation scores; None: it cannot be opened.
  """
  if config.data.source == "given":
    return f"contrastive_jax.evaluate({workdir!r}, images=...) in Python, with its images"
  words, note = ["contrastive_jax", "eval", f"--workdir={workdir}"], ""
  known = [part for part in (scored, held_out) if part is not None]
  chosen = next((part for part in known if part.num_classes), known[0] if known else source)
  if chosen is source:
    words.append(f"--config.data.eval_split={config.data.split}")
    note = " (on what it was trained on; name other images, --config.data.eval_split, if you can)"
  elif chosen is held_out:
    words.append("--config.data.held_out=True")
  if not (source.num_classes and chosen.num_classes):
    words.append(f"--config.protocols={','.join(sorted(eval_config.NEED_NO_LABELS))}")
    if chosen.num_classes and not note:
      note = " (neighbours and probes need images with labels, --config.data.split=NAME)"
  return shlex.join(words) + note
