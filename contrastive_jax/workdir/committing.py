"""How a checkpoint that is written comes to count, where the workdir is a folder of this system.

Elsewhere, where folders cannot be renamed, another class with these two methods does it.
"""

import os
import pathlib

from contrastive_jax.workdir import checkpoint_files


class Renaming:
  """The folder gets its name last: until then it does not count."""

  def part_written(self, part: pathlib.Path) -> None:
    """Is called in a thread of every process with the folder of its part, which was read back.

    Only when it has returned everywhere the manifest is written.
    """

  def commit(self, written: pathlib.Path, committed: pathlib.Path) -> None:
    """Makes a checkpoint count, its manifest included; in a thread of process 0 alone."""
    os.rename(written, committed)
    checkpoint_files.sync(committed.parent)
