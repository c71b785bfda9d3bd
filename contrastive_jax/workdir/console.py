"""What a run says on the console, from process 0 alone."""

import shutil
import sys
import time
from collections.abc import Mapping

import jax

_ERASE = "\r\033[K"  # to the start of the row of a terminal, and empties it
_BAR = 20  # letters of the bar
_NOTEBOOK = 100  # letters of a row in a notebook, which has no width of its own
_SHORT = {"contrastive_accuracy": "contrast", "online_accuracy": "online"}
_MEANING = {
  "contrastive_accuracy": "contrast: views that find their partner before all others",
  "online_accuracy": "online: images that a linear classifier on h, trained along, names rightly",
}


class Console:
  """Lines that last, and one of progress that a terminal overwrites."""

  def __init__(self, total_steps: int = 0):
    self._total_steps = total_steps
    self._active = jax.process_index() == 0
    self._notebook = type(sys.stderr).__module__.startswith("ipykernel")
    self._live = sys.stderr.isatty() or self._notebook
    # A notebook takes a carriage return, but not what empties a row.
    self._erase = "\r" + " " * _NOTEBOOK + "\r" if self._notebook else _ERASE
    self._explained = False
    self._shown = time.monotonic()

  def line(self, text: str) -> None:
    """Prints one lasting line."""
    if self._active:
      print(f"{self._erase if self._live else ''}{text}", file=sys.stderr, flush=True)

  def is_silent_for(self, seconds: float, seconds_live: float) -> bool:
    """Returns whether no progress was shown for so long; on a terminal it may come more often."""
    return time.monotonic() - self._shown > (seconds_live if self._live else seconds)

  def progress(
    self, step: int, values: Mapping[str, float], seconds_per_step: float | None
  ) -> None:
    """Shows step, share, loss, speed, time left, waiting for images and memory of the device.

    On a terminal they are one row, as far as it reaches, with a bar.

    Args:
      step: that is done.
      values: "loss", and what else there is to show.
      seconds_per_step: None: not known yet.
    """
    if not self._active:
      return
    self._explain(values)
    share = 100 * step / self._total_steps
    parts = [(0, f"step {step}/{self._total_steps}"), (4, f"({share:.0f} %)")]
    parts = [*self.bar(step, self._total_steps), *parts]
    parts.append((0, f"loss {values['loss']:.4f}"))
    parts += [
      (3, f"{short} {100 * values[name]:.1f} %") for name, short in _SHORT.items() if name in values
    ]
    if "images_per_second" in values:
      parts.append((2, f"{values['images_per_second']:.0f} images/s"))
    if seconds_per_step is not None:
      parts.append((1, f"{clock((self._total_steps - step) * seconds_per_step)} left"))
    if "data_wait" in values:
      parts.append((5, f"{100 * values['data_wait']:.0f} % waiting for images"))
    if memory := _device_memory():
      parts.append((5, memory))
    self.row(parts, lasting=step >= self._total_steps)

  def bar(self, done: int, total: int) -> list[tuple[int, str]]:
    """Returns how much is done as a part of a row; none where lines last, or when all is."""
    if not self._live or done >= total:
      return []
    full = _BAR * done // total
    return [(6, f"[{'#' * full}{'.' * (_BAR - full)}]")]

  def row(self, parts: list[tuple[int, str]], lasting: bool = False) -> None:
    """Shows parts of progress, overwritten on a terminal by the next unless it is `lasting`.

    Args:
      parts: texts with a number each; where there is no room the highest numbers go first.
    """
    self._shown = time.monotonic()
    if not self._active:
      return
    if self._live and not lasting:
      columns = _NOTEBOOK if self._notebook else shutil.get_terminal_size().columns
      row = _fitting(parts, columns - 1)  # a second would not be erased
      print(f"{self._erase}{row}", end="", file=sys.stderr, flush=True)
    else:
      self.line("  ".join(text for _, text in parts))

  def clear(self) -> None:
    """Takes the row of progress off a terminal."""
    if self._active and self._live:
      print(self._erase, end="", file=sys.stderr, flush=True)

  def _explain(self, values: Mapping[str, float]) -> None:
    """Says once what the words of a line of progress mean."""
    meant = [line for name, line in _MEANING.items() if name in values]
    if meant and not self._explained:
      self.line(f"({'; '.join(meant)})")
    self._explained = True


def _fitting(parts: list[tuple[int, str]], columns: int) -> str:
  """Returns the parts in one row; where there is no room, those of the highest number go first."""
  for least in range(max(number for number, _ in parts), -1, -1):
    row = "  ".join(text for number, text in parts if number <= least)
    if len(row) <= columns:
      return row
  return row[:columns]


def _device_memory() -> str:
  """Returns how much memory the first device has had in use, of how much; "": it does not tell."""
  found = jax.local_devices()[0].memory_stats() or {}
  if "peak_bytes_in_use" not in found:
    return ""
  limit = f" of {found['bytes_limit'] / 2**30:.1f}" if found.get("bytes_limit") else ""
  return f"{found['peak_bytes_in_use'] / 2**30:.1f}{limit} GiB of the device"


def clock(seconds: float) -> str:
  """Returns a time to come as 1:02:03 or 2:03."""
  minutes, seconds = divmod(int(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
