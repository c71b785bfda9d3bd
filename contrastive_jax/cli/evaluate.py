"""`contrastive_jax eval`: scores a frozen encoder."""

from contrastive_jax import config_files
from contrastive_jax.cli.command import Asked, Command
from contrastive_jax.evaluation import config
from contrastive_jax.evaluation.unread import of_evaluation


def _run(asked: Asked) -> None:
  from contrastive_jax.evaluation import evaluate

  evaluate.run(asked.config, asked.flags["workdir"].value)


COMMAND = Command(
  name="eval",
  line="Scores the frozen encoder of a run.",
  example="contrastive_jax eval --workdir=runs/first --config=eval/knn",
  schema=config,
  kind=config_files.EVALUATIONS,
  unread=of_evaluation,
  run=_run,
  default_config="eval/all",
)
