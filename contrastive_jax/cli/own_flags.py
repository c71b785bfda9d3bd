"""Flags of a command that takes no config: understood, and told."""

from collections.abc import Sequence

from absl import flags

from contrastive_jax import errors
from contrastive_jax.cli import parse, texts


def understood(
  command: str, words: Sequence[str], values: flags.FlagValues
) -> tuple[flags.FlagValues, list[str]]:
  """Returns the flags, set, and the words that are none. Raises `UserError`."""
  words = parse.split(words)
  unknown = parse.unknown_flag(values, words)
  if unknown:
    near = parse.near(unknown, values)
    hint = f"did you mean --{near}?" if near else f"flags are {', '.join(f'--{v}' for v in values)}"
    raise errors.UserError(f"there is no flag --{unknown}; {hint}")
  try:
    rest = values([command, *words])[1:]
  except flags.Error as error:
    raise errors.UserError(" ".join(str(error).split())) from error
  parse.check_filled(values)
  return values, rest


def help(line: str, example: str, values: flags.FlagValues, *rows: tuple[str, str]) -> str:
  """Returns the help of a command; `rows` are of words that are no flags."""
  own = [(f"--{name}=...", values[name].help.partition(";\n")[0]) for name in values]
  return "\n".join([line, "", f"  {example}", "", *texts.columns([*rows, *own]), ""])
