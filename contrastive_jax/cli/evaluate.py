"""`contrastive_jax eval`: scores a frozen encoder."""

from absl import flags

from contrastive_jax import config_files
from contrastive_jax.buckets import address
from contrastive_jax.cli.command import Asked, Command
from contrastive_jax.evaluation import config
from contrastive_jax.evaluation.unread import of_evaluation


def _define(values: flags.FlagValues) -> None:
  flags.DEFINE_string(
    "out", None, "folder of results and pictures (default: WORKDIR/eval)", flag_values=values
  )
  flags.DEFINE_string(
    "init",
    None,
    "weights to score in the place of a run's, with or without one",
    flag_values=values,
  )


def _settle(values: flags.FlagValues) -> None:
  if values["init"].value is not None:
    values["config"].value.init.path = values["init"].value


def _run(asked: Asked) -> None:
  from contrastive_jax.evaluation import evaluate

  out = asked.flags["out"].value
  out = out and address.checked(out, "--out")
  evaluate.run(asked.config, asked.flags["workdir"].value, out=out)


COMMAND = Command(
  name="eval",
  line="Scores the frozen encoder of a run.",
  example="contrastive_jax eval --workdir=runs/first --config=eval/knn",
  schema=config,
  kind=config_files.EVALUATIONS,
  unread=of_evaluation,
  run=_run,
  define=_define,
  settle=_settle,
  default_config="eval/all",
  in_buckets=lambda given: True,
  needs_workdir=lambda given: given["init"].value is None,
)
