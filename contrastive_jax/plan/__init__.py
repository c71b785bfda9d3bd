"""What a run will need on hardware that is not there: `train.py --plan=v5e:16x16`.

The real training step of a config is compiled for a topology, from shapes alone, and read: memory,
arithmetic, what travels between chips, and what that takes at the chips' published peaks. Each
compilation has a process of its own; nothing else of this program ever loads libtpu.

Imports: build, config, data, errors, keys, losses, models, orphan, parallel, places, plural,
processes, run_images, step.
"""

from contrastive_jax.plan.parent import run

__all__ = ["run"]
