"""Imports of a package without others that it takes along where they are installed.

What is imported so stays without them for good, and somebody else may want to use it whole: the
others are hidden only where the process is a command's (`alone`), and nobody else's.
"""

import contextlib
import sys
from collections.abc import Iterator

_alone = False


def alone() -> None:
  """Says that nobody imports anything in this process but the package."""
  global _alone
  _alone = True


@contextlib.contextmanager
def hidden(*names: str, always: tuple[str, ...] = ()) -> Iterator[None]:
  """Within it modules of these names cannot be imported, unless they are already.

  Args:
    *names: hidden in the process of a command.
    always: hidden in any.
  """
  absent = [name for name in (*always, *(names if _alone else ())) if name not in sys.modules]
  sys.modules.update(dict.fromkeys(absent))
  try:
    yield
  finally:
    for name in absent:
      del sys.modules[name]
