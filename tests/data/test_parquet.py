"""Parquet and Arrow files: which columns, what a row may hold, what is refused in a line."""

import json
import logging
import os

import numpy as np
import picture_sets
import pytest

from contrastive_jax import data, errors, reading

pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
  monkeypatch.setattr(reading, "PAUSES_S", (0.0,))


def picture(level):
  return picture_sets.png(np.full((4, 5, 3), level, np.uint8))


def write(path, columns, **options):
  pq.write_table(pa.table(columns), path, **options)
  return path


def opened(path, split="train", **options):
  return data.build("parquet", split=split, path=str(path), **options)


def levels(source):
  return [int(source[i]["image"][0, 0, 0]) for i in range(len(source))]


def refused(path, **options):
  with pytest.raises(errors.UserError) as error:
    opened(path, **options)
  assert "\n" not in str(error.value)
  return str(error.value)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
  import sys

  monkeypatch.delitem(sys.modules, "contrastive_jax.data.tables", raising=False)
  monkeypatch.delattr(data, "tables", raising=False)
  monkeypatch.setitem(sys.modules, "pyarrow", None)
  assert "pip install -e '.[parquet]'" in refused(tmp_path)


def test_an_image_may_be_bytes_or_a_path_beside_the_file_or_missing(tmp_path):
  (tmp_path / "1.png").write_bytes(picture(1))
  kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
  rows = [{"bytes": picture(0), "path": "gone.png"}, {"bytes": None, "path": "1.png"}]
  path = write(tmp_path / "a.parquet", {"image": pa.array([*rows, None], kind)})
  source = opened(path)
  assert [int(source[i]["image"][0, 0, 0]) for i in range(2)] == [0, 1]
  with pytest.raises(data.Unreadable, match=f"row 2 of {path}: it holds no image"):
    source[2]
  paths = write(tmp_path / "b.parquet", {"image": ["1.png", "gone.png"]})
  assert "no column of image bytes (columns: image); set data.parquet.image" in refused(paths)
  assert int(opened(paths, image="image")[0]["image"][0, 0, 0]) == 1
  with pytest.raises(data.Unreadable, match="gone.png"):
    opened(paths, image="image")[1]


@pytest.mark.parametrize(
  "kind", [pa.binary(), pa.large_binary(), pa.struct({"bytes": pa.large_binary()})], ids=str
)
def test_every_type_of_bytes_is_read(tmp_path, kind):
  values = [picture(i) for i in range(3)]
  values = [{"bytes": v} for v in values] if pa.types.is_struct(kind) else values
  path = write(tmp_path / "a.parquet", {"photo": pa.array(values, kind)}, row_group_size=2)
  assert levels(opened(path)) == [0, 1, 2]


@pytest.mark.parametrize(
  "values, wanted",
  [
    (pa.array([2, None, 0], pa.uint8()), [2, -1, 0]),
    (pa.array([True, False, None]), [1, 0, -1]),
    (pa.array(["1", None, "0"]), [1, -1, 0]),
    (pa.array(["1", "0", "1"]).dictionary_encode(), [1, 0, 1]),
  ],
  ids=["uint8", "bool", "text", "dictionary"],
)
def test_labels_of_every_type_are_class_numbers(tmp_path, values, wanted):
  images = [picture(i) for i in range(3)]
  path = write(tmp_path / "a.parquet", {"image": images, "label": values}, row_group_size=2)
  assert opened(path).labels.tolist() == wanted
  assert opened(path, label="none").num_classes == 0


def test_what_cannot_be_is_refused_with_the_columns(tmp_path):
  images = [picture(i) for i in range(2)]
  one = write(tmp_path / "a.parquet", {"a": images, "b": images, "score": [0.5, 1.5]})
  assert "several columns of image bytes: a, b" in refused(one)
  assert "has no column 'c' but a, b, score" in refused(one, image="c")
  assert "the column score is double, and an image is" in refused(one, image="score")
  assert "the column score is double, no class number" in refused(one, image="a", label="score")
  assert "no column of image bytes" in refused(write(tmp_path / "b.parquet", {"x": [1]}))
  none = write(tmp_path / "c.parquet", {"image": pa.array([], pa.binary())})
  assert "no row" in refused(none)
  texts = write(tmp_path / "d.parquet", {"image": images, "label": ["cat", "ant"]})
  assert opened(texts).label_names == ("ant", "cat")  # one file: there is no other split
  write(tmp_path / "e-1.parquet", {"image": images})
  write(tmp_path / "e-2.parquet", {"image": images, "more": [1, 2]})
  assert "has other columns than" in refused(tmp_path / "e-*.parquet")


def test_several_columns_of_classes_need_a_choice(tmp_path):
  features = {n: {"names": ["x", "y"], "_type": "ClassLabel"} for n in ("fine", "coarse")}
  table = pa.table({"img": [picture(0), picture(1)], "fine": [0, 1], "coarse": [1, 0]})
  said = {"huggingface": json.dumps({"info": {"features": features}})}
  pq.write_table(table.replace_schema_metadata(said), tmp_path / "a.parquet")
  assert "several columns of classes, fine, coarse" in refused(tmp_path / "a.parquet")
  source = opened(tmp_path / "a.parquet", label="coarse")
  assert source.labels.tolist() == [1, 0] and source.label_names == ("x", "y")
  assert list(source.factors) == ["fine"]


@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_damaged_files_are_refused(tmp_path, damage):
  path = write(tmp_path / "a.parquet", {"image": [picture(i) for i in range(4)]})
  content = path.read_bytes()
  path.write_bytes({"cut": content[:-20], "text": b"no table" * 50, "empty": b""}[damage])
  assert f"{path} is no whole Parquet or Arrow file" in refused(path)


def test_a_damaged_row_group_is_that_of_unreadable_images(tmp_path):
  rng = np.random.default_rng(0)
  images = [picture_sets.png(rng.integers(0, 256, (20, 20, 3), np.uint8)) for _ in range(4)]
  path = write(tmp_path / "a.parquet", {"image": images}, row_group_size=2, use_dictionary=False)
  content = bytearray(path.read_bytes())
  place = content.index(images[2][100:120])
  content[4 : place // 2] = bytes(place // 2 - 4)  # the header of the first page
  path.write_bytes(content)
  source = opened(path)
  for row in (0, 1):
    with pytest.raises(data.Unreadable, match=f"row {row} of {path}"):
      source[row]
  assert source[2]["image"].shape == (20, 20, 3)


def test_a_file_that_is_away_is_waited_for_and_replaces_nothing(tmp_path):
  path = write(tmp_path / "a.parquet", {"image": [picture(1)]})
  source = opened(path)
  path.rename(tmp_path / "b.parquet")
  with pytest.raises(OSError) as error:
    source[0]
  assert reading.may_pass(error.value)
  (tmp_path / "b.parquet").rename(path)
  assert levels(source) == [1]


def test_no_more_is_kept_than_was_asked_for_and_what_it_costs_is_said(tmp_path, caplog):
  rng = np.random.default_rng(0)
  images = [picture_sets.png(rng.integers(0, 256, (300, 300, 3), np.uint8)) for _ in range(12)]
  path = write(tmp_path / "a.parquet", {"image": images}, row_group_size=2, use_dictionary=False)
  with caplog.at_level(logging.WARNING):
    source = opened(path, cache_mb=1)
  assert "hold 2 rows" in caplog.text and "2 times what it needs" in caplog.text
  for i in range(12):
    source[i]
  assert 0 < source._tables._held <= 1e6
  assert source._tables._held == sum(column.nbytes for column in source._tables._kept.values())


def test_sets_in_several_folders_are_not_mixed(tmp_path):
  for name in ("first", "second"):
    (tmp_path / name).mkdir()
    write(tmp_path / name / "train-00000.parquet", {"image": [picture(1)]})
  assert f"lie in {tmp_path}/first and {tmp_path}/second" in refused(tmp_path)
  assert levels(opened(tmp_path / "first")) == [1]


def test_a_split_of_any_name_is_told_by_it_in_a_folder(tmp_path):
  """As SVHN's extra on the Hub, and what prepare writes of STL-10's unlabeled."""
  (tmp_path / "data").mkdir()
  for level, split in enumerate(("train", "test", "extra")):
    write(tmp_path / f"data/{split}-00000-of-00001.parquet", {"image": [picture(level)]})
  write(tmp_path / "extra_test-00000-of-00001.parquet", {"image": [picture(9)]})
  assert levels(opened(tmp_path / "data", "extra")) == [2]
  assert levels(opened(tmp_path / "data", "train+extra")) == [0, 2]
  assert levels(opened(tmp_path, "extra")) == [2]
  assert "no files of a split 'more' but test, train; name" in refused(tmp_path, split="more")


def test_a_saved_folder_is_read_in_its_own_order_and_named_where_it_is_damaged(tmp_path):
  for name, level in (("data-1.arrow", 1), ("data-0.arrow", 0)):
    table = pa.table({"image": [picture(level)]})
    with pa.ipc.new_stream(tmp_path / name, table.schema) as writer:
      writer.write_table(table)
  state = tmp_path / "state.json"
  files = [{"filename": "data-1.arrow"}, {"filename": "data-0.arrow"}]
  state.write_text(json.dumps({"_data_files": files}))
  assert levels(opened(tmp_path)) == [1, 0]
  assert "holds one set without splits" in refused(tmp_path, split="test")
  for content, said in (
    ("{", "state.json is damaged"),
    ("{}", "names no Arrow files"),
    (json.dumps({"_data_files": [{"filename": "../x.arrow"}]}), "names no Arrow files"),
    (json.dumps({"_data_files": [{"filename": "x.arrow"}]}), "there is no .*x.arrow"),
    (json.dumps({"_data_files": files, "_indices_data_files": files}), "flatten_indices"),
  ):
    state.write_text(content)
    with pytest.raises(errors.UserError, match=said):
      opened(tmp_path)
  os.remove(state)
  (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["training", "x"]}))
  with pytest.raises(errors.UserError, match="has no split 'test' but training, x"):
    opened(tmp_path, "test")


def test_whole_numbers_written_as_floats_are_classes_and_no_number_is_none(tmp_path):
  """As pandas writes a column of integers in which one is missing."""
  images = [picture(level) for level in range(4)]
  floats = pa.array([2.0, None, 0.0, float("nan")], pa.float64())
  source = opened(write(tmp_path / "a.parquet", {"image": images, "label": floats}))
  assert source.labels.tolist() == [2, -1, 0, -1] and source.num_classes == 3


def test_columns_that_may_be_labels_under_another_name_are_told(tmp_path, caplog):
  images = [picture(0), picture(1)]
  path = write(tmp_path / "a.parquet", {"image": images, "target": [1, 0], "score": [[1], [2]]})
  assert opened(path).num_classes == 0
  assert "has no column of labels, such as label, but target: images are taken" in caplog.text
  caplog.clear()
  opened(path, label="none")
  opened(write(tmp_path / "b.parquet", {"image": images}))
  assert opened(path, label="target").labels.tolist() == [1, 0]
  assert caplog.text == ""


@pytest.mark.parametrize(
  ("values", "kind"),
  [
    (pa.array([0.5, 1.0]), "double"),
    (pa.array([[1, 2], [0]]), "list<"),
    (pa.array([{"id": 1}, {"id": 2}]), "struct<id: int64>"),
  ],
)
def test_a_column_called_label_that_holds_no_classes_is_told(tmp_path, caplog, values, kind):
  path = write(tmp_path / "a.parquet", {"image": [picture(0), picture(1)], "label": values})
  source = opened(path)
  assert source.labels.tolist() == [-1, -1] and source.num_classes == 0
  assert f"{path}: the column label is {kind}" in caplog.text
  assert "taken without labels" in caplog.text
  caplog.clear()
  opened(path, label="none")
  assert caplog.text == ""
  assert "no class number" in refused(path, label="label")


def test_label_comes_before_another_column_of_classes(tmp_path):
  about = {"artist": {"_type": "ClassLabel", "names": ["a", "b"]}}
  told = {b"huggingface": json.dumps({"info": {"features": about}}).encode()}
  columns = {"image": [picture(0), picture(1)], "label": [5, 6], "artist": [0, 1]}
  pq.write_table(pa.table(columns).replace_schema_metadata(told), tmp_path / "a.parquet")
  source = opened(tmp_path / "a.parquet")
  assert source.labels.tolist() == [5, 6] and source.label_names == ()
  assert source.factors["artist"].tolist() == [0, 1]


def test_shards_that_are_not_all_there_are_told(tmp_path, caplog):
  for number in (0, 2):
    write(tmp_path / f"train-{number:05d}-of-00003.parquet", {"image": [picture(number)]})
  write(tmp_path / "test-00000-of-00001.parquet", {"image": [picture(7)]})
  assert levels(opened(tmp_path)) == [0, 2]
  assert "2 of 3 files" in caplog.text and "train-00001-of-00003.parquet" in caplog.text
  caplog.clear()
  opened(tmp_path / "{split}-*.parquet")
  assert "2 of 3 files" in caplog.text
  caplog.clear()
  opened(tmp_path, "test")
  opened(tmp_path / "train-00002-of-00003.parquet")  # which was meant
  assert caplog.text == ""


def test_the_only_column_of_classes_is_that_of_labels_whatever_its_name(tmp_path):
  about = {"artist": {"_type": "ClassLabel", "names": ["a", "b"]}}
  told = {b"huggingface": json.dumps({"info": {"features": about}}).encode()}
  columns = {"image": [picture(0), picture(1)], "artist": [1, 0], "fine_label": ["x", "y"]}
  pq.write_table(pa.table(columns).replace_schema_metadata(told), tmp_path / "a.parquet")
  source = opened(tmp_path / "a.parquet")
  assert source.labels.tolist() == [1, 0] and source.label_names == ("a", "b")


@pytest.mark.parametrize(
  ("one", "other", "wanted"),
  [
    (pa.array([2, 0]), pa.array([1, None], pa.int32()), [2, 0, 1, -1]),
    (pa.array([2, 0], pa.uint8()), pa.array([1, 1], pa.int16()), [2, 0, 1, 1]),
    (pa.array([2, 0]), pa.array([1.0, None]), [2, 0, 1, -1]),  # pandas, where one is missing
    (pa.array([None, None]), pa.array([1, 0]), [-1, -1, 1, 0]),  # or all are
    (pa.array([1, 0]), pa.array([None, None]), [1, 0, -1, -1]),
    (pa.array([None, None]), pa.array(["1", "0"]), [-1, -1, 1, 0]),
    (pa.array(["1", "0"]).dictionary_encode(), pa.array(["2", None]), [1, 0, 2, -1]),
    (pa.array(["1", "0"]), pa.array(["2", "1"]).dictionary_encode(), [1, 0, 2, 1]),
    (pa.array(["1", "0"], pa.large_string()), pa.array(["2", "1"], pa.string_view()), [1, 0, 2, 1]),
    (pa.array([1, 0]).dictionary_encode(), pa.array([2, 1], pa.int8()), [1, 0, 2, 1]),
  ],
  ids=lambda given: str(getattr(given, "type", "")),
)
def test_shards_may_write_the_same_labels_in_other_types(tmp_path, one, other, wanted):
  kinds = (pa.binary(), pa.large_binary())
  for number, (labels, kind) in enumerate(zip((one, other), kinds, strict=True)):
    images = pa.array([picture(2 * number), picture(2 * number + 1)], kind)
    write(tmp_path / f"train-{number}.parquet", {"image": images, "label": labels})
  source = opened(tmp_path)
  assert source.labels.tolist() == wanted
  assert levels(source) == [0, 1, 2, 3]


def test_shards_may_have_their_columns_in_another_order_and_images_without_paths(tmp_path):
  rows = [{"path": None, "bytes": picture(0)}], [{"bytes": picture(1), "path": "1.png"}]
  write(tmp_path / "a-0.parquet", {"label": [0], "image": pa.array(rows[0])})
  field = pa.field("label", pa.int64(), nullable=False)
  schema = pa.schema([pa.field("image", pa.array(rows[1]).type), field])
  pq.write_table(
    pa.table({"image": pa.array(rows[1]), "label": [1]}, schema), tmp_path / "a-1.parquet"
  )
  source = opened(tmp_path / "a-*.parquet")
  assert source.labels.tolist() == [0, 1] and levels(source) == [0, 1]


def test_shards_whose_labels_are_of_different_kinds_are_refused(tmp_path):
  def shards(one, other):
    for number, labels in enumerate((one, other)):
      write(tmp_path / f"a-{number}.parquet", {"image": [picture(number)], "label": labels})
    return refused(tmp_path / "a-*.parquet")

  assert "label is string, not int64; " in shards([0], ["cat"])
  assert "label is int64, not dictionary" in shards(pa.array(["0"]).dictionary_encode(), [0])
  assert "label is bool, not int64; " in shards([0], [True])


def test_shards_that_number_classes_differently_are_refused(tmp_path):
  for number, names in enumerate((["cat", "dog"], ["dog", "cat"])):
    about = {"label": {"_type": "ClassLabel", "names": names}}
    told = {b"huggingface": json.dumps({"info": {"features": about}}).encode()}
    table = pa.table({"image": [picture(number)], "label": [0]}).replace_schema_metadata(told)
    pq.write_table(table, tmp_path / f"a-{number}.parquet")
  said = refused(tmp_path / "a-*.parquet")
  assert "a-1.parquet has other columns than " in said
  assert "class 0 of label is 'dog', not 'cat'; " in said
