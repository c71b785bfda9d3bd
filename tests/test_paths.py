"""One folder holds what may be made again, and one variable moves all of it."""

import pathlib

import pytest

from contrastive_jax import errors, paths
from contrastive_jax.buckets import files, local
from contrastive_jax.buckets.address import parsed
from contrastive_jax.cli import compiled
from contrastive_jax.data import lists


def test_the_folder_is_that_of_the_variable_or_of_the_standard(monkeypatch, tmp_path):
  monkeypatch.setenv("HOME", str(tmp_path))
  monkeypatch.setenv("XDG_CACHE_HOME", "/var/somewhere")
  monkeypatch.setenv(paths.CACHE, "~/disk")
  assert paths.cache() == tmp_path / "disk"
  monkeypatch.setenv(paths.CACHE, "")
  assert paths.cache() == pathlib.Path("/var/somewhere/contrastive_jax")
  monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
  assert paths.cache() == tmp_path / ".cache" / "contrastive_jax"


def test_the_variable_moves_programs_lists_and_copies_of_buckets(monkeypatch, tmp_path):
  monkeypatch.setenv(paths.CACHE, str(tmp_path / "cache"))
  assert compiled.folder().parent == tmp_path / "cache" / "compiled"
  monkeypatch.setattr(lists, "_KEPT_FROM", 1)
  (tmp_path / "images").mkdir()
  (tmp_path / "images" / "1.jpg").write_bytes(b"1")
  lists.of(tmp_path / "images", (".jpg",))
  assert list((tmp_path / "cache" / "listings").iterdir())
  place = parsed("gs://bucket/run", "--workdir")
  with local.held(place) as (folder, _):
    assert folder.parent == tmp_path / "cache" / "runs"
  monkeypatch.setattr(files.Objects, "versions", lambda self, under: {})
  assert files.Files(place, "data.folder.path").folder.parent == tmp_path / "cache" / "data"


def test_an_empty_path_is_not_the_current_folder():
  with pytest.raises(errors.UserError, match="workdir is empty; give a directory"):
    paths.local("", "workdir")
