"""How far a part of an evaluation is, where it takes long: one row, and the time that is left."""

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from contrastive_jax.workdir.console import Console, clock

_SILENCE = {"seconds": 30.0, "seconds_live": 0.5}  # at most, as in training
_TICK_S = 0.5  # between two looks at the clock, where nothing else tells the time
T = TypeVar("T")


class Progress:
  """Is called with what is done: shows now and then how far it is, and takes a row away again.

  What takes less than the silence needs no line where lines last.
  """

  def __init__(self, what: str):
    self._what, self._console = what, Console()
    self._first: tuple[float, int] | None = None  # when was how much done

  def __call__(self, done: int, total: int, loss: float | None = None) -> None:
    """Shows that `done` of `total` steps are."""
    now = time.monotonic()
    if done >= total:
      self._console.clear()
    elif self._console.is_silent_for(**_SILENCE):
      parts = [*self._console.bar(done, total), (0, self._what), (0, f"{done:,}/{total:,}")]
      if loss is not None:
        parts.append((1, f"loss {loss:.4f}"))
      if self._first and done > self._first[1]:  # compiling is in what was done by then
        seconds = (now - self._first[0]) / (done - self._first[1])
        parts.append((0, f"{clock((total - done) * seconds)} left"))
      self._console.row(parts)
    self._first = self._first or (now, done)

  def over(self, batches: Iterable[T], total: int) -> Iterator[T]:
    """Yields the batches, of which there are `total`."""
    for done, batch in enumerate(batches):
      self(done, total)
      yield batch
    self(total, total)

  @contextlib.contextmanager
  def waiting(self) -> Iterator[None]:
    """Shows how long the block has taken, where nobody can say how far it is."""
    begun, done = time.monotonic(), threading.Event()

    def show():
      while not done.wait(_TICK_S):
        if self._console.is_silent_for(**_SILENCE):
          self._console.row([(0, self._what), (0, f"{clock(time.monotonic() - begun)} so far")])

    shown = threading.Thread(target=show, daemon=True)
    shown.start()
    try:
      yield
    finally:
      done.set()
      shown.join()
      self._console.clear()
