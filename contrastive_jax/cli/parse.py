"""From the words of a command line to a config and flags, or one line that says what is wrong.

absl parses the flags and `ml_collections` the overrides, `--config.a.b=value`. Neither needs JAX,
nor do the configs that come with the package.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from contrastive_jax import config as config_lib
from contrastive_jax import config_files, errors, paths, unread
from contrastive_jax.buckets import address
from contrastive_jax.cli.command import Asked, Command

_OVERRIDE = re.compile(r"--?(?:no)?config\.([\w.]+)(?:=(.*))?", re.DOTALL)
_KEY = re.compile(r"--?(?:no)?config\.([\w.]+)")
_SPEC = re.compile(r"--?config=(.*)", re.DOTALL)


def parse(command: Command, words: Sequence[str]) -> Asked:
  """Returns what the words after a command ask for.

  Raises:
    UserError: an unknown flag or key, a value of the wrong type, an option that nothing reads, a
      config that is unknown, fails or is of another kind.
  """
  words = given = split(words)
  values = defined(command)
  unknown = unknown_flag(values, words)
  specs = [match[1] for match in map(_SPEC.fullmatch, words) if match]
  spec = specs[-1] if specs else command.default_config
  if unknown:
    raise errors.UserError(_did_you_mean(unknown, values, spec))
  if not spec:
    raise errors.UserError(
      f"--config is missing; e.g. {command.example} (contrastive_jax {command.name} --help lists "
      "all configs)"
    )
  config = config_files.load(spec, command.kind)
  command.schema.check_kind(config)
  words = [word for word in words if not _SPEC.fullmatch(word)]
  _check_overrides(words, config)
  argv = [command.name, *words]
  try:
    config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
    rest = values(argv)
  except flags.Error as error:
    raise errors.UserError(" ".join(str(error).split())) from error
  check_filled(values)
  if len(rest) > 1 and command.positional and values[command.positional].value is None:
    values[command.positional].value = rest.pop(1)
  if len(rest) > 1:
    given_too = command.positional and f", and {values[command.positional].value!r} is given"
    raise errors.UserError(f"argument {rest[1]!r} is not a flag{given_too}; flags begin with --")
  if values["workdir"].value:
    path = address.checked if command.in_buckets(values) else paths.local
    values["workdir"].value = path(values["workdir"].value, "--workdir")
  command.settle(values)
  keys = [match[1] for match in map(_KEY.match, words) if match]
  unread.check(keys, command.unread(values["config"].value))
  return Asked(values["config"].value, values, tuple(given))


def split(words: Sequence[str]) -> list[str]:
  """Returns the words with those of --flagfile in its place and `--config X` as `--config=X`."""
  words = flags.FlagValues().read_flags_from_files(list(words), force_gnu=False)
  for i, word in enumerate(words[:-1]):
    if word in ("--config", "-config"):
      words[i : i + 2] = [f"--config={words[i + 1]}"]
  return words


def defined(command: Command) -> flags.FlagValues:
  """Returns the flags of a command, but --config and its overrides; those of absl among them."""
  values = flags.FlagValues()
  given = {"flag_values": values}
  flags.DEFINE_string("workdir", None, command.workdir, **given)
  flags.DEFINE_bool("print_config", False, "print the resolved config as JSON and leave", **given)
  flags.DEFINE_bool(
    "help_config", False, "print every key, its type, value and line, and leave", **given
  )
  command.define(values)
  if command.itself:
    flags.DEFINE_bool(
      "keep_compiled",
      True,
      "keep compiled programs in the user's cache for the next start",
      **given,
    )
    _define_place(values)
  values.append_flag_values(flags.FLAGS)
  return values


def _define_place(values: flags.FlagValues) -> None:
  """Defines the flags by which the processes of one run find each other."""
  given = {"flag_values": values}
  flags.DEFINE_string("coordinator", None, "several processes: HOST:PORT of number 0", **given)
  flags.DEFINE_integer("num_processes", None, "several processes: how many", **given)
  flags.DEFINE_integer("process_id", None, "several processes: the number of this one", **given)
  flags.DEFINE_integer(
    "connect_timeout_s",
    300,
    "several processes: seconds to wait for the others",
    lower_bound=1,
    **given,
  )


def unknown_flag(values: flags.FlagValues, words: list[str]) -> str | None:
  """Returns the first flag that there is not, without value; --config and its keys are no flags."""
  try:
    rest = values(["", *words], known_only=True)[1:]
  except flags.Error as error:
    raise errors.UserError(" ".join(str(error).split())) from error
  names = (re.match(r"--?([\w.-]+)", word) for word in rest)
  return next((m[1] for m in names if m and not re.match(r"(no)?config(\.|$)", m[1])), None)


def check_filled(values: flags.FlagValues) -> None:
  """Raises `UserError` for a flag that was given an empty text, as "--out=$DIR" without DIR is."""
  for name in values:
    flag = values[name]
    if flag.present and flag.value == "" and flag.default is None:
      raise errors.UserError(f"--{name} is empty; give a value after =, or leave the flag out")


def _did_you_mean(name: str, values: flags.FlagValues, spec: str | None) -> str:
  """Says that there is no flag `name`, and which flag or key of the config may be meant."""
  try:
    known = config_lib.flatten(config_files.load(spec)) if spec else {}
  except errors.UserError:
    known = {}  # the flag comes first
  key = next((k for k in known if name in (k, k.split(".")[-1])), None) or near(name, known)
  flag = near(name, values)
  meant = f"--{flag}" if flag else f"--config.{key}" if key else None
  return f"there is no flag --{name}; " + (
    f"did you mean {meant}?" if meant else "--help lists the flags, --help_config the config's keys"
  )


def _check_overrides(words: list[str], config: ConfigDict) -> None:
  """Raises `UserError` for --config.KEY=VALUE with an unknown key or a value of another type."""
  known = config_lib.flatten(config)
  for match in filter(None, map(_OVERRIDE.fullmatch, words)):
    key, value = match.groups()
    if key not in known:
      raise errors.UserError(_no_key(key, known))
    _check_value(key, value, known[key])


def _no_key(key: str, known: dict[str, Any]) -> str:
  if "accum" in key:
    return (
      f"config has no key {key}: gradients of small batches added up would leave each image with "
      "few negatives; --config.micro_batches divides a batch and keeps the loss over all of it "
      "(if that is what you want: --config.optimizer.plain_accumulation)"
    )
  inside = [k for k in known if k.startswith(key + ".")]
  if inside:
    return f"--config.{key} is a section; set a key in it, e.g. {inside[0]}"
  meant = near(key, known)
  meant = meant or next((k for k in known if k.split(".")[-1] == key.split(".")[-1]), None)
  hint = f"did you mean --config.{meant}?" if meant else "--help_config lists the keys"
  return f"config has no key {key}; {hint}"


def _check_value(key: str, value: str | None, default: Any) -> None:
  for kind, word in ((bool, "true or false"), (int, "a whole number"), (float, "a number")):
    if isinstance(default, kind):
      if value is not None and not _parses(kind, value):
        raise errors.UserError(f"--config.{key}={value} is not {word}; the default is {default}")
      return


def _parses(kind: type, text: str) -> bool:
  if kind is bool:
    return text.lower() in ("true", "false", "1", "0")
  try:
    kind(text)
  except ValueError:
    return False
  return True


def near(name: str, known: Iterable[str]) -> str | None:
  """Returns the name that may be meant, None if none is like it."""
  return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)), None)
