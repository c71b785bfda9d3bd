"""What a command is: its kind of config, its flags, and what it does."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from absl import flags
from ml_collections import ConfigDict


class Schema(Protocol):
  """What the module of a kind of config says about it: `config`,
  `evaluation.config` or `study.config`."""

  @staticmethod
  def check_kind(config: ConfigDict) -> None: ...

  @staticmethod
  def to_json(config: ConfigDict) -> str: ...

  @staticmethod
  def describe(config: ConfigDict) -> list[tuple[str, str, Any, str]]: ...


class Asked(NamedTuple):
  """A command line, understood."""

  config: ConfigDict
  flags: flags.FlagValues
  words: tuple[str, ...] = ()  # as they were given


@dataclasses.dataclass(frozen=True)
class Command:
  """A word after `contrastive_jax`.

  Attributes:
    name: the word.
    line: what it does.
    example: of its use.
    schema: of its configs.
    kind: of those, one of `config_files.KINDS`.
    run: does it; imports what it needs, so that help and mistakes do without.
    default_config: stands in for a missing --config.
    unread: which options of a config nothing reads, and why.
    define: adds the flags that no other command has.
    settle: puts flags that stand for keys into the config.
    on_devices: whether a run needs a workdir and the other processes.
    itself: whether it uses devices at all; otherwise it starts processes that do.
    in_buckets: whether its --workdir may be in a bucket.
    needs_workdir: whether it cannot do without one.
    workdir: what its --workdir is, in its help.
    positional: the flag that a word without a flag stands for; "": there is none.
    interrupted: what is said after Ctrl-C; "": see `run`.
  """

  name: str
  line: str
  example: str
  schema: Schema
  kind: str
  run: Callable[[Asked], None]
  default_config: str | None = None
  unread: Callable[[ConfigDict], dict[str, str]] = lambda config: {}
  define: Callable[[flags.FlagValues], None] = lambda values: None
  settle: Callable[[flags.FlagValues], None] = lambda values: None
  on_devices: Callable[[flags.FlagValues], bool] = lambda values: True
  itself: bool = True
  in_buckets: Callable[[flags.FlagValues], bool] = lambda values: False
  needs_workdir: Callable[[flags.FlagValues], bool] = lambda values: True
  workdir: str = "directory of the run: config, metrics, weights"
  positional: str = ""
  interrupted: str = ""
