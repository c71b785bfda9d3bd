"""`contrastive_jax export`: the backbone of a run as a folder for other programs.

It takes no config, and so has flags of its own.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from contrastive_jax import errors
from contrastive_jax.buckets import address
from contrastive_jax.cli import alone, own_flags, texts
from contrastive_jax.cli.leave import leave
from contrastive_jax.evaluation import config as eval_config

_EXAMPLE = "contrastive_jax export --workdir=runs/first --format=safetensors"


def main(words: Sequence[str]) -> None:
  """Does what the words after `export` say."""
  if any(word in texts.HELP for word in words):
    print(own_flags.help(texts.EXPORT, _EXAMPLE, _defined()), end="")
    return
  try:
    workdir, form, how = understood(words)
  except errors.UserError as error:
    leave(f"error: {error}", errors.EXIT_USER_ERROR)
  alone.run(lambda: _export(workdir, form, how), "nothing was written")


def understood(words: Sequence[str]) -> tuple[str, str, dict[str, Any]]:
  """Returns workdir, format, and further arguments of `export.run`. Raises `UserError`."""
  given, rest = own_flags.understood("export", words, _defined())
  if rest:
    raise errors.UserError(f"argument {rest[0]!r} is not a flag; e.g. {_EXAMPLE}")
  for name in ("workdir", "format"):
    if not given[name].value:
      raise errors.UserError(f"--{name} is missing; e.g. {_EXAMPLE}")
  workdir, step = address.checked(given["workdir"].value, "--workdir"), given["step"].value
  if step is not None and step != "best":
    if not step.isdecimal():
      raise errors.UserError(f"--step={step} is no step; give its number, or best")
    step = int(step)
  how = {"out": given["out"].value, "step": step, "prepare": given["preprocessing"].value}
  network = given["network"].value
  if network not in eval_config.NETWORKS:
    raise errors.UserError(
      f"--network={network} is unknown; use one of {', '.join(eval_config.NETWORKS)}"
    )
  how |= {"batch": given["batch"].value, "network": network}
  return workdir, given["format"].value, how


def _export(workdir: str, form: str, how: dict) -> None:
  from contrastive_jax.weights import export

  export.run(workdir, form, **how)


def _defined() -> flags.FlagValues:
  values = flags.FlagValues()
  given = {"flag_values": values}
  flags.DEFINE_string("workdir", None, "of the run, local or in a bucket", **given)
  flags.DEFINE_string(
    "format", None, "safetensors (torchvision's or timm's names), own, onnx or stablehlo", **given
  )
  flags.DEFINE_string("out", None, "the folder (default: WORKDIR/export/FORMAT)", **given)
  flags.DEFINE_string("step", None, "of the checkpoint, or best (default: the newest)", **given)
  flags.DEFINE_string(
    "network", "online", "online, or target: the moving average of a method that keeps one", **given
  )
  flags.DEFINE_integer(
    "batch", None, "of stablehlo: images at a time (default: any number)", **given
  )
  flags.DEFINE_string(
    "preprocessing",
    "out",
    "of onnx and stablehlo: in, bytes are standardised inside; out, they are before",
    **given,
  )
  return values
