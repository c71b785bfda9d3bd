"""A folder is tried before what goes there is computed, and a file in it is whole or not there."""

import errno
import os

import pytest

from contrastive_jax import errors, places


def failing(number):
  def fsync(file):
    raise OSError(number, os.strerror(number))

  return fsync


@pytest.mark.parametrize(
  "number, kind",
  [
    *((n, errors.UserError) for n in (errno.EROFS, errno.EACCES)),
    *((n, errors.SaveFailed) for n in (errno.ENOSPC, errno.EDQUOT, errno.ESTALE)),
  ],
)
def test_a_place_that_cannot_be_written_is_told_before(number, kind, tmp_path, monkeypatch):
  monkeypatch.setattr(os, "fsync", failing(number))
  with pytest.raises(kind) as caught:
    places.ready(tmp_path / "a", "results", "give another --out", num_bytes=3_000_000)
  line = str(caught.value)
  assert f"results cannot be written to {tmp_path / 'a'} ({os.strerror(number)})" in line
  assert line.endswith("give another --out")
  assert ("make room for 3.0 MB" in line) == (kind is errors.SaveFailed)
  assert list(tmp_path.iterdir()) == [], "a folder that was made for nothing is gone"


def test_a_file_in_the_way_is_told(tmp_path):
  (tmp_path / "file").write_text("")
  for place in (tmp_path / "file", tmp_path / "file" / "below"):
    with pytest.raises(errors.UserError, match="file.* give another --out"):
      places.ready(place, "results", "give another --out")


def test_as_many_bytes_are_tried_as_are_to_come(tmp_path, monkeypatch):
  sizes = []
  monkeypatch.setattr(os, "fsync", lambda file: sizes.append(os.fstat(file).st_size))
  places.ready(tmp_path, "results", "", num_bytes=12_345)
  assert sizes == [12_345] and list(tmp_path.iterdir()) == []


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
  path = tmp_path / "new" / "file"
  places.write(path, "before")
  monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
  with pytest.raises(errors.SaveFailed, match="new/file cannot be written .No space left"):
    places.write(path, b"after")
  assert path.read_text() == "before"
  assert list(path.parent.iterdir()) == [path], "what is half written takes no room"
