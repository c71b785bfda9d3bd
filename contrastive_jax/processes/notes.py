"""Notes between processes through the coordinator, for threads: no collective, in no order.

What all devices compute together must be called by all processes in one order, which threads that
work in the background cannot keep. The coordinator in process 0 keeps notes until they are dropped.
"""

from collections.abc import Callable

import jax
from jax._src import distributed  # the store has no public name; Orbax takes it from here too

_ONCE_MS = 2000  # of waiting, before it is looked whether to go on


def leave(key: str, text: str) -> None:
  """Leaves a note; no other may have that key."""
  _store().key_value_set(_name(key), text)


def wait_for(key: str, go_on: Callable[[], bool]) -> str | None:
  """Returns a note as soon as it is there, None if it is not and `go_on` has become false."""
  while True:
    try:
      return _store().blocking_key_value_get(_name(key), _ONCE_MS)
    except jax.errors.JaxRuntimeError as error:
      if "DEADLINE_EXCEEDED" not in str(error):
        raise
      if not go_on():
        return None


def drop(key: str) -> None:
  """Removes a note, or all that have a key below this one."""
  _store().key_value_delete(_name(key))


def _name(key: str) -> str:
  return f"contrastive_jax/{key}"


def _store():
  return distributed.global_state.client
