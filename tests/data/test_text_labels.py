"""Labels that are texts are the names of classes, numbered over all splits, in every source."""

import json
import re

import numpy as np
import picture_sets
import pytest
from conftest import REPOSITORY

from contrastive_jax import data, errors, reading
from contrastive_jax.data import encoded, shards, text_labels, tf_example

pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
pq = pytest.importorskip("pyarrow.parquet")

TRAIN, VAL = ["cat", "ant", None, "cat"], ["bee", "ant"]  # bee: only one split has it
NAMES = ("ant", "bee", "cat")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
  monkeypatch.setattr(reading, "PAUSES_S", (0.0,))


def picture(level):
  return picture_sets.png(np.full((4, 5, 3), level, np.uint8))


def npz(root, split, labels):
  images = np.zeros((len(labels), 4, 5, 3), np.uint8)
  np.savez(root / f"{split}.npz", images=images, labels=np.array([x or "" for x in labels]))
  return {"path": str(root / "{split}.npz")}


def table(labels):
  return pa.table({"image": [picture(i) for i in range(len(labels))], "label": labels})


def parquet(root, split, labels):
  pq.write_table(table(labels), root / f"{split}-00000.parquet")
  return {"path": str(root)}


def parquet_pattern(root, split, labels):
  return parquet(root, split, labels) | {"path": str(root / "{split}-*.parquet")}


def saved_folder(root, split, labels):
  (root / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "val"]}))
  (root / split).mkdir()
  with pa.ipc.new_stream(root / split / "d.arrow", table(labels).schema) as writer:
    writer.write_table(table(labels))
  (root / split / "state.json").write_text(json.dumps({"_data_files": [{"filename": "d.arrow"}]}))
  return {"path": str(root)}


def saved_folders(root, split, labels):
  """Each by itself, as where sets are saved one by one."""
  saved_folder(root, split, labels)
  (root / "dataset_dict.json").unlink()
  return {"path": str(root / "{split}")}


def records(root, split, labels):
  rows = [
    {"image": picture(i)} | ({} if label is None else {"label": str(label).encode()})
    for i, label in enumerate(labels)
  ]
  picture_sets.write_records(root / f"{split}.arrayrecord", map(tf_example.serialise, rows))
  return {"path": str(root), "index": str(root / "index")}


def tar(root, split, labels, member="cls"):
  import tarfile

  with tarfile.open(root / f"{split}-0.tar", "w") as file:
    for i, label in enumerate(labels):
      picture_sets.add(file, f"{i}.png", picture(i))
      if label is not None:
        content = f"{label}\n" if member == "cls" else json.dumps({"of": label})
        picture_sets.add(file, f"{i}.{member}", content.encode())
  label = "auto" if member == "cls" else "json:of"
  return {"path": str(root), "index": str(root / "index"), "label": label}


def tar_json(root, split, labels):
  return tar(root, split, labels, "json")


# By the first word of a row of the table in docs/data.md.
WRITERS = {
  "npz": ("npz", [npz]),
  "Parquet": ("parquet", [parquet, parquet_pattern]),
  "`save_to_disk`": ("parquet", [saved_folder, saved_folders]),
  "ArrayRecord": ("arrayrecord", [records]),
  "tar": ("webdataset", [tar, tar_json]),
}
CASES = [(source, write) for source, writers in WRITERS.values() for write in writers]
ENCODED = [case for case in CASES if case[0] != "npz"]


def both(source, write, root, train=TRAIN, val=VAL, **options):
  write(root, "train", train)
  found = write(root, "val", val) | options
  return tuple(data.build(source, split=split, **found) for split in ("train", "val"))


def test_the_table_of_text_labels_names_every_source_that_is_tested():
  text = (REPOSITORY / "docs" / "data.md").read_text()
  (found,) = re.findall(r"\n\| labels that are texts \|.*\n\|[-|]+\n((?:\|.*\n)+)", text)
  assert {row.strip("| ").split()[0].rstrip(",") for row in found.splitlines()} == set(WRITERS)


@pytest.mark.parametrize(("source", "write"), CASES)
def test_texts_are_names_numbered_over_all_splits(tmp_path, source, write):
  train, val = both(source, write, tmp_path)
  assert train.label_names == val.label_names == NAMES
  assert train.labels.tolist() == [2, 0, -1, 2] and val.labels.tolist() == [1, 0]
  assert train.num_classes == 3


@pytest.mark.parametrize(("source", "write"), ENCODED)
def test_a_file_of_names_orders_them_as_before_and_no_other_split_is_read(tmp_path, source, write):
  names = tmp_path / "names.txt"
  names.write_text("cat\nant\nbee\n")
  train, val = both(source, write, tmp_path, names=str(names))
  assert train.labels.tolist() == [0, 1, -1, 0] and val.labels.tolist() == [2, 1]
  names.write_text("cat\nbee\n")
  with pytest.raises(errors.UserError, match="no number is known of 'ant': name each class in"):
    both(source, write, (tmp_path / "other").mkdir() or tmp_path / "other", names=str(names))


@pytest.mark.parametrize(("source", "write"), ENCODED)
def test_numbers_are_class_numbers_as_before_and_no_other_split_is_asked(
  tmp_path, source, write, monkeypatch
):
  monkeypatch.setattr(text_labels, "names", None)
  monkeypatch.setattr(shards, "other_splits", None)
  train, val = both(source, write, tmp_path, ["3", "0", None, "3"], ["1", "0"])
  assert train.label_names == () and train.labels.tolist() == [3, 0, -1, 3]
  assert val.labels.tolist() == [1, 0]


@pytest.mark.parametrize(("source", "write"), ENCODED)
def test_texts_beside_the_numbers_of_another_split_are_refused(tmp_path, source, write):
  write(tmp_path, "train", ["3", "0"])
  found = write(tmp_path, "val", ["x3", "0"])
  with pytest.raises(errors.UserError, match="are texts, and the labels of another split numbers"):
    data.build(source, split="val", **found)


@pytest.mark.parametrize(("source", "write"), ENCODED)
def test_another_split_without_labels_counts_for_none(tmp_path, source, write):
  train, val = both(source, write, tmp_path, ["b", "a", "-1"], [None, None])
  assert train.label_names == ("a", "b") and train.labels.tolist() == [1, 0, -1]
  assert val.labels.tolist() == [-1, -1] and val.num_classes == 0


@pytest.mark.parametrize(("source", "write"), ENCODED)
def test_a_text_for_each_image_names_images(tmp_path, source, write, monkeypatch):
  monkeypatch.setattr("contrastive_jax.data.labels._MOST_OF_FEW_NAMED", 2)
  with pytest.raises(errors.UserError, match="4 different values for 6 images: these name images"):
    both(source, write, tmp_path, ["a", "b", "c", "d"], ["a", "b"])


def test_bytes_that_are_no_text_are_refused():
  with pytest.raises(errors.UserError, match=r"it holds b'\\xff', which is no UTF-8"):
    encoded.class_numbers(np.array([b"\xff", b"a"]), (), "it", "key")


def test_only_the_column_of_labels_is_read_of_parquet_files(tmp_path, monkeypatch):
  asked, read = [], pq.ParquetFile.read
  parquet(tmp_path, "train", TRAIN)
  parquet(tmp_path, "val", VAL)
  monkeypatch.setattr(
    pq.ParquetFile, "read", lambda s, columns, **k: asked.append(columns) or read(s, columns, **k)
  )
  monkeypatch.setattr(pq.ParquetFile, "read_row_group", None)
  assert data.build("parquet", split="val", path=str(tmp_path)).label_names == NAMES
  assert asked == [["label"], ["label"]]


def test_another_split_may_have_no_column_of_labels(tmp_path):
  parquet(tmp_path, "train", TRAIN)
  pq.write_table(table(VAL).drop_columns(["label"]), tmp_path / "test-0.parquet")
  assert data.build("parquet", split="train", path=str(tmp_path)).label_names == ("ant", "cat")


def test_that_records_are_read_for_others_labels_is_told_with_what_does_without(tmp_path, caplog):
  caplog.set_level("INFO")
  records(tmp_path, "train", TRAIN)
  found = records(tmp_path, "val", VAL)
  data.build("arrayrecord", split="val", **found)
  assert "the 4 records of the other splits, such as " in caplog.text
  assert "data.arrayrecord.names, a file with a class a line, does without" in caplog.text


@pytest.mark.parametrize("section", ["parquet", "webdataset", "arrayrecord"])
def test_texts_in_a_bucket_need_names(section):
  with pytest.raises(errors.UserError, match=f"copy them all; set data.{section}.names to a file"):
    shards.check_near("gs://b/x-{split}", f"data.{section}")


@pytest.mark.parametrize(("source", "write"), CASES)
def test_minus_one_and_nan_beside_numbers_are_no_classes(tmp_path, source, write):
  """In npz -1 was a class, and so others were in the order of texts."""
  train, val = both(source, write, tmp_path, ["10.0", "2.0", "nan", "-1.0"], ["2.0", "10.0"])
  assert train.label_names == val.label_names == ("2", "10")
  assert train.labels.tolist() == [1, 0, -1, -1] and val.labels.tolist() == [0, 1]


@pytest.mark.parametrize(("source", "write"), CASES)
def test_nan_beside_words_is_a_class(tmp_path, source, write):
  train, _ = both(source, write, tmp_path, ["nan", "pita", "-1"], ["pita"])
  assert train.label_names == ("nan", "pita") and train.labels.tolist() == [0, 1, -1]


@pytest.mark.parametrize(("source", "write"), CASES)
def test_booleans_are_two_classes_however_they_are_spelt(tmp_path, source, write):
  """As in lists; in npz True and true were two."""
  train, val = both(source, write, tmp_path, ["True", "FALSE", None], ["true", "False"])
  assert train.label_names == val.label_names == ("false", "true")
  assert train.labels.tolist() == [1, 0, -1] and val.labels.tolist() == [1, 0]


@pytest.mark.parametrize(("source", "write"), CASES)
def test_booleans_of_one_spelling_keep_it_and_beside_words_they_are_words(tmp_path, source, write):
  train, _ = both(source, write, tmp_path, ["True", "False"], ["True"])
  assert train.label_names == ("False", "True") and train.labels.tolist() == [1, 0]
  (tmp_path / "2").mkdir()
  train, _ = both(source, write, tmp_path / "2", ["True", "true", "maybe"], ["true"])
  assert train.label_names == ("True", "maybe", "true")


def test_names_that_are_given_may_spell_booleans_otherwise(tmp_path):
  images = np.zeros((3, 4, 5, 3), np.uint8)
  path = tmp_path / "a.npz"
  np.savez(path, images=images, labels=["True", "false", "-1"], label_names=["false", "true"])
  assert data.build("npz", split="train", path=str(path)).labels.tolist() == [1, 0, -1]


@pytest.mark.parametrize(("source", "write"), ENCODED)
def test_beside_a_file_of_names_too_minus_one_is_none_and_true_is_true(tmp_path, source, write):
  names = tmp_path / "names.txt"
  names.write_text("true\nfalse\n")
  train, _ = both(source, write, tmp_path, ["True", "-1", "false"], ["FALSE"], names=str(names))
  assert train.labels.tolist() == [0, -1, 1]
  (tmp_path / "2").mkdir()
  with pytest.raises(errors.UserError, match="no number is known of '7': name each class"):
    both(source, write, tmp_path / "2", ["true", "7"], ["true"], names=str(names))


@pytest.mark.parametrize("write", [npz, parquet])
def test_texts_that_join_others_are_told(write, tmp_path, caplog):
  """As of chest X-rays: each combination of findings was a class, without a word."""
  source = "npz" if write is npz else "parquet"
  given = write(tmp_path, "train", ["cat", "dog", "cat|dog"])
  assert data.build(source, split="train", **given).num_classes == 3
  assert "'cat|dog' joins labels that others have alone, such as 'cat', and is a " in caplog.text
