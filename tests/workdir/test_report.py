"""What a run tells: on terminals of any width, on a disk that is full, after a crash."""

import errno
import io
import os
import sys
import time
import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest
import whole_runs
from PIL import Image

from contrastive_jax import errors, reading
from contrastive_jax.study import collect
from contrastive_jax.workdir import console, events, report

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


OVER_LONG = b'{"step": 2, "x": "' + b"x" * 2**21 + b'"}'
ODD = [
  *(
    b"null",
    b"[" * 10**5,
    b'{"step": null}',
    b'{"step": "2"}',
    b'{"step": true}',
    b'{"step": 1.5}',
  ),
  OVER_LONG,
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_an_odd_line_of_metrics_costs_itself_alone(tmp_path, capfd, odd):
  path = tmp_path / "metrics.jsonl"
  path.write_bytes(b'{"step": 1}\n' + odd + b'\n{"step": 3}\n{"step": 9}\n')
  reporter(tmp_path, start_step=4).close()
  assert [x["step"] for x in whole_runs.metrics(tmp_path)] == [1, 3]
  assert "1 damaged line(s) dropped" in capfd.readouterr().err
  path.write_bytes(b'{"step": 1}\n' + odd)
  run = collect.read(tmp_path)
  assert run.metrics == [{"step": 1}]
  assert run.notes == ["metrics.jsonl: 1 damaged line left out"]


def test_of_metrics_of_any_length_a_piece_is_in_memory_at_once(tmp_path, capfd):
  """A line of 64 MB, which took four times as much when the file was read whole."""
  path = tmp_path / "metrics.jsonl"
  with path.open("wb") as file:
    file.write(b'{"step": 1}\n{"step": 2, "x": "')
    for _ in range(64):
      file.write(b"x" * 10**6)
    file.write(b'"}\n{"step": 3}\n')
  tracemalloc.start()
  try:
    reporter(tmp_path, start_step=4).close()
    most = tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()
  assert most < 8 * 2**20
  assert [x["step"] for x in whole_runs.metrics(tmp_path)] == [1, 3]
  assert "1 damaged line(s) dropped" in capfd.readouterr().err


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 100])
def test_lines_are_the_same_however_the_file_is_cut_into_pieces(tmp_path, monkeypatch, piece):
  monkeypatch.setattr(reading, "_PIECE", piece)
  for text in (b"", b"\n", b"a", b"a\n", b"ab\n\ncd", b"abcdef\nab\nabcdefg", b"abcdef\n" * 3):
    (tmp_path / "file").write_bytes(text)
    whole = [line if len(line) <= 5 else None for line in text.splitlines()]
    assert list(reading.lines(tmp_path / "file", longest=5)) == whole
  assert list(reading.lines(tmp_path / "gone")) == []


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
  with pytest.raises(errors.UserError, match="tensorboard cannot be written .File exists"):
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
    tags = {"contrastive_accuracy": "contrastive/accuracy"}
    assert told == [(s, tags.get(n, n), value) for s in steps for n, value in VALUES.items()]


def test_a_line_of_metrics_says_when_and_how_much_memory(tmp_path):
  before = time.time()
  made = reporter(tmp_path)
  made.metrics(1, VALUES)
  made.close()
  (line,) = whole_runs.metrics(tmp_path)
  assert before - 1 < line["time"] < time.time() + 1
  assert 0.01 < line["host_gib"] < 100


def test_tensorboard_is_given_the_config_and_the_views(tmp_path):
  views = tmp_path / "views.png"
  Image.new("RGB", (30, 20)).save(views)
  made = reporter(tmp_path, tensorboard=True)
  made.show("epochs: 3", views)
  made.close()
  (file,) = (tmp_path / "tensorboard").iterdir()
  config, picture = (value for event in read_events(file) for value in event.summary.value)
  assert b"epochs: 3" in config.tensor.string_val[0]
  assert config.metadata.plugin_data.plugin_name == "text"
  assert (picture.tag, picture.image.width, picture.image.height) == ("views", 30, 20)


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
    first = events._tensorboard()
    assert "came_along" in sys.modules and "torch" not in sys.modules
    assert events._tensorboard() is first
  finally:
    sys.modules.pop("came_along", None)


@pytest.mark.parametrize(
  ("columns", "shown"),
  [
    (24, "step 12345/1000000  los"),  # not even this has room
    (40, "step 12345/1000000  loss 5.1234"),
    (50, "step 12345/1000000  loss 5.1234  54:52:11 left"),
    (70, "step 12345/1000000  loss 5.1234  10000 images/s  54:52:11 left"),
    (
      110,
      "step 12345/1000000  (1 %)  loss 5.1234  contrast 12.3 %  online 99.9 %  10000 images/s  "
      "54:52:11 left",
    ),
    (
      200,
      "[....................]  step 12345/1000000  (1 %)  loss 5.1234  contrast 12.3 %  "
      "online 99.9 %  10000 images/s  54:52:11 left  25 % waiting for images",
    ),
  ],
)
def test_a_row_of_a_terminal_holds_whole_figures_and_the_time_left_before_others(
  monkeypatch, columns, shown
):
  monkeypatch.setenv("COLUMNS", str(columns))
  monkeypatch.setattr(sys, "stderr", Terminal())
  values = {"loss": 5.1234, "contrastive_accuracy": 0.123, "online_accuracy": 0.999}
  console.Console(1_000_000).progress(
    12_345, values | {"images_per_second": 1e4, "data_wait": 0.25}, 0.2
  )
  assert sys.stderr.getvalue().split("\r\033[K")[-1].rstrip() == shown


def test_a_row_of_a_terminal_is_erased_before_the_next_line(monkeypatch):
  monkeypatch.setattr(sys, "stderr", Terminal())
  made = console.Console(9)
  made.progress(3, {"loss": 1.0}, 0.5)
  made.line("x" * 300)
  made.progress(9, {"loss": 1.0}, 0.5)
  first, *rest = sys.stderr.getvalue().split("\r\033[K")
  assert first == ""
  assert rest[0] == "[######..............]  step 3/9  (33 %)  loss 1.0000  0:03 left"
  assert rest[1] == "x" * 300 + "\n" and rest[2].startswith("step 9/9") and rest[2][-1] == "\n"


def test_a_notebook_gets_a_row_too_and_blanks_in_place_of_codes(monkeypatch):
  class OutStream(io.StringIO):
    """As ipykernel's: no terminal, and no escape codes."""

  OutStream.__module__ = "ipykernel.iostream"
  monkeypatch.setattr(sys, "stderr", OutStream())
  made = console.Console(9)
  for step in (3, 4):
    made.progress(step, {"loss": 1.0}, 0.5)
  shown = sys.stderr.getvalue()
  assert "\033" not in shown and "\n" not in shown
  assert [part.strip() for part in shown.split("\r") if part.strip()] == [
    f"[{'#' * n}{'.' * (20 - n)}]  step {step}/9  ({share} %)  loss 1.0000  {left} left"
    for n, step, share, left in ((6, 3, 33, "0:03"), (8, 4, 44, "0:02"))
  ]


def test_the_memory_of_a_device_is_shown_where_it_is_told(monkeypatch, capfd):
  class Device:
    def memory_stats(self):
      return {"peak_bytes_in_use": 3 * 2**30, "bytes_limit": 16 * 2**30}

  monkeypatch.setattr(console.jax, "local_devices", lambda: [Device()])
  console.Console(9).progress(1, {"loss": 1.0}, None)
  assert capfd.readouterr().err.endswith("loss 1.0000  3.0 of 16.0 GiB of the device\n")


def test_the_words_of_a_line_of_progress_are_explained_once(capfd):
  made = console.Console(9)
  for step in (1, 2):
    made.progress(step, {"loss": 1.0, "contrastive_accuracy": 0.5}, None)
  assert capfd.readouterr().err.splitlines() == [
    "(contrast: views that find their partner before all others)",
    "step 1/9  (11 %)  loss 1.0000  contrast 50.0 %",
    "step 2/9  (22 %)  loss 1.0000  contrast 50.0 %",
  ]


def test_an_alarm_is_in_the_file_with_its_step(tmp_path, capfd):
  made = reporter(tmp_path)
  made.metrics(4, VALUES, alarms=["the loss is odd"])
  made.close()
  (line,) = whole_runs.metrics(tmp_path)
  assert line.items() >= {"step": 4, **VALUES}.items() and line["alarms"] == ["the loss is odd"]
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
