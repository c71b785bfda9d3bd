"""A run that goes on under other versions says so, and keeps with what its steps were computed."""

import json

import pytest
import whole_runs
from tiny_config import tiny

from contrastive_jax import config
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.study import compare
from contrastive_jax.training import trainer

NOW = {"jax": "0.12.0", "python": "3.12.1", "device_count": 1}
BEFORE = NOW | {"jax": "0.10.2", "python": "3.11.7"}


@pytest.fixture
def start(tmp_path, monkeypatch):
  """A function that stamps a start at a step under some versions; returns what is told, written."""

  def act(step, versions):
    monkeypatch.setattr(workdir_lib, "versions", lambda: versions)
    told = workdir_lib.stamp(str(tmp_path), config.pretrain(), step=step)
    return told, json.loads((tmp_path / "versions.json").read_text())

  return act


def test_a_change_is_told_and_kept_with_its_step(start):
  assert start(0, BEFORE)[0] == []
  told, written = start(8, NOW)
  assert told == ["jax 0.10.2 -> 0.12.0", "python 3.11.7 -> 3.12.1"]
  assert written.items() >= NOW.items(), "the last start's stand where they always stood"
  assert written["history"] == [{"step": 0} | BEFORE, {"step": 8} | NOW]
  told, written = start(12, NOW)
  assert told == [] and len(written["history"]) == 2
  assert start(16, BEFORE)[1]["history"][-1] == {"step": 16} | BEFORE


def test_another_decoder_is_told_also_to_a_run_from_before_it_was_written_down(start):
  start(0, NOW)
  told, _ = start(8, NOW | {"jpeg_decoder": "simplejpeg 1.9.0, by eighths"})
  assert told == ["jpeg_decoder Pillow, whole images -> simplejpeg 1.9.0, by eighths"]
  assert start(12, NOW | {"jpeg_decoder": "simplejpeg 1.9.0, by eighths"})[0] == []


def test_what_led_to_nothing_that_is_left_is_no_history(start):
  start(0, BEFORE)
  assert start(0, NOW)[1]["history"] == [{"step": 0} | NOW]
  start(8, BEFORE)
  told, written = start(8, NOW)  # killed before it saved, and back again
  assert told == [] and written["history"] == [{"step": 0} | NOW]


def test_a_file_from_before_there_was_a_history_is_its_first_entry(start, tmp_path):
  (tmp_path / "versions.json").write_text(json.dumps(BEFORE | {"config_sha256": "a"}))
  told, written = start(8, NOW)
  assert len(told) == 2
  assert written["history"] == [{"step": 0} | BEFORE, {"step": 8} | NOW]


@pytest.mark.parametrize(
  "content",
  [
    *("", "{", "[]", "3", "null", "[" * 10**5, '{"history": 3}', '{"history": [3, {}, null]}'),
    '{"history": [{"step": "x"}, {"jax": 3}]}',
  ],
)
def test_a_file_that_is_damaged_tells_nothing_and_stops_nobody(start, tmp_path, content):
  (tmp_path / "versions.json").write_text(content)
  told, written = start(8, NOW)
  assert told == [] and written["history"][-1] == {"step": 8} | NOW


def test_a_run_that_goes_on_prints_the_change_and_compare_reads_the_file(
  tmp_path, monkeypatch, capfd
):
  trainer.train(tiny(epochs=1), str(tmp_path), whole_runs.one_device())
  assert "other than up to" not in capfd.readouterr().err
  versions = workdir_lib.versions()
  monkeypatch.setattr(workdir_lib, "versions", lambda: versions | {"jax": "9.9"})
  trainer.train(tiny(epochs=1), str(tmp_path), whole_runs.one_device())
  line = f"other than up to step 4: jax {versions['jax']} -> 9.9 (versions.json keeps both)"
  assert line in capfd.readouterr().err.splitlines()
  assert compare.compare([str(tmp_path)]).runs[0].versions["jax"] == "9.9"
