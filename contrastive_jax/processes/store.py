"""Short texts that the processes of a run keep for each other at the coordinator, by key.

JAX has such a store where processes joined it, in the memory of process 0; it has no public name
for it. Calls wait as long as process 0 does not answer: only a thread may make them that nobody
waits for. In 0.10 and 0.12 they give the interpreter free meanwhile.
"""

from typing import Protocol

import jax


class Store(Protocol):
  """What a run keeps its signs of life in. Each call is one message to process 0."""

  def set(self, key: str, text: str) -> None: ...

  def get(self, key: str) -> str | None: ...

  def below(self, folder: str) -> dict[str, str]: ...


class Coordinator:
  """The store of JAX's distributed service."""

  def __init__(self, client):
    self._client = client

  def set(self, key: str, text: str) -> None:
    """Writes a text; an older one gives way. Raises RuntimeError: process 0 is away."""
    self._client.key_value_set(key, text, allow_overwrite=True)

  def get(self, key: str) -> str | None:
    """Returns the text, None if there is none or process 0 is away."""
    try:
      return self._client.key_value_try_get(key)
    except RuntimeError:  # of JAX, for both; 0.12 has names for them that 0.10 has not
      return None

  def below(self, folder: str) -> dict[str, str]:
    """Returns all texts below a folder, by the rest of their keys. Raises RuntimeError."""
    found = self._client.key_value_dir_get(folder)
    return {key.rpartition("/")[2]: text for key, text in found}


def connected() -> Coordinator | None:
  """Returns the store of this run; None: its processes did not meet through JAX's service."""
  from jax._src import distributed

  client = distributed.global_state.client
  return Coordinator(client) if client is not None and jax.process_count() > 1 else None
