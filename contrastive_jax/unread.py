"""Options of a run that nothing reads, given the others: what a user gives is used or refused.

A config file may hold them: the options of its source stay there when a flag takes another. So only
what was given by a flag, or as a change in Python, is refused.
"""

from collections.abc import Iterable, Mapping

from ml_collections import ConfigDict

from contrastive_jax import catalogue, declared, errors


def check(given: Iterable[str], unread: Mapping[str, str]) -> None:
  """Raises `UserError` for the first key given that nothing reads.

  Args:
    given: keys.
    unread: why nothing reads a key, for each of which that is so.
  """
  for key in given:
    if key in unread:
      raise errors.UserError(f"{key} is given, but nothing reads it: {unread[key]}")


def of_run(config: ConfigDict) -> dict[str, str]:
  """Returns {key: why} of the options that a pre-training run with this config does not read."""
  found = of_other_sources(config.data.source)
  found |= of_init(config.init.path)
  if config.steps:
    found["epochs"] = f"steps is {config.steps} and says how long the run is; leave one of them out"
  chosen = config.optimizer
  for option, readers in declared.constant("optim.options", "READ_BY").items():
    if chosen.name not in readers:
      found[f"optimizer.{option}"] = f'optimizer.name is "{chosen.name}", not {_or(readers)}'
  schedule = f'optimizer.lr_schedule is "{chosen.lr_schedule}", not '
  if chosen.lr_schedule != "cosine":
    found["optimizer.final_fraction"] = f"{schedule}cosine"
  if chosen.lr_schedule != "step":
    found["optimizer.milestone_factor"] = f"{schedule}step"
  if not chosen.warmup_epochs:
    found["optimizer.start_fraction"] = "optimizer.warmup_epochs is 0"
  if not chosen.clip_norm:
    found["optimizer.clip_each"] = "optimizer.clip_norm is 0"
  return found


def of_init(path: str) -> dict[str, str]:
  """Returns {key: why} of the options that say nothing without weights to start from."""
  return {} if path else dict.fromkeys(("init.layout", "init.step"), "init.path is empty")


def of_other_sources(source: str) -> dict[str, str]:
  """Returns {key: why} of the options of all data sources but one."""
  return {
    f"data.{name}.{option}": f'data.source is "{source}"; add --config.data.source={name}'
    for name in catalogue.sources()
    if name != source
    for option in catalogue.source(name).__dataclass_fields__
  }


def check_paths(config: ConfigDict) -> None:
  """Raises `UserError` if there is a path to images, but those to be taken are the built-in ones.

  Whoever wrote it there meant it, in whatever way.
  """
  if config.data.source != "shapes":
    return
  for name in catalogue.sources():
    path = config.data[name].get("path") if name in config.data else None
    if path:
      raise errors.UserError(
        f'data.{name}.path is "{path}", but data.source is "shapes", the built-in images; set '
        f'data.source to "{name}", or data.{name}.path to ""'
      )


def _or(names: tuple[str, ...]) -> str:
  *most, last = names
  return f"{', '.join(most)} or {last}" if most else last
