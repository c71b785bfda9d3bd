"""The command that a run names at its end is understood, and asks for images that there are."""

import shlex
import types

import pytest
from tiny_config import tiny

from contrastive_jax import cli
from contrastive_jax.cli import parse
from contrastive_jax.training import next_command

ON_TRAINED = "--config.data.eval_split=train"
HELD_OUT = "--config.data.held_out=True"
WITHOUT_LABELS = "--config.protocols=picture,transformation"


# The number of classes of each; None: there is no such part.
@pytest.mark.parametrize(
  "source, held_out, scored, added",
  [
    (10, None, 10, []),
    (10, 10, 10, []),
    (10, 10, None, [HELD_OUT]),
    (10, 10, 0, [HELD_OUT]),
    (10, None, None, [ON_TRAINED]),
    (0, None, 0, [WITHOUT_LABELS]),
    (0, 0, None, [HELD_OUT, WITHOUT_LABELS]),
    (0, None, None, [ON_TRAINED, WITHOUT_LABELS]),
    (0, None, 10, [WITHOUT_LABELS]),  # neighbours need labels, too
  ],
)
def test_the_command_asks_for_images_that_there_are(source, held_out, scored, added):
  opened = (source, held_out, scored)
  opened = [None if n is None else types.SimpleNamespace(num_classes=n) for n in opened]
  said = next_command.to_score(tiny(), "runs/my run", *opened)
  command, _, note = said.partition(" (")
  program, name, *words = shlex.split(command)
  assert (program, name, words) == ("contrastive_jax", "eval", ["--workdir=runs/my run", *added])
  parse.parse(cli.COMMANDS[name], words)
  unlabelled = not source and bool(scored)
  assert bool(note) == (ON_TRAINED in added or unlabelled)
  assert ("images with labels, --config.data.split=NAME" in note) == unlabelled
