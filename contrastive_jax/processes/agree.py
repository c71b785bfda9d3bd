"""What processes tell each other, so that all go the same way. Every process must call."""

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from contrastive_jax import errors, parallel

_MOST_NUMBERS = 64  # that process 0 tells
_MOST_AT_ONCE = 2**24  # bytes of all processes together that a sum has in memory


def any_process(flag: bool) -> bool:
  """Returns whether `flag` is true on any process."""
  if jax.process_count() == 1:
    return flag
  return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def least(number: float) -> float:
  """Returns the smallest of what the processes give."""
  if jax.process_count() == 1:
    return number
  return float(np.min(multihost_utils.process_allgather(np.asarray(number, np.float32))))


def first_process_says(numbers: list[int]) -> list[int]:
  """Returns the last 64 of the int32 `numbers` >= 0 that process 0 has."""
  last = numbers[-_MOST_NUMBERS:]
  if jax.process_count() == 1:
    return last
  padded = np.full(_MOST_NUMBERS, -1, np.int32)
  padded[: len(last)] = last
  return [int(n) for n in multihost_utils.broadcast_one_to_all(padded) if n >= 0]


def sums(x: np.ndarray) -> np.ndarray:
  """Returns the sum over processes of float64 arrays of one shape, added in their order."""
  count = jax.process_count()
  if count == 1:
    return x
  flat = np.ascontiguousarray(x, np.float64).ravel()
  size = max(1, _MOST_AT_ONCE // (count * flat.itemsize))
  found = []
  for start in range(0, len(flat), size):
    part = flat[start : start + size].view(np.uint8)  # as bytes: devices would make float32 of it
    found.append(multihost_utils.process_allgather(part).view(np.float64).sum(axis=0))
  return np.concatenate(found).reshape(x.shape)


def texts(text: str) -> list[str]:
  """Returns what every process gave, by process."""
  if jax.process_count() == 1:
    return [text]
  data = np.frombuffer(text.encode(), np.uint8)
  lengths = multihost_utils.process_allgather(np.asarray(len(data), np.int32))
  padded = np.pad(data, (0, int(lengths.max()) - len(data)))
  rows = multihost_utils.process_allgather(padded)
  return [bytes(row[:n]).decode() for row, n in zip(rows, lengths, strict=True)]


class AnyProcess:
  """`any_process` for the training loop: asked at every step, answered one step late.

  The answer travels while the next step is computed, so that nobody waits for it.
  """

  def __init__(self, mesh: Mesh):
    self._sharding = parallel.sharded(mesh)
    self._shape = (mesh.size,)
    self._any = jax.jit(jnp.any, out_shardings=parallel.replicated(mesh))
    self._asked: jax.Array | None = None

  def __call__(self, flag: bool) -> bool:
    """Asks with this process's `flag`; returns the answer to the question before."""
    if jax.process_count() == 1:
      return flag
    before = self._asked
    mine = jax.make_array_from_callback(
      self._shape, self._sharding, lambda index: np.full(len(range(self._shape[0])[index[0]]), flag)
    )
    self._asked = self._any(mine)
    return before is not None and bool(parallel.fetch(before))

  def forget(self) -> None:
    """Drops the question that is under way; every process must."""
    self._asked = None


@contextlib.contextmanager
def mistakes_shared() -> Iterator[None]:
  """Ends all processes with the `UserError` or `ReadFailed` that any of them meets inside.

  One that left alone would be a lost process to the others, and they would be started again.
  """
  mine = None
  try:
    yield
  except (errors.UserError, errors.ReadFailed) as error:
    if jax.process_count() == 1:
      raise
    mine = error
  if jax.process_count() == 1:
    return
  passes = isinstance(mine, errors.ReadFailed)
  mine_said = json.dumps([socket.gethostname(), passes, str(mine or "")])
  for process, (host, passes, text) in enumerate(map(json.loads, texts(mine_said))):
    if text:
      kind = errors.ReadFailed if passes else errors.UserError
      raise kind(f"process {process} on {host}: {text}") from mine


def check_equal(facts: Mapping[str, object]) -> None:
  """Refuses processes that would not compute the same run.

  Args:
    facts: name to value, of config, versions, data; compared as text.

  Raises:
    UserError: a process has other facts than process 0; all processes raise, and name it.
  """
  if jax.process_count() == 1:
    return
  mine = {name: str(value) for name, value in facts.items()}
  said = [json.loads(text) for text in texts(json.dumps([socket.gethostname(), mine]))]
  first_host, first = said[0]
  for process, (host, other) in enumerate(said):
    names = [n for n in dict.fromkeys([*first, *other]) if first.get(n) != other.get(n)]
    if names:
      more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
      raise errors.UserError(
        f"process {process} on {host} has {names[0]} {other.get(names[0])}, process 0 on "
        f"{first_host} has {first.get(names[0])}{more}; start all with the same flags, versions "
        "and data"
      )
