"""`contrastive_jax report WORKDIR`: one page that shows whether a run worked."""

import shlex

from absl import flags

from contrastive_jax import config_files, errors
from contrastive_jax.buckets import address
from contrastive_jax.cli.command import Asked, Command
from contrastive_jax.evaluation import config
from contrastive_jax.evaluation.unread import of_evaluation


def _define(values: flags.FlagValues) -> None:
  given = {"flag_values": values}
  flags.DEFINE_string("out", None, "folder of the page (default: WORKDIR/report)", **given)
  flags.DEFINE_list(
    "projections", ["pca"], "of pca, tsne (needs scikit-learn), umap (needs umap-learn)", **given
  )
  flags.DEFINE_integer(
    "sample",
    2000,
    "training images looked at; half as many of the test set",
    lower_bound=2,
    **given,
  )
  flags.DEFINE_float("seconds", 60.0, "for their features, about", lower_bound=0.0, **given)


def _run(asked: Asked) -> None:
  import jax

  from contrastive_jax.report import write

  given = asked.flags
  if not given["workdir"].value:
    raise errors.UserError("no run is given; e.g. contrastive_jax report runs/first")
  written = write.write(
    given["workdir"].value,
    asked.config,
    out=given["out"].value and address.checked(given["out"].value, "--out"),
    projections=tuple(given["projections"].value),
    images=given["sample"].value,
    seconds=given["seconds"].value,
    command=shlex.join(["contrastive_jax", "report", *asked.words]),
  )
  if jax.process_index() == 0:
    print(f"report: {written}", flush=True)


COMMAND = Command(
  name="report",
  line="Draws the page of a run: curves, views, neighbours, signs of a collapse, where time went.",
  example="contrastive_jax report runs/first",
  schema=config,
  kind=config_files.EVALUATIONS,
  unread=of_evaluation,
  run=_run,
  define=_define,
  default_config="eval/knn",
  in_buckets=lambda given: True,
  needs_workdir=lambda given: False,  # what it says of a missing one suits it better
  positional="workdir",
  interrupted="nothing was written; the same command begins again",
)
