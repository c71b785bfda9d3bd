"""What a run tells: lines on the console, metrics.jsonl, TensorBoard; from process 0 alone."""

import contextlib
import json
import math
import os
import pathlib
import shutil
import sys
import time
import types
from collections.abc import Mapping, Sequence

import jax

from contrastive_jax import errors

_ERASE = "\r\033[K"  # to the start of the row of a terminal, and empties it
_FLUSH_S = 30.0  # between two writings of events to the disk; a checkpoint comes after one too


class Reporter:
  """Writes metrics of a run; a resumed run continues the files where its checkpoint left off."""

  def __init__(self, workdir: str, *, total_steps: int, start_step: int, tensorboard: bool):
    self._total_steps = total_steps
    self._active = jax.process_index() == 0
    self._live = sys.stderr.isatty()
    self._jsonl = self._events = None
    if self._active:
      path = pathlib.Path(workdir) / "metrics.jsonl"
      if tensorboard:
        self._events = _Events(path.with_name("tensorboard"), start_step)
      with errors.saving(str(path)):
        dropped = _keep_until(path, start_step)
        self._jsonl = path.open("a")
      if dropped:
        self.line(f"warning: {path}: {dropped} damaged line(s) dropped")

  def metrics(self, step: int, values: Mapping[str, float], alarms: Sequence[str] = ()) -> None:
    """Writes scalars of one step to the files; NaN and infinity become null in the JSON.

    What alarms say is written beside them, under "alarms", and printed.

    Raises:
      SaveFailed: the disk is full.
    """
    if not self._active:
      return
    finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
    told = {"alarms": list(alarms)} if alarms else {}
    with errors.saving(self._jsonl.name):
      self._jsonl.write(json.dumps({"step": step, **finite, **told}) + "\n")
      self._jsonl.flush()
    if self._events:
      self._events.write(step, values)
    for text in alarms:
      self.line(f"ALARM  step {step}: {text}")

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
    if self._live and step < self._total_steps:
      row = line[: shutil.get_terminal_size().columns - 1]  # a second row would not be erased
      print(f"{_ERASE}{row}", end="", file=sys.stderr, flush=True)
    else:
      self.line(line)

  def line(self, text: str) -> None:
    """Prints one lasting line."""
    if self._active:
      print(f"{_ERASE if self._live else ''}{text}", file=sys.stderr, flush=True)

  def sync(self) -> None:
    """Waits until the metrics are on the disk: a checkpoint comes after what led to it."""
    if self._active:
      with errors.saving(self._jsonl.name):
        os.fsync(self._jsonl.fileno())
      if self._events:
        self._events.flush()

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
    self._done: tuple[int, float] | None = None

  def start(self, step: int) -> None:
    """Starts counting at `step`; also leaves out the time since the last reading."""
    self._then, self._step = time.perf_counter(), step

  def before_next(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
    """Looks whether `step`, which is read after the next has been called, is done before that.

    A call may return at once or, on a GPU if it holds loops, only when its step is all but done.
    """
    if all(value.is_ready() for value in metrics.values()):
      self._done = step, time.perf_counter()

  def read(self, step: int) -> float:
    """Returns the mean seconds per step since `start` or the last reading."""
    now = self._done[1] if self._done and self._done[0] == step else time.perf_counter()
    seconds = (now - self._then) / max(step - self._step, 1)
    self._then, self._step = now, step
    return seconds


class _Events:
  """Scalars for TensorBoard, written by whoever tells them.

  tensorboardX's SummaryWriter has a thread for it, which a full disk ends; its queue then fills,
  and who tells the next scalar waits for good.
  """

  def __init__(self, folder: pathlib.Path, start_step: int):
    self._folder, self._flushed = folder, time.monotonic()
    with errors.saving(str(folder)):
      tensorboard = _tensorboard()
      self._proto = tensorboard.proto
      folder.mkdir(parents=True, exist_ok=True)
      self._file = tensorboard.event_file_writer.EventsWriter(str(folder / "events"))
      started = self._proto.event_pb2.SessionLog(status=self._proto.event_pb2.SessionLog.START)
      # Of files before this one nothing counts from that step on.
      self._write(step=start_step + 1, session_log=started)

  def write(self, step: int, values: Mapping[str, float]) -> None:
    summary = self._proto.summary_pb2.Summary
    with errors.saving(str(self._folder)):
      for name, value in values.items():
        scalar = summary.Value(tag=name, simple_value=value)
        self._write(step=step, summary=summary(value=[scalar]))
    if time.monotonic() - self._flushed > _FLUSH_S:
      self.flush()

  def flush(self) -> None:
    with errors.saving(str(self._folder)):
      self._file.flush()
    self._flushed = time.monotonic()

  def close(self) -> None:
    self._file.close()

  def _write(self, **event) -> None:
    self._file.write_event(self._proto.event_pb2.Event(wall_time=time.time(), **event))


def _tensorboard() -> types.ModuleType:
  """Imports tensorboardX (slow, so only where wanted) without PyTorch, which it takes if it can."""
  hide = "torch" not in sys.modules
  if hide:
    sys.modules["torch"] = None
  try:
    import tensorboardX
    import tensorboardX.event_file_writer
  finally:
    if hide:
      del sys.modules["torch"]
  return tensorboardX


def _keep_until(path: pathlib.Path, step: int) -> int:
  """Drops the lines after `step`, which the resumed run will write again, and damaged ones.

  Returns how many were damaged: the last line of a killed run may be cut off.
  """
  if not path.exists():
    return 0
  kept, damaged = [], 0
  for line in path.read_bytes().splitlines():
    try:
      text = line.decode()
      if json.loads(text)["step"] <= step:
        kept.append(text)
    except (ValueError, KeyError, TypeError):
      damaged += 1
  temporary = path.with_suffix(".tmp")
  temporary.write_text("".join(line + "\n" for line in kept))
  temporary.replace(path)
  return damaged


def _clock(seconds: float) -> str:
  minutes, seconds = divmod(int(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
