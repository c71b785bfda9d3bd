"""Which lists beside images are offered as their labels, and that none of them ends a run."""

import errno

import pytest
from layout_files import opened, write

from contrastive_jax import errors
from contrastive_jax.data import folder_on_disk

SPLIT = ["Train/3/1.png", "Train/5/2.png", "Train/10/3.png", "Test/1.png", "Test/2.png"]


@pytest.mark.parametrize(
  ("header", "column"),
  [("Roi.X1,ClassId,Path", "ClassId"), ("ClassId,label,Path", "label"), ("x,y,Path", "y")],
)
def test_numbers_that_happen_to_be_those_of_classes_are_not_taken_for_them(
  header, column, tmp_path, caplog
):
  """Corners of boxes were, as of the first column of which all numbers are classes."""
  write(tmp_path, [*SPLIT, "Test/3.png"])
  lines = ["5,03,Test/1.png", "10,5,Test/2.png", "5,10,Test/3.png"]
  (tmp_path / "Test.csv").write_text("\n".join([header, *lines]))
  opened(tmp_path, "test")
  assert f"Test.csv has the classes of other splits in its column {column}: move" in caplog.text


def test_numbers_of_any_length_are_compared(tmp_path, caplog):
  write(tmp_path, SPLIT)
  bits = "01" * 3000
  (tmp_path / "Test.csv").write_text(f"Path,bits\nTest/1.png,{bits}\nTest/2.png,{bits}1\n")
  opened(tmp_path, "test")
  assert "Test.csv names them, and no column has the classes" in caplog.text


def test_a_name_that_no_file_can_have_is_that_of_none(tmp_path, caplog):
  write(tmp_path, ["a.png", "b.png"])
  (tmp_path / "x.jsonl").write_text('{"file": "\\ud800", "label": 1}\n{"file": "a", "label": 2}')
  opened(tmp_path)
  assert "data.folder.labels=x.jsonl reads that list" in caplog.text


@pytest.mark.parametrize(
  "error", [PermissionError(errno.EACCES, "denied"), errors.ReadFailed("no answer")]
)
def test_a_list_that_cannot_be_read_ends_no_run_that_does_not_ask_for_it(
  error, tmp_path, caplog, monkeypatch
):
  def content(*_):
    raise error

  write(tmp_path, ["a.png", "b.png"])
  (tmp_path / "x.csv").write_text("image,label\na.png,ant\nb.png,bee\n")
  monkeypatch.setattr(folder_on_disk.Tree, "content", content)
  assert len(opened(tmp_path)) == 2
  assert "data.folder.labels=x.csv reads that list" in caplog.text


def test_of_a_list_for_each_image_a_few_are_read(tmp_path, monkeypatch):
  """In a bucket each takes a request."""
  names = [f"{n:02}" for n in range(40)]
  write(tmp_path, [f"{name}.png" for name in names])
  for name in names:
    (tmp_path / f"{name}.csv").write_text("x,y\n1,2\n")
  read, content = [], folder_on_disk.Tree.content
  monkeypatch.setattr(
    folder_on_disk.Tree, "content", lambda tree, path: read.append(path) or content(tree, path)
  )
  opened(tmp_path)
  assert 0 < len(read) <= 16
