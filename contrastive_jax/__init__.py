"""Contrastive learning of image representations in JAX.

  import contrastive_jax as cj

  config = cj.pretrain_config("shapes/quickstart", epochs=5)
  result = cj.train(config, "runs/notebook")
  scores = cj.evaluate("runs/notebook", "knn")
  h = cj.features("runs/notebook", images)

The names below are the public interface, from `contrastive_jax.face`; they are loaded when first
used, so that programs that need one folder of the package do not load the others.
"""

import os
from typing import Any

# Of etils, which Orbax and TFDS read with: where TensorFlow is installed it would take that for
# buckets, which knows none of the variables that name an endpoint. Read once, so set first.
os.environ["EPATH_USE_TF"] = "false"

__version__ = "0.1.0"

__all__ = [
  "Config",
  "EvaluationConfig",
  "Run",
  "Scores",
  "Training",
  "UserError",
  "config_names",
  "describe",
  "evaluate",
  "evaluation_config",
  "features",
  "load",
  "pretrain_config",
  "train",
  "write_report",
]


def __getattr__(name: str) -> Any:
  if name in __all__:
    from contrastive_jax import face

    return getattr(face, name)
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
  return sorted([*globals(), *__all__])
