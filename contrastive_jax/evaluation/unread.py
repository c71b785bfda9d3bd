"""Options of an evaluation that nothing reads, given the others; see `contrastive_jax.unread`."""

from ml_collections import ConfigDict

from contrastive_jax import unread
from contrastive_jax.evaluation import config as eval_config


def of_evaluation(config: ConfigDict) -> dict[str, str]:
  """Returns {key: why} of the options that an evaluation with this config does not read."""
  # Where the images are the run's own, which run decides: see `images`.
  found = unread.of_other_sources(config.data.source) if config.data.source else {}
  found |= unread.of_init(config.init.path)
  if not config.init.path:
    found["init.normalize"] = "init.path is empty"
  else:
    found["checkpoint_step"] = "weights are scored in its place; their step is init.step"
  asked = eval_config.names(config.protocols)
  for protocol in eval_config.PROTOCOLS:
    if protocol not in asked:
      why = f"protocols are {', '.join(asked)}; add {protocol} to --config.protocols"
      found |= {f"{protocol}.{option}": why for option in config[protocol]}
  if not config.patch_grid:
    found["patch_fraction"] = "patch_grid is 0"
  if config.knn.vote == "uniform":
    found["knn.temperature"] = 'knn.vote is "uniform"'
  sgd, lbfgs = config.linear_sgd, config.linear_lbfgs
  if sgd.rates:
    found["linear_sgd.base_lr"] = f"linear_sgd.rates are {sgd.rates}; set them to ()"
  if len(sgd.rates) < 2:
    found["linear_sgd.validation_fraction"] = "linear_sgd.rates are no two to choose from"
  if sgd.schedule != "step":
    found["linear_sgd.step_epochs"] = f'linear_sgd.schedule is "{sgd.schedule}", not step'
  if lbfgs.num_penalties == 1:
    why = "linear_lbfgs.num_penalties is 1"
    found |= {f"linear_lbfgs.{option}": why for option in ("max_penalty", "validation_fraction")}
  return found
