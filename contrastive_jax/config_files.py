"""Config files: found by the name of an experiment or by path, listed, and run.

A name is a file's place below `configs/`, e.g. "cifar10/simclr"; what comes after a colon is given
to its `get_config`, e.g. "cifar10/simclr:cpu".
"""

import ast
import difflib
import pathlib
import re
from typing import Any

from ml_collections import ConfigDict

from contrastive_jax import errors, slow

HOME = pathlib.Path(__file__).resolve().parent / "configs"
# Kinds of configs: of training runs, or what the folder of that name holds.
RUNS, EVALUATIONS, STUDIES = "runs", "eval", "studies"
KINDS = (RUNS, EVALUATIONS, STUDIES)


def names(kind: str = RUNS) -> list[str]:
  """Returns the names of all configs of a kind, in order."""
  found = [p.relative_to(HOME).with_suffix("") for p in HOME.glob("*/[!_]*.py")]
  return sorted(str(p.as_posix()) for p in found if _kind(p) == kind)


def _kind(path: pathlib.Path) -> str:
  return path.parts[0] if path.parts[0] in (EVALUATIONS, STUDIES) else RUNS


def line(name: str) -> str:
  """Returns the first line of a config's description."""
  return _description(name).partition("\n")[0]


def arguments(name: str) -> list[str]:
  """Returns the arguments that a config's description names, in order."""
  return list(dict.fromkeys(re.findall(rf"--config={name}:([\w,]+)", _description(name))))


def _description(name: str) -> str:
  text = (HOME / f"{name}.py").read_text(encoding="utf-8")
  return ast.get_docstring(ast.parse(text)) or ""


def find(spec: str, kind: str = RUNS) -> tuple[pathlib.Path, str]:
  """Returns the file that NAME[:ARGUMENT] or PATH[:ARGUMENT] means, and the argument.

  A path as in a clone, `configs/cifar10/simclr.py`, is understood from any directory.

  Args:
    spec: name or path.
    kind: of which one may have been meant that does not exist.

  Raises:
    UserError: there is no such file.
  """
  name, _, argument = spec.partition(":")
  if pathlib.Path(name).is_file():
    return pathlib.Path(name), argument
  short = name.removeprefix("./").removeprefix("configs/").removesuffix(".py")
  if any(short in names(known) for known in KINDS):
    return HOME / f"{short}.py", argument
  known = names(kind)
  last = difflib.get_close_matches(short.split("/")[-1], {k.split("/")[1] for k in known}, n=1)
  near = [k for k in known if k.split("/")[1] in last]
  hint = f"did you mean {' or '.join(near)}?" if near else f"use one of {', '.join(known)}"
  raise errors.UserError(f"config {name} is neither a name nor a file; {hint}")


def load(spec: str, kind: str = RUNS) -> ConfigDict:
  """Returns the config of NAME[:ARGUMENT] or PATH[:ARGUMENT].

  Raises:
    UserError: there is no such file, or it fails.
  """
  path, argument = find(spec, kind)
  namespace: dict[str, Any] = {"__name__": "config", "__file__": str(path)}
  try:
    with slow.named(str(path)):
      text = path.read_text(encoding="utf-8")
    exec(compile(text, str(path), "exec"), namespace)
  except errors.UserError:
    raise
  except Exception as error:
    raise errors.UserError(f"config file {path} fails: {_one_line(error)}; correct it") from error
  if "get_config" not in namespace:
    raise errors.UserError(f"config file {path} has no get_config(); see shapes/quickstart")
  try:
    config = namespace["get_config"](*([argument] if argument else []))
  except errors.UserError:
    raise
  except Exception as error:
    raise errors.UserError(f"config {spec} fails: {_one_line(error)}; correct it") from error
  if not isinstance(config, ConfigDict):
    raise errors.UserError(
      f"config {spec} gives a {type(config).__name__}; return contrastive_jax.config.pretrain() "
      "with its keys changed"
    )
  return config


def _one_line(error: BaseException) -> str:
  """Returns what went wrong, with the kind of error where its words alone say little."""
  words = " ".join(str(error.args[0] if isinstance(error, KeyError) else error).split())
  return words if len(words.split()) > 1 else f"{type(error).__name__} {words}".strip()
