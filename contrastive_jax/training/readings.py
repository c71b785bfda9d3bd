"""The metrics of steps: read while the next step is under way, judged, and told when due."""

from collections.abc import Callable, Sequence

from jaxtyping import Array, PyTree

from contrastive_jax import parallel
from contrastive_jax.training.alarms import Alarms
from contrastive_jax.training.due import Due
from contrastive_jax.training.noise import Noise
from contrastive_jax.training.probe_skips import ProbeSkips
from contrastive_jax.training.replaced import Replaced
from contrastive_jax.training.skips import Skips
from contrastive_jax.training.spent import Spent
from contrastive_jax.workdir.report import Meter, Reporter

_SILENCE = {"seconds": 30.0, "seconds_live": 0.5}  # at most, between two lines of progress


class Readings:
  """Holds the metrics of one step back, since to read them is to wait for the step.

  Attributes:
    latest: the last value of every metric that was told, by this process or before it.
  """

  def __init__(
    self,
    reporter: Reporter,
    due: Due,
    schedule: Callable[[int], Array],
    batch_size: int,
    skips: Skips,
    alarms: Alarms,
    noise: Noise,
    spent: Spent,
    earlier: dict[str, float],
  ):
    self.latest = dict(earlier)
    self._reporter, self._due, self._schedule = reporter, due, schedule
    self._batch_size, self._skips, self._alarms = batch_size, skips, alarms
    self._noise, self._spent = noise, spent
    self._replaced, self._probe_skips = Replaced(due.steps_per_epoch), ProbeSkips()
    self._meter = Meter()
    self._held: tuple[int, PyTree] | None = None
    self._first = True  # the next step to be read is the first of this process
    self._seconds: float | None = None  # that a step took when last told

  def start(self, step: int) -> None:
    """Counts time from here: the steps after `step` are next, and nothing else is done between."""
    self._meter.start(step)

  def before_next(self) -> None:
    """Is called right before the next step is."""
    if self._held:
      self._meter.before_next(*self._held)

  def hold(self, step: int, metrics: PyTree) -> None:
    """Holds the metrics of `step`, which is under way, and reads those of the step before."""
    self.catch_up()
    self._held = step, metrics

  def catch_up(self) -> None:
    """Reads what is held. Raises `NonFiniteLoss` if too many steps in a row were not finite."""
    held, self._held = self._held, None
    if held:
      self._read(*held)

  def tell(self, step: int, values: dict[str, float], alarms: Sequence[str] = ()) -> None:
    """Writes values of a step, and prints the alarms."""
    self.latest |= values
    self._reporter.metrics(step, values, alarms)

  def _read(self, step: int, metrics: PyTree) -> None:
    values = {k: float(v) for k, v in parallel.fetch(metrics).items()}
    if not (
      self._due.log(step) or self._due.end_epoch(step)
    ):  # else the step has not measured them
      values = {k: v for k, v in values.items() if not k.startswith("collapse_")}
    lines = [self._replaced.count(step, values["replaced"])]
    if "online_skipped" in values:
      lines.append(self._probe_skips.count(step, values))
      values["online_skipped"] = self._probe_skips.total
    for line in filter(None, lines):
      self._reporter.console.line(line)
    skipped = bool(values["skipped"])
    self._skips.count(skipped)
    values |= {"skipped": self._skips.total, "replaced": self._replaced.total}
    first, self._first = self._first, False
    if first:
      self._meter.read(step)  # compiling is in it, and says nothing of the other steps
    if skipped:
      self._reporter.metrics(step, values, [self._skips.alarm(values)])
      self._skips.end_if_too_many(step, values)
      return
    self._alarms.count(step, values)
    if self._due.log(step):
      self._log(step, values, None if first else self._meter.read(step))
    elif self._due.end_epoch(step) and (alarms := self._alarms.new(step, values)):
      self.tell(step, values, alarms)  # a run may log less than once an epoch
    elif first or self._reporter.console.is_silent_for(**_SILENCE):
      seconds = self._seconds or self._meter.so_far(step)
      if seconds:
        values["images_per_second"] = self._batch_size / seconds
      self._reporter.console.progress(step, values, seconds)

  def _log(self, step: int, values: dict[str, float], seconds: float | None) -> None:
    values |= {
      "epoch": step / self._due.steps_per_epoch,
      "learning_rate": float(self._schedule(step - 1)),
      **self._noise.quotients(values),
    }
    waiting = self._spent.waiting()
    if seconds:
      values["images_per_second"] = self._batch_size / seconds
      if waiting is not None:
        values["data_wait"] = waiting
    self._seconds = seconds
    self.tell(step, values, self._alarms.new(step, values))
    self._reporter.console.progress(step, values, seconds)
