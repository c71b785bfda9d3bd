"""What the names in a run's folder `checkpoints` mean. Every other name is the user's, left alone.

STEP                   a checkpoint: it was whole once
STEP.damaged*          one that no longer was, set aside (STEP.damaged.2 if that is there)
STEP.tmp*, trial.tmp*  never whole: what a killed run can have left
"""

import re
from collections.abc import Iterable

TRIAL = "trial"  # the state that a start writes and removes again, to see that it can be saved
_LAST = 2**31 - 1  # steps are int32
STEP = "0|[1-9][0-9]{0,9}"  # as they are written: no 007, no digits of other alphabets
_LEFTOVER = re.compile(rf"(?:{STEP}|{TRIAL})\.tmp(?:\.orbax-checkpoint-tmp.*)?", re.DOTALL)


def steps(names: Iterable[str]) -> list[int]:
  """Returns the steps of the checkpoints, oldest first."""
  found = (int(name) for name in names if re.fullmatch(STEP, name))
  return sorted(step for step in found if step <= _LAST)


def damaged(names: Iterable[str]) -> list[str]:
  """Returns the names of those that were set aside."""
  return sorted(name for name in names if re.fullmatch(rf"(?:{STEP})\.damaged(?:\.\d+)?", name))


def set_aside(step: int, names: Iterable[str]) -> str:
  """Returns the name under which a damaged checkpoint is kept, one that nothing has yet."""
  taken, name, number = set(names), f"{step}.damaged", 2
  while name in taken:
    name, number = f"{step}.damaged.{number}", number + 1
  return name


def any_saved(names: Iterable[str]) -> bool:
  """Returns whether a save was ever committed, be it damaged by now."""
  names = list(names)
  return bool(steps(names) or damaged(names))


def leftovers(names: Iterable[str]) -> list[str]:
  """Returns the names of what was never committed."""
  return sorted(name for name in names if _LEFTOVER.fullmatch(name))
