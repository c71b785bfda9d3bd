"""What a run tells: lines on the console, metrics.jsonl, TensorBoard; from process 0 alone."""

import contextlib
import json
import math
import os
import pathlib
import sys
import time
import types
from collections.abc import Mapping
from unittest import mock

import jax
from absl import logging

from contrastive_jax import errors


class Reporter:
  """Writes metrics of a run; a resumed run continues the files where its checkpoint left off."""

  def __init__(self, workdir: str, *, total_steps: int, start_step: int, tensorboard: bool):
    self._total_steps = total_steps
    self._active = jax.process_index() == 0
    self._live = sys.stderr.isatty()
    self._jsonl = self._events = None
    if self._active:
      path = pathlib.Path(workdir) / "metrics.jsonl"
      with errors.saving(str(path)):
        _keep_until(path, start_step)
        self._jsonl = path.open("a")
      if tensorboard:
        self._events = _tensorboard().SummaryWriter(
          str(pathlib.Path(workdir) / "tensorboard"),
          purge_step=start_step + 1 if start_step else None,
        )

  def metrics(self, step: int, values: Mapping[str, float]) -> None:
    """Writes scalars of one step to the files; NaN and infinity become null in the JSON.

    Raises:
      SaveFailed: the disk is full.
    """
    if not self._active:
      return
    finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
    with errors.saving(self._jsonl.name):
      self._jsonl.write(json.dumps({"step": step, **finite}) + "\n")
      self._jsonl.flush()
    if self._events:
      for name, value in values.items():
        self._events.add_scalar(name, value, step)

  def progress(self, step: int, values: Mapping[str, float], seconds_per_step: float) -> None:
    """Shows one line: step, share, loss, speed and time left. Overwritten on a terminal."""
    if not self._active:
      return
    left = (self._total_steps - step) * seconds_per_step
    line = (
      f"step {step}/{self._total_steps} ({100 * step / self._total_steps:.0f} %)"
      f"  loss {values['loss']:.4f}"
      + "".join(
        f"  {short} {100 * values[name]:.1f} %"
        for name, short in (("contrastive_accuracy", "contrast"), ("online_accuracy", "online"))
        if name in values
      )
      + f"  {values['images_per_second']:.0f} images/s  {_clock(left)} left"
    )
    end = "\r" if self._live and step < self._total_steps else "\n"
    print(f"{line:<100}" if self._live else line, end=end, file=sys.stderr, flush=True)

  def line(self, text: str) -> None:
    """Prints one lasting line."""
    if self._active:
      print(f"{text:<100}" if self._live else text, file=sys.stderr, flush=True)

  def alarm(self, text: str) -> None:
    """Prints and logs one line that asks for attention."""
    self.line(f"ALARM  {text}")
    logging.info("alarm: %s", text)

  def sync(self) -> None:
    """Waits until the metrics are on the disk: a checkpoint comes after what led to it."""
    if self._active:
      with errors.saving(self._jsonl.name):
        os.fsync(self._jsonl.fileno())

  def close(self) -> None:
    """Closes the files."""
    for sink in (self._jsonl, self._events):
      if sink:
        with contextlib.suppress(OSError):  # of a full disk `metrics` has told
          sink.close()


class Meter:
  """Seconds per step since it was last read, by the wall clock."""

  def __init__(self):
    self._then, self._step = time.perf_counter(), None

  def start(self, step: int) -> None:
    """Starts counting at `step`; also leaves out the time since the last reading."""
    self._then, self._step = time.perf_counter(), step

  def read(self, step: int) -> float:
    """Returns the mean seconds per step since `start` or the last reading."""
    now = time.perf_counter()
    seconds = (now - self._then) / max(step - self._step, 1)
    self._then, self._step = now, step
    return seconds


def _tensorboard() -> types.ModuleType:
  """Imports tensorboardX (slow, so only where wanted) without PyTorch, which it takes if it can."""
  with mock.patch.dict(sys.modules, {} if "torch" in sys.modules else {"torch": None}):
    import tensorboardX
  return tensorboardX


def _keep_until(path: pathlib.Path, step: int) -> None:
  """Drops the lines after `step`, which the resumed run will write again."""
  if not path.exists():
    return
  kept = []
  for line in path.read_text().splitlines():
    try:
      if json.loads(line)["step"] <= step:
        kept.append(line)
    except (json.JSONDecodeError, KeyError):
      continue  # the last line of a killed run may be cut off
  temporary = path.with_suffix(".tmp")
  temporary.write_text("".join(line + "\n" for line in kept))
  temporary.replace(path)


def _clock(seconds: float) -> str:
  minutes, seconds = divmod(int(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
