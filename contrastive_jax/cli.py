"""Flags, one-line errors and exit codes: what train.py and eval.py share.

`ml_collections` parses `--config=FILE[:arg]` and `--config.a.b=value`. All that a user can get
wrong ends as one line on stderr and exit code 2.
"""

import difflib
import logging
import os
import pathlib
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
from absl import flags
from absl import logging as absl_logging
from ml_collections import ConfigDict, config_flags

from contrastive_jax import config as config_lib
from contrastive_jax import errors
from contrastive_jax.processes import hosts

_WORKDIR = flags.DEFINE_string(
  "workdir", None, "Directory of the run: config, metrics, checkpoints."
)
_CONFIG = config_flags.DEFINE_config_file("config", None, "Config file, with :arg if it takes one.")
_PRINT = flags.DEFINE_bool("print_config", False, "Print the resolved config and leave.")
_HELP = flags.DEFINE_bool("help_config", False, "Print every key, its type, value and line; leave.")

_COORDINATOR = flags.DEFINE_string("coordinator", None, "Several processes: HOST:PORT of number 0.")
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "Several processes: how many.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "Several processes: the number of this one.")
_CONNECT_TIMEOUT = flags.DEFINE_integer(
  "connect_timeout_s", 300, "Several processes: seconds to wait for the others.", lower_bound=1
)

_OVERRIDE = re.compile(r"--?config\.([\w.]+)(?:=(.*))?", re.DOTALL)


class Schema(Protocol):
  """What the module of a kind of config says about it: `config` or `eval_config`."""

  FILES: str  # where such configs are, a pattern of paths

  @staticmethod
  def check_kind(config: ConfigDict) -> None: ...

  @staticmethod
  def describe(config: ConfigDict) -> list[tuple[str, str, Any, str]]: ...


def main(
  run: Callable[[ConfigDict, str], Any],
  schema: Schema,
  default_config: str | None = None,
  on_devices: Callable[[], bool] = lambda: True,
) -> None:
  """Parses `sys.argv`, calls `run(config, workdir)` and exits with the codes of `errors`.

  Where `on_devices()` is false the run needs neither a workdir nor the other processes.
  """
  try:
    config = parse(sys.argv, schema, default_config)
    if _PRINT.value or _HELP.value:
      print(table(schema.describe(config)) if _HELP.value else config_lib.to_json(config), end="")
      sys.exit(errors.EXIT_OK)
    if on_devices():
      if not _WORKDIR.value:
        raise errors.UserError("--workdir is missing; give a directory, e.g. --workdir=runs/first")
      hint = hosts.connect(
        _COORDINATOR.value,
        _NUM_PROCESSES.value,
        _PROCESS_ID.value,
        timeout_s=_CONNECT_TIMEOUT.value,
      )
      if hint:
        print(f"hint: {hint}", file=sys.stderr, flush=True)
    _log_to_stderr()
    run(config, _WORKDIR.value)
  except errors.UserError as error:
    _leave(f"error: {error}", errors.EXIT_USER_ERROR)
  except errors.NonFiniteLoss as error:
    _leave(f"stopped: {error}", errors.EXIT_NON_FINITE)
  except errors.SaveFailed as error:
    _leave(f"stopped: {error}", errors.EXIT_SAVE_FAILED)
  except errors.Preempted as error:
    _leave(f"left: {error}", errors.EXIT_PREEMPTED)
  except errors.PeerLost as error:
    _leave(f"stopped: {error}", errors.EXIT_PEER_LOST)
  except KeyboardInterrupt:
    _leave("interrupted; the same command goes on from the last checkpoint", 130)
  except Exception as error:
    if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error):
      _leave(f"error: {_out_of_memory(error)}", errors.EXIT_USER_ERROR)
    # Shown in full; raised on, it would wait at the exit for processes that hang.
    if not jax.distributed.is_initialized():
      raise
    traceback.print_exc()
    _leave("stopped: by the error above", 1)


def parse(argv: Sequence[str], schema: Schema, default_config: str | None = None) -> ConfigDict:
  """Returns the config that the flags ask for; `default_config` stands in for a missing --config.

  Raises:
    UserError: an unknown flag or key, a value of the wrong type, a config file that fails or is of
      another kind.
  """
  argv = list(argv)
  for i, word in enumerate(argv[:-1]):
    if word in ("--config", "-config"):  # its value is the next word
      argv[i : i + 2] = [f"{word}={argv[i + 1]}"]
  asked = [a for a in argv if re.match(r"--?config(=|$)", a)]
  if not asked:
    if default_config is None and not {"--help", "-h", "--helpfull"} & set(argv):
      known = ", ".join(_config_files(schema.FILES)) or "the repository's files configs/*.py"
      raise errors.UserError(f"--config is missing; use one of {known}")
    if default_config is not None:
      argv.insert(1, f"--config={default_config}")
      asked = [argv[1]]
  if asked and "=" in asked[-1]:
    config = load(asked[-1].split("=", 1)[1], schema.FILES)
    schema.check_kind(config)
    _check_overrides(argv, config)
  try:
    rest = flags.FLAGS(argv)
  except flags.Error as error:
    raise errors.UserError(_one_line(error)) from error
  if len(rest) > 1:
    raise errors.UserError(f"argument {rest[1]!r} is not a flag; flags begin with --")
  return _CONFIG.value


def table(rows: list[tuple[str, str, Any, str]]) -> str:
  """Aligns (key, type, value, line) under each other."""
  texts = [
    (key, kind, "" if value is None else str(value), line) for key, kind, value, line in rows
  ]
  widths = [min(max(len(row[i]) for row in texts), 44) for i in range(3)]
  lines = []
  for row in texts:
    cells = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
    lines.append("  ".join([*cells, row[3]]).rstrip())
  return "\n".join(lines) + "\n"


def load(spec: str, pattern: str = config_lib.FILES) -> ConfigDict:
  """Runs `FILE[:arg]` by itself, so that its failure is told apart from a bad override.

  `pattern` is of the files that may have been meant by one that does not exist.
  """
  path, _, arg = spec.partition(":")
  if not pathlib.Path(path).is_file():
    near = difflib.get_close_matches(path, _config_files(pattern), n=1, cutoff=0.3)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise errors.UserError(f"config file {path} does not exist{hint}")
  namespace: dict[str, Any] = {"__name__": "config", "__file__": path}
  try:
    exec(compile(pathlib.Path(path).read_text(), path, "exec"), namespace)
  except (SyntaxError, NameError, ImportError, AttributeError) as error:
    raise errors.UserError(f"config file {path} fails: {_one_line(error)}; correct it") from error
  if "get_config" not in namespace:
    raise errors.UserError(
      f"config file {path} has no get_config(); see configs/shapes/quickstart.py"
    )
  get_config = namespace["get_config"]
  try:
    return get_config(arg) if arg else get_config()
  except errors.UserError:
    raise
  except (TypeError, KeyError, ValueError, AttributeError) as error:
    raise errors.UserError(f"config {spec} fails: {_one_line(error)}; correct it") from error


def _check_overrides(argv: Sequence[str], config: ConfigDict) -> None:
  """Raises `UserError` for --config.KEY=VALUE with an unknown key or a value of another type."""
  known = config_lib.flatten(config)
  for argument in argv:
    match = _OVERRIDE.fullmatch(argument)
    if not match:
      continue
    key, value = match.groups()
    if "accum" in key and key not in known:
      raise errors.UserError(
        f"config has no key {key}: gradients of small batches added up would leave each image with "
        "few negatives; --config.micro_batches divides a batch and keeps the loss over all of it "
        "(if that is what you want: --config.optimizer.plain_accumulation)"
      )
    if key not in known:
      near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
      near = near or [k for k in known if k.split(".")[-1] == key.split(".")[-1]][:1]
      inside = [k for k in known if k.startswith(key + ".")]
      if inside:
        raise errors.UserError(f"--config.{key} is a section; set a key in it, e.g. {inside[0]}")
      hint = f"; did you mean --config.{near[0]}?" if near else "; --help_config lists the keys"
      raise errors.UserError(f"config has no key {key}{hint}")
    default = known[key]
    for kind, word in ((bool, "true or false"), (int, "a whole number"), (float, "a number")):
      if isinstance(default, kind):
        if value is not None and not _parses(kind, value):
          raise errors.UserError(f"--config.{key}={value} is not {word}; the default is {default}")
        break


def _parses(kind: type, text: str) -> bool:
  if kind is bool:
    return text.lower() in ("true", "false", "1", "0")
  try:
    kind(text)
  except ValueError:
    return False
  return True


def _config_files(pattern: str) -> list[str]:
  paths = (p for p in pathlib.Path().glob(pattern) if "def get_config(" in p.read_text())
  return sorted(map(str, paths))


def _log_to_stderr() -> None:
  """Prints what the package logs as it is, from process 0; of others' logs only warnings."""
  absl_logging.set_verbosity(absl_logging.WARNING)
  handler = logging.StreamHandler()
  handler.addFilter(lambda record: jax.process_index() == 0)
  log = logging.getLogger("contrastive_jax")
  log.addHandler(handler)
  log.setLevel(logging.INFO)
  log.propagate = False


def _one_line(error: BaseException) -> str:
  return " ".join(str(error).split()) or type(error).__name__


def _out_of_memory(error: Exception) -> str:
  reason = _one_line(error).removeprefix("RESOURCE_EXHAUSTED: ")[:200]
  return (
    f"too little memory ({reason}); take a smaller --config.batch_size, or to train with this one "
    "--config.model.remat=True or more --config.micro_batches (--config.fit_memory=True chooses), "
    "and see that no other process holds the device's memory"
  )


def _leave(line: str, code: int) -> None:
  print(line, file=sys.stderr, flush=True)
  if jax.distributed.is_initialized():  # leaving in order would wait for processes that hang
    os._exit(code)
  sys.exit(code)
