"""What was compiled is kept for the next start; where that cannot be, a run does without."""

import logging
import os

import jax
import pytest

from contrastive_jax.cli import compiled, train
from contrastive_jax.cli.parse import defined

KEYS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture
def told(tmp_path, monkeypatch, caplog):
  """A function that calls `keep` as a fresh start would; returns JAX's folder and the log."""
  before = {key: getattr(jax.config, key) for key in KEYS}
  monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  jax.config.update(KEYS[0], None)

  def act():
    caplog.clear()
    with caplog.at_level(logging.INFO):
      compiled.keep()
    return jax.config.jax_compilation_cache_dir, caplog.text

  yield act
  for key, value in before.items():
    jax.config.update(key, value)


def test_programs_are_kept_in_the_users_cache_and_that_is_said(told, tmp_path):
  path, text = told()
  assert os.path.dirname(path) == str(tmp_path / "cache/contrastive_jax/compiled")
  assert text.count("compiled programs are kept in") == 1 and path in text
  assert os.stat(path).st_mode & 0o077 == 0, "what lies there is run: nobody else writes it"


@pytest.mark.parametrize("theirs", ["", "elsewhere"])
def test_a_folder_that_the_user_named_stays(told, monkeypatch, theirs):
  monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", theirs)
  assert told() == (None, "")


def test_a_folder_that_was_set_in_python_stays(told, tmp_path):
  jax.config.update(KEYS[0], str(tmp_path))
  assert told() == (str(tmp_path), "")


def test_a_home_that_cannot_be_written_is_a_warning(told, tmp_path, monkeypatch):
  (tmp_path / "cache").write_text("a file")
  path, text = told()
  assert path is None and "warning: compiled programs are not kept in" in text
  assert "Not a directory" in text
  (tmp_path / "cache").unlink()

  def full(**_):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(compiled.tempfile, "TemporaryFile", full)
  path, text = told()
  assert path is None and "No space left on device" in text


def test_what_was_not_used_for_longest_goes_first(told, monkeypatch):
  path, _ = told()
  other = os.path.join(os.path.dirname(path), "of another processor")
  os.mkdir(other)
  for age, name in enumerate((f"{path}/d", f"{other}/c", f"{path}/b", f"{path}/a")):
    with open(name, "wb") as file:
      file.write(bytes(100))
    os.utime(name, (1e9 - age, 1e9 - age))
  os.utime(f"{path}/a", (1e9 + 1, 1))  # written first, but read last
  monkeypatch.setattr(compiled, "MOST_BYTES", 250)
  jax.config.update(KEYS[0], None)
  told()
  assert sorted(os.listdir(path)) == ["a", "d"] and not os.listdir(other)


def test_a_flag_turns_it_off():
  flags = defined(train.COMMAND)
  assert flags["keep_compiled"].value
  flags(["train", "--nokeep_compiled"])
  assert not flags["keep_compiled"].value
