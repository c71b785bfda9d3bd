#!/usr/bin/env python3
"""Pre-trains an encoder: train.py --config=configs/shapes/quickstart.py --workdir=runs/first."""

from absl import flags

from contrastive_jax import cli, config, plan
from contrastive_jax.training import trainer

_PLAN = flags.DEFINE_string(
  "plan", None, "Do not train: say what the run needs on v5e:4x4,8x8 or v4:4x4x4, cpu:8, here, ..."
)
_BATCHES = flags.DEFINE_string("plan_batch", None, "Batch sizes to plan for, e.g. 4096,8192.")
_IMAGES = flags.DEFINE_string(
  "plan_images", None, "COUNT:CLASSES[:PIXELS] of the training set, if it is not at hand."
)


def run(asked, workdir):
  if _PLAN.value is None:
    trainer.train(asked, workdir)
  else:
    plan.run(asked, _PLAN.value, batches=_BATCHES.value, images=_IMAGES.value, directory=workdir)


if __name__ == "__main__":
  cli.main(run, config, on_devices=lambda: _PLAN.value is None)
