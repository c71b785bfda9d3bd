"""The command line: `contrastive_jax train`, `eval`, `embed`, `study`, ...

What a flag or a key gets wrong is answered before JAX is imported.

Imports: __init__, buckets, config, config_files, data, embedding, errors, evaluation, hiding,
launch, options, paths, places, plan, plural, processes, report, run_images, study, training,
unread, weights, workdir.
"""

import sys
from collections.abc import Sequence

from contrastive_jax import errors, launch, options
from contrastive_jax.cli import (
  alone,
  compare,
  convert,
  embed,
  evaluate,
  export,
  garbage,
  heap,
  parse,
  prepare,
  report,
  study,
  texts,
  train,
)
from contrastive_jax.cli.command import Command
from contrastive_jax.cli.leave import by_name, leave

COMMANDS: dict[str, Command] = {
  command.name: command
  for command in (
    train.COMMAND,
    evaluate.COMMAND,
    embed.EMBED,
    embed.NEIGHBOURS,
    report.COMMAND,
    study.COMMAND,
    prepare.COMMAND,
  )
}


WITHOUT_CONFIG = {"compare": compare, "export": export, "convert": convert}


def main(arguments: Sequence[str] | None = None) -> None:
  """Does what the words of a command line say, and exits with a code of `errors`.

  Args:
    arguments: what follows the name of the program; those of this process by default.
  """
  with by_name():
    _main(list(sys.argv[1:] if arguments is None else arguments))


def _main(words: list[str]) -> None:
  name, *rest = words or [""]
  if name == "launch":
    sys.exit(launch.main(rest))
  elif name in WITHOUT_CONFIG:
    WITHOUT_CONFIG[name].main(rest)
  elif name in COMMANDS:
    _run(COMMANDS[name], rest)
  elif name in texts.HELP:
    print(texts.program(COMMANDS.values()), end="")
  elif name == "--version":
    print(texts.version())
  else:
    said = f"{name!r} is no command" if name else "no command is given"
    known = ", ".join((*COMMANDS, *WITHOUT_CONFIG, "launch"))
    leave(f"error: {said}; use one of {known}, or contrastive_jax --help", errors.EXIT_USER_ERROR)


def _run(command: Command, words: list[str]) -> None:
  if any(word in texts.HELP for word in words):
    print(texts.command(command, everything="--helpfull" in words), end="")
    return
  memory_kept = heap.keep()
  garbage.collect_seldom()
  if "--version" in words:
    print(texts.version())
    return
  try:
    _answer_or_run(command, words, memory_kept)
  except KeyboardInterrupt:  # while much is imported; what runs says more itself
    leave("interrupted; nothing was done yet: the same command starts anew", 130)


def _answer_or_run(command: Command, words: list[str], memory_kept: bool) -> None:
  try:
    asked = parse.parse(command, words)
  except errors.UserError as error:
    leave(f"error: {error}", errors.EXIT_USER_ERROR)
  if asked.flags["help_config"].value:
    print(options.table(command.schema.describe(asked.config)), end="")
  elif asked.flags["print_config"].value:
    print(command.schema.to_json(asked.config), end="")
  elif not command.itself:
    alone.run(lambda: command.run(asked))
  else:
    from contrastive_jax.cli import run  # JAX is not loaded before the flags are right

    run.run(command, asked, in_turn=memory_kept)
