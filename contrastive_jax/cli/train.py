"""`contrastive_jax train`: pre-trains an encoder, or says what that would take (--plan)."""

from absl import flags

from contrastive_jax import config, config_files, unread
from contrastive_jax.cli.command import Asked, Command


def _define(values: flags.FlagValues) -> None:
  flags.DEFINE_string(
    "plan",
    None,
    "do not train: say what the run needs on v5e:4x4,8x8 or v4:4x4x4, cpu:8, here, ...",
    flag_values=values,
  )
  flags.DEFINE_string(
    "plan_batch", None, "batch sizes to plan for, e.g. 4096,8192", flag_values=values
  )
  flags.DEFINE_string(
    "plan_images",
    None,
    "COUNT:CLASSES[:PIXELS] of the training set, if it is not at hand",
    flag_values=values,
  )


def _run(asked: Asked) -> None:
  given, workdir = asked.flags, asked.flags["workdir"].value
  if given["plan"].value is None:
    from contrastive_jax.training import trainer

    trainer.train(asked.config, workdir)
    if asked.config.log.report:
      from contrastive_jax.report import write  # draws, which takes seconds

      write.at_end(workdir)
    return
  from contrastive_jax import plan

  plan.run(
    asked.config,
    given["plan"].value,
    batches=given["plan_batch"].value,
    images=given["plan_images"].value,
    directory=workdir,
  )


COMMAND = Command(
  name="train",
  line="Pre-trains an encoder, or goes on with a run that was ended.",
  example="contrastive_jax train --config=shapes/quickstart --workdir=runs/first",
  schema=config,
  kind=config_files.RUNS,
  unread=unread.of_run,
  run=_run,
  define=_define,
  on_devices=lambda given: given["plan"].value is None,
  in_buckets=lambda given: given["plan"].value is None,
)
