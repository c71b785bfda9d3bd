"""What a run tells: lines on the console, metrics.jsonl, TensorBoard; from process 0 alone."""

import contextlib
import json
import math
import os
import pathlib
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

from contrastive_jax import errors, metric_lines, reading
from contrastive_jax.workdir.console import Console
from contrastive_jax.workdir.events import Events
from contrastive_jax.workdir.wandb_log import WandbLog

_GIB = 2**30
_BESIDE = ("step", "time", "host_gib", "device_gib", "alarms")  # of a line, and no metrics


class Earlier(NamedTuple):
  """What the lines up to a step say.

  Attributes:
    latest: the last value of every metric.
    of_last: the metrics that the step itself has.
  """

  latest: dict[str, float]
  of_last: list[str]


class Reporter:
  """Writes metrics of a run; a resumed run continues the files where its checkpoint left off.

  Attributes:
    earlier: what was told up to the step at which it starts; of process 0 alone.
  """

  def __init__(
    self,
    workdir: str,
    *,
    total_steps: int,
    start_step: int,
    tensorboard: bool,
    wandb_config: str = "",  # as JSON, for Weights & Biases; "": without
  ):
    self.console = Console(total_steps)
    self._active = jax.process_index() == 0
    self._jsonl = self._events = self._wandb = None
    self.earlier = Earlier({}, [])
    if self._active:
      path = pathlib.Path(workdir) / "metrics.jsonl"
      with contextlib.ExitStack() as undone, errors.placing(str(path)):
        undone.callback(self.close)
        if tensorboard:
          self._events = Events(path.with_name("tensorboard"), start_step)
        if wandb_config:
          self._wandb = WandbLog(path.parent, wandb_config)
        dropped, self.earlier = _keep_until(path, start_step)
        self._jsonl = path.open("a")
        undone.pop_all()
      if dropped:
        self.console.line(f"warning: {path}: {dropped} damaged line(s) dropped")

  def metrics(self, step: int, values: Mapping[str, float], alarms: Sequence[str] = ()) -> None:
    """Writes scalars of one step to the files; NaN and infinity become null in the JSON.

    Beside them stand "time" (seconds since 1970), the most memory so far of this process
    ("host_gib") and, where it tells, of its first device ("device_gib"), and what alarms say, which
    is printed too.

    Raises:
      SaveFailed: the disk is full.
    """
    if not self._active:
      return
    finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
    told = {"alarms": list(alarms)} if alarms else {}
    with errors.saving(self._jsonl.name):
      self._jsonl.write(json.dumps({"step": step, **finite, **_now(), **told}) + "\n")
      self._jsonl.flush()
    for sink in filter(None, (self._events, self._wandb)):
      sink.write(step, values)
    for text in alarms:
      self.console.line(f"ALARM  step {step}: {text}")

  def show(self, config: str, views: pathlib.Path | None) -> None:
    """Gives TensorBoard the config and the picture of views, if there is one."""
    if self._events:
      self._events.text("config", config)
      if views:
        self._events.picture("views", views)
    if self._wandb and views:
      self._wandb.picture("views", views)

  def sync(self) -> None:
    """Waits until the metrics are on the disk: a checkpoint comes after what led to it."""
    if self._active:
      with errors.saving(self._jsonl.name):
        os.fsync(self._jsonl.fileno())
      if self._events:
        self._events.flush()

  def close(self) -> None:
    """Closes the files."""
    for sink in (self._jsonl, self._events, self._wandb):
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

  def so_far(self, step: int) -> float | None:
    """Returns the mean seconds per step since then without reading it; None: of no step yet."""
    return (time.perf_counter() - self._then) / (step - self._step) if step > self._step else None


def _now() -> dict[str, float]:
  """Returns when it is and how much memory was taken at most so far."""
  unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
  host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
  found = {"time": round(time.time(), 3), "host_gib": round(host / _GIB, 3)}
  device = jax.local_devices()[0].memory_stats() or {}
  if "peak_bytes_in_use" in device:
    found["device_gib"] = round(device["peak_bytes_in_use"] / _GIB, 3)
  return found


def _keep_until(path: pathlib.Path, step: int) -> tuple[int, Earlier]:
  """Drops the lines after `step`, which the resumed run will write again, and damaged ones.

  Returns how many were damaged (the last line of a killed run may be cut off), and what the others
  say.
  """
  damaged, earlier = 0, Earlier({}, [])
  temporary = path.with_name(path.name + ".tmp")
  with temporary.open("wb") as kept:
    for line in reading.lines(path):
      found = metric_lines.parsed(line)
      if found is None:
        damaged += 1
      elif found["step"] <= step:
        kept.write(line + b"\n")
        metrics = _metrics(found)
        earlier.latest.update(metrics)
        earlier.of_last.extend(metrics if found["step"] == step else ())
  temporary.replace(path)
  return damaged, earlier


def _metrics(line: Mapping[str, Any]) -> dict[str, float]:
  """Returns the metrics of a line, in which null stands for what was not finite."""
  numbers = {k: math.nan if v is None else v for k, v in line.items() if k not in _BESIDE}
  return {k: v for k, v in numbers.items() if isinstance(v, int | float)}
