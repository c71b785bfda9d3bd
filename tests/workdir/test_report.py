"""What a run tells: on terminals of any width, on a disk that is full, after a crash."""

import errno
import io
import os
import sys

import jax.numpy as jnp
import numpy as np
import pytest
import whole_runs

from contrastive_jax import errors
from contrastive_jax.workdir import report

VALUES = {"loss": 1.0, "contrastive_accuracy": 0.5, "images_per_second": 100.0}


def reporter(tmp_path, *, start_step=0, tensorboard=False):
  return report.Reporter(
    str(tmp_path), total_steps=9, start_step=start_step, tensorboard=tensorboard
  )


class Terminal(io.StringIO):
  def isatty(self):
    return True


def full(*_):
  raise OSError(errno.ENOSPC, "No space left on device")


def test_a_cut_off_last_line_of_metrics_is_dropped(tmp_path, capfd):
  path = tmp_path / "metrics.jsonl"
  path.write_text('{"step": 2, "loss": 1.0}\n{"step": 4, "loss": 1.0}\n{"step": 6, "lo')
  reporter(tmp_path, start_step=4).close()
  assert [x["step"] for x in whole_runs.metrics(tmp_path)] == [2, 4]
  assert "metrics.jsonl: 1 damaged line(s) dropped" in capfd.readouterr().err


@pytest.mark.parametrize("bad", [b'{"st\xffep": 2}', b'{"step": 2, "l\xffss": 1}', b"7", b"\x00"])
def test_a_bad_byte_costs_its_line_alone(tmp_path, capfd, bad):
  path = tmp_path / "metrics.jsonl"
  path.write_bytes(b'{"step": 1}\n' + bad + b'\n{"step": 3}\n{"step": 9}\n')
  reporter(tmp_path, start_step=4).close()
  assert [x["step"] for x in whole_runs.metrics(tmp_path)] == [1, 3]
  assert "1 damaged line(s) dropped" in capfd.readouterr().err


def test_a_full_disk_is_told_by_the_events_too_and_hangs_nobody(tmp_path, monkeypatch):
  made = reporter(tmp_path, tensorboard=True)
  from tensorboardX import record_writer

  made.metrics(1, VALUES)
  monkeypatch.setattr(record_writer.RecordWriter, "write", full)
  with pytest.raises(errors.SaveFailed, match="tensorboard cannot be written .No space left"):
    for step in range(2, 5):
      made.metrics(step, VALUES)
  made.close()


def test_events_that_cannot_be_begun_are_told(tmp_path):
  (tmp_path / "tensorboard").write_text("a file in the way")
  with pytest.raises(errors.SaveFailed, match="tensorboard cannot be written"):
    reporter(tmp_path, tensorboard=True)


def test_events_hold_what_the_run_tells_and_a_resumed_run_takes_back_later_ones(tmp_path):
  for start, steps in ((0, (1, 2, 3)), (2, (3,))):
    made = reporter(tmp_path / str(start), start_step=start, tensorboard=True)
    for step in steps:
      made.metrics(step, VALUES)
    made.close()
    events = list(read_events(*(tmp_path / str(start) / "tensorboard").iterdir()))
    assert [e.session_log.status for e in events if e.HasField("session_log")] == [1]  # START
    assert [e.step for e in events if e.HasField("session_log")] == [start + 1]
    told = [(e.step, e.summary.value[0].tag, e.summary.value[0].simple_value) for e in events[2:]]
    assert told == [(step, name, value) for step in steps for name, value in VALUES.items()]


def read_events(path):
  """Reads records: length, its checksum, an event, its checksum."""
  from tensorboardX.proto import event_pb2

  content = path.read_bytes()
  while content:
    size = int(np.frombuffer(content[:8], np.uint64)[0])
    yield event_pb2.Event.FromString(content[12 : 12 + size])
    content = content[16 + size :]


def test_what_is_imported_beside_tensorboard_stays_imported(monkeypatch):
  class Finder:
    def find_spec(self, name, *_):
      if name == "tensorboardX":
        sys.modules["came_along"] = os

  for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboardX"]:
    monkeypatch.delitem(sys.modules, name)
  monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
  try:
    first = report._tensorboard()
    assert "came_along" in sys.modules and "torch" not in sys.modules
    assert report._tensorboard() is first
  finally:
    sys.modules.pop("came_along", None)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_line_of_progress_stays_in_one_row_of_the_terminal(tmp_path, monkeypatch, columns):
  monkeypatch.setenv("COLUMNS", str(columns))
  monkeypatch.setattr(sys, "stderr", Terminal())
  made = reporter(tmp_path)
  made.progress(3, VALUES, 0.5)
  made.line("x" * 300)
  made.progress(9, VALUES, 0.5)
  made.close()
  first, second, third = (part.split("\033[K")[0] for part in sys.stderr.getvalue().split("\r")[1:])
  assert first == "" and second == "" and third == "", "each begins by erasing the row"
  rows = [part.removeprefix("\033[K") for part in sys.stderr.getvalue().split("\r")[1:]]
  assert rows[0].startswith("step 3/9 (33 %)  loss 1.0000") and len(rows[0]) < columns
  assert rows[1] == "x" * 300 + "\n" and rows[2].startswith("step 9/9") and rows[2][-1] == "\n"


def test_an_alarm_is_in_the_file_with_its_step(tmp_path, capfd):
  made = reporter(tmp_path)
  made.metrics(4, VALUES, alarms=["the loss is odd"])
  made.close()
  assert whole_runs.metrics(tmp_path) == [{"step": 4, **VALUES, "alarms": ["the loss is odd"]}]
  assert "ALARM  step 4: the loss is odd\n" in capfd.readouterr().err


class Pending:
  def is_ready(self):
    return False


def test_the_rate_is_that_of_the_step_whether_its_call_waits_or_not(monkeypatch):
  """Steps of two seconds; each is read after the next was called, the last at once."""
  for waits in (False, True):
    now = 0.0
    monkeypatch.setattr(report.time, "perf_counter", lambda: now)  # noqa: B023
    meter = report.Meter()
    meter.start(0)
    seconds = []
    for step in (1, 2, 3):
      if step > 1:
        meter.before_next(step - 1, {"loss": jnp.ones(()) if waits else Pending()})
      if waits:
        now += 2.0  # the call
      if step > 1:
        if not waits:
          now += 2.0  # the metrics of the step before
        seconds.append(meter.read(step - 1))
    if not waits:
      now += 2.0
    seconds.append(meter.read(3))
    assert seconds == [2.0, 2.0, 2.0]
