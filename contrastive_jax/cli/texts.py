"""What --help, --version, --help_config and --print_config print."""

import importlib.metadata
import platform
import textwrap
from collections.abc import Iterable

from absl import flags

import contrastive_jax
from contrastive_jax import config_files
from contrastive_jax.cli import parse
from contrastive_jax.cli.command import Command

HELP = ("--help", "-h", "-help", "--helpfull", "-helpfull", "--helpshort")  # words that ask for it
COMPARE = "Compares runs: curves, scores, keys of their configs that differ."
EXPORT = "Writes the backbone of a run for torchvision, timm, ONNX or StableHLO."
CONVERT = "Turns a .pth, .ckpt or .pkl of weights into .safetensors, without running it."
_OTHERS = (
  ("compare", COMPARE),
  ("export", EXPORT),
  ("convert", CONVERT),
  ("launch", "Starts a command again when it dies, as several processes if asked to."),
)
_WIDTH = 100


def version() -> str:
  """Returns what runs."""
  jax = importlib.metadata.version("jax")
  return (
    f"contrastive_jax {contrastive_jax.__version__} (jax {jax}, Python {platform.python_version()})"
  )


def program(commands: Iterable[Command]) -> str:
  """Returns the help of the program: its commands."""
  rows = [*((c.name, c.line) for c in commands), *_OTHERS]
  examples = [c.example for c in commands]
  return "\n".join(
    [
      "Learns image representations without labels, by contrast, in JAX.",
      "",
      *columns(rows),
      "",
      *(f"  {example}" for example in examples),
      "",
      "contrastive_jax COMMAND --help lists flags and configs.",
      "",
    ]
  )


def command(asked: Command, everything: bool = False) -> str:
  """Returns the help of a command: use, flags, configs; of absl's own flags if `everything`."""
  values = parse.defined(asked)
  others = set(flags.FLAGS)
  own = [("--config=CONFIG", _config_line(asked)), *_flags(values, set(values) - others)]
  own.insert(2, ("--config.KEY=VALUE", "another value for one key of the config"))
  named = [(name, _config_line_of(name)) for name in config_files.names(asked.kind)]
  parts = [asked.line, "", f"  {asked.example}", "", "Flags:", *columns(own), ""]
  if everything:
    parts += ["Flags of absl:", *columns(_flags(values, others)), ""]
  parts += ["Configs (--config=CONFIG --help_config lists the keys of one):", *columns(named), ""]
  return "\n".join(parts)


def _config_line_of(name: str) -> str:
  """Returns what a config is, and the arguments that its description names."""
  arguments = " ".join(f":{argument}" for argument in config_files.arguments(name))
  return f"{config_files.line(name)}{f' ({arguments})' if arguments else ''}"


def _config_line(asked: Command) -> str:
  default = f" (default: {asked.default_config})" if asked.default_config else ""
  return f"one of those below, or a file of your own, with :ARGUMENT if it takes one{default}"


def _flags(values: flags.FlagValues, names: set[str]) -> list[tuple[str, str]]:
  lines = {name: values[name].help.partition(";\n")[0] for name in values}  # absl adds to some
  return [(_usage(values[name]), line) for name, line in lines.items() if name in names]


def _usage(flag: flags.Flag) -> str:
  return f"--{flag.name}" if flag.boolean else f"--{flag.name}=..."


def columns(rows: list[tuple[str, str]]) -> list[str]:
  """Returns the rows with their second parts under each other, wrapped."""
  indent = min(max(len(name) for name, _ in rows), 24) + 4
  lines = []
  for name, text in rows:
    first = f"  {name}".ljust(indent)
    width = max(_WIDTH - indent, 40)
    head, *rest = textwrap.wrap(text, width) or [""]
    lines += [first + head, *(" " * indent + more for more in rest)]
  return lines
