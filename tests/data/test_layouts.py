"""Folders are read as a person reads them: the table of docs/data.md, row by row."""

import collections
import logging
import unicodedata

import pytest
from layout_files import CONTENT, CUB, ROWS, classes, opened, write
from PIL import Image

from contrastive_jax import config, data, errors
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.data import folder, layouts


def test_the_table_has_what_people_download():
  told = " ".join(row.id for row in ROWS)
  for name in ("ImageNet", "Tiny ImageNet", "CUB", "Flowers", "Pets", "flat", "nested", "CSV"):
    assert name in told
  assert len(ROWS) >= 20


@pytest.mark.parametrize(("files", "options", "wanted"), ROWS)
def test_a_layout_is_read_as_the_table_says(files, options, wanted, tmp_path):
  write(tmp_path, files)
  sources = {split: opened(tmp_path, split, **options) for split in wanted}
  assert {split: classes(source) for split, source in sources.items()} == wanted
  numbered = {source.label_names for source in sources.values()} - {()}
  assert len(numbered) <= 1, "one numbering for all splits"
  for names in numbered:
    assert set(names) == {name for found in wanted.values() for name in found} - {"-"}


@pytest.mark.parametrize(
  ("files", "labels", "message"),
  [
    (["a.jpg", "b.jpg"], "gone.csv", "there is no list .*gone.csv; data.folder.labels is auto"),
    (
      ["d.jpg", "labels.csv"],
      "labels.csv",
      r"labels.csv names none of the 1 image .* 'd.jpg' \(its",
    ),
    (["1.jpg", "2.jpg"], "name", "no class in the names of images such as '1.jpg'"),
    (["a.jpg", "in_order.txt"], "in_order.txt", "in_order.txt has 3 lines for 1 image:"),
    (
      ["train/n/a.jpg", "val/b.jpg", "ILSVRC2012_validation_ground_truth.txt"],
      "auto",
      "is in meta.mat of the same development kit: put that file beside it",
    ),
    (CUB, "auto", "images.txt, line 2: image 2 has no class or split in"),
    (["data_256/z/zoo/1.jpg", "categories_places365.txt"], "auto", "'z/zoo/1.jpg' lies in no cat"),
    (["val_256/1.jpg", "categories_places365.txt"], "auto", "no images of split 'train'"),
    (
      ["car_ims/1.jpg", "cars_annos.mat"],
      "auto",
      "1 of the 1 image that cars_annos.mat names is not below",
    ),
  ],
)
def test_what_does_not_fit_is_told_in_a_line(files, labels, message, tmp_path):
  write(tmp_path, files)
  (tmp_path / "train_test_split.txt").write_text("1 1\n")
  with pytest.raises(errors.UserError, match=message):
    opened(tmp_path, labels=labels)


def test_labels_that_could_be_had_are_named(tmp_path, caplog):
  write(tmp_path, ["cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.1.jpg"])
  (tmp_path / "labels.csv").write_text("id,label\ncat.0,tom\ndog.1,rex\n")
  assert opened(tmp_path).num_classes == 0
  [line] = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
  assert "data.folder.labels=labels.csv reads" in line and "labels=name takes cat, dog" in line


def test_a_list_without_a_column_of_labels_is_told(tmp_path, caplog):
  """As HAM10000's, where the class is in the column dx: its images had no labels without a word."""
  write(tmp_path, ["part_1/a.jpg", "part_2/b.jpg"])
  (tmp_path / "meta.csv").write_text("image_id,dx\na,mel\nb,nv\n")
  assert opened(tmp_path, labels="meta.csv").num_classes == 0
  assert "meta.csv has no column of labels, such as label, among 'image_id', 'dx'" in caplog.text
  caplog.clear()
  assert opened(tmp_path).label_names == ("part_1", "part_2")
  assert "part_1 and part_2 differ by a number alone and are taken as classes" in caplog.text
  assert "data.folder.labels=meta.csv reads that list" in caplog.text
  caplog.clear()
  (tmp_path / "meta.csv").write_text("fname,label\na.jpg,mel\nb.jpg,nv\n")
  assert opened(tmp_path, labels="meta.csv").label_names == ("mel", "nv") and not caplog.records
  write(tmp_path / "digits", ["0/a.jpg", "1/b.jpg", "list.csv"])
  assert opened(tmp_path / "digits").num_classes == 2 and not caplog.records


def test_a_column_of_labels_without_a_list_is_refused(tmp_path):
  write(tmp_path, ["cat/a.jpg", "dog/b.jpg", "HAM_metadata.csv"])
  with pytest.raises(errors.UserError, match="label_column is 'dx', and data.folder.labels is 'au"):
    opened(tmp_path, label_column="dx")
  with pytest.raises(errors.UserError, match="no column 'x' but .*; set data.folder.label_column"):
    opened(tmp_path, labels="HAM_metadata.csv", label_column="x")


def test_a_list_in_the_folder_of_a_split_is_named_as_it_is_read(tmp_path, caplog):
  files = ["train/a.jpg", "train/metadata.csv", "test/a.jpg", "test/metadata.csv"]
  write(tmp_path, files)
  assert opened(tmp_path).num_classes == 0
  assert "data.folder.labels=metadata.csv reads that list" in caplog.text
  caplog.clear()
  write(tmp_path / "other", ["train/1.jpg", "test/3.jpg", "train.csv"])
  assert opened(tmp_path / "other", "test", labels="train.csv").num_classes == 0
  assert "train.csv names images of other splits, and none of the 1 image in" in caplog.text
  (tmp_path / "other" / "train.csv").write_text("id,label\n7,rose\n8,tulip\n")  # of no image
  with pytest.raises(errors.UserError, match="names none of the 1 image in"):
    opened(tmp_path / "other", "test", labels="train.csv")


def test_a_list_of_one_split_labels_no_images_of_the_same_names_in_another(tmp_path, caplog):
  """As trainLabels.csv of CIFAR-10 at Kaggle: test/1.png had the label of train/1.png."""
  write(tmp_path, ["train/1.png", "train/2.png", "test/1.png", "test/2.png"])
  text = "id,label\n1,frog\n2,cat\n"
  for name in ("trainLabels.csv", "trainlabels.csv", "train/labels.csv", "my_train.csv"):
    (tmp_path / name).write_text(text)
    assert classes(opened(tmp_path, labels=name)) == ["frog", "cat"]
    assert not caplog.records
    assert opened(tmp_path, "test", labels=name).num_classes == 0
    assert f"{name} names images of other splits, and none of the 2 images in" in caplog.text
    caplog.clear()
  (tmp_path / "latest.csv").write_text(text)
  assert classes(opened(tmp_path, labels="latest.csv")) == ["frog", "cat"]
  assert "latest.csv names '1', and train/1.png and test/1.png are called so" in caplog.text
  message = r"write paths in data.folder.path \(test/1.png\) there, or a column split"
  with pytest.raises(errors.UserError, match=message):
    opened(tmp_path, "test", labels="latest.csv")
  (tmp_path / "latest.csv").write_text("id,label\ntrain/1,frog\ntest/1,cat\n")
  assert classes(opened(tmp_path, "test", labels="latest.csv")) == ["cat", "-"]
  (tmp_path / "latest.csv").write_text("id,label,split\n1,frog,trn\n2,cat,tst\n")
  assert classes(opened(tmp_path, "test", labels="latest.csv")) == ["-", "cat"]
  (tmp_path / "latest.csv").write_text("id,label,set\n1,frog,left\n2,cat,right\n")
  assert classes(opened(tmp_path, labels="latest.csv")) == ["frog", "cat"]


def test_a_list_of_all_test_images_labels_no_others_that_have_their_names_by_chance(
  tmp_path, caplog
):
  """Of the training images in folders those of the same names had the labels of test images."""
  train = [f"train/{'ab'[n % 2]}/{n}.png" for n in range(6)]
  write(tmp_path, [*train, "test/0.png", "test/1.png"])
  for names in (("0.png", "1.png"), ("0", "1")):
    (tmp_path / "list.csv").write_text(f"id,label\n{names[0]},b\n{names[1]},a\n")
    assert classes(opened(tmp_path, "test", labels="list.csv")) == ["b", "a"]
    assert not caplog.records
    assert opened(tmp_path, labels="list.csv").num_classes == 0
    assert "they have no label; data.folder.labels=auto reads the folders that" in caplog.text
    assert "if these are meant call the list after their split (train_la" in caplog.text
    caplog.clear()
  (tmp_path / "list.csv").rename(tmp_path / "train_list.csv")  # which says what it is of
  assert classes(opened(tmp_path, labels="train_list.csv")) == ["b", "-", "-", "a", "-", "-"]
  caplog.clear()
  lines = [f"{n}.png,{'ab'[n // 3]}" for n in range(6)]  # of all: it is not clear
  (tmp_path / "list.csv").write_text("\n".join(["id,label", *lines]))
  write(tmp_path, [f"test/{n}.png" for n in range(6)])
  assert classes(opened(tmp_path, labels="list.csv")) == ["a", "a", "b", "a", "b", "b"]
  assert "are called so" in caplog.text and "its labels are taken for train" in caplog.text


@pytest.mark.parametrize("of_list", ["NFC", "NFD"])
def test_names_in_another_encoding_of_accents_are_those_of_two_splits_too(
  of_list, tmp_path, caplog
):
  """test/é.png had the label of train/é.png, without a word, and the list was not offered."""
  of_files, names = ({"NFC": "NFD", "NFD": "NFC"}[of_list], ("é.png", "ü.png"))
  files = [unicodedata.normalize(of_files, f"{s}/{n}") for s in ("train", "test") for n in names]
  write(tmp_path, files)
  lines = [f"{unicodedata.normalize(of_list, name)},{name[0]}" for name in names]
  (tmp_path / "list.csv").write_text("\n".join(["id,label", *lines]))
  with pytest.raises(errors.UserError, match="are called so: write paths in"):
    opened(tmp_path, "test", labels="list.csv")
  assert sorted(classes(opened(tmp_path, labels="list.csv"))) == ["é", "ü"]
  assert "its labels are taken for train" in caplog.text
  opened(tmp_path)
  assert "data.folder.labels=list.csv reads that list" in caplog.text


def test_a_name_of_several_images_in_a_list_is_told(tmp_path, caplog):
  write(tmp_path, ["a/1.png", "b/1.png", "b/2.png"])
  (tmp_path / "list.csv").write_text("id,label\n1,frog\n2,cat\n")
  assert classes(opened(tmp_path, labels="list.csv")) == ["frog", "frog", "cat"]
  assert "list.csv: '1' names several images in" in caplog.text
  assert "(a/1.png, b/1.png; 1 such name): they have one label" in caplog.text


def test_a_folder_may_be_the_current_one(tmp_path, monkeypatch):
  """Paths in a list were compared with those in the split less their first letter."""
  write(tmp_path, ["train/1.png", "train/2.png"])
  (tmp_path / "list.csv").write_text("path,label\ntrain/1.png,frog\ntrain/2.png,cat\n")
  monkeypatch.chdir(tmp_path)
  assert classes(opened(".", labels="list.csv")) == ["frog", "cat"]


def test_letters_and_forms_of_a_set_that_are_taken_as_classes_are_told(tmp_path, caplog):
  write(tmp_path / "one", ["a/abbey/1.jpg", "c/church/2.jpg"])
  assert opened(tmp_path / "one").label_names == ("a", "c")
  assert "a and c are taken as classes, and seem to be letters" in caplog.text
  assert "(a/abbey): data.folder.labels=path takes" in caplog.text
  assert opened(tmp_path / "one", labels="path").label_names == ("a/abbey", "c/church")
  caplog.clear()
  files = [f"{form}/{name}/1.jpg" for form in ("Set", "SetAllBands") for name in ("Lake", "Wood")]
  write(tmp_path / "two", files)
  assert opened(tmp_path / "two").label_names == ("Set", "SetAllBands")
  assert "Set and SetAllBands are taken as classes, and hold folders of the same" in caplog.text
  assert opened(tmp_path / "two" / "Set").label_names == ("Lake", "Wood")
  caplog.clear()
  write(tmp_path / "digits", ["A/1.jpg", "B/2.jpg"])  # of letters, as of notMNIST
  write(
    tmp_path / "rooms", ["cat/day/1.jpg", "cat/night/1.jpg", "dog/day/1.jpg", "dog/night/2.jpg"]
  )
  opened(tmp_path / "digits")
  opened(tmp_path / "rooms")
  assert not caplog.records


def test_a_new_run_writes_down_how_it_reads(tmp_path):
  asked = config.pretrain()
  assert workdir_lib.ordered(str(tmp_path), asked).data.folder.layout is None
  asked.data.source = "folder"
  assert workdir_lib.ordered(str(tmp_path), asked).data.folder.layout == folder.LAYOUTS[0]


@pytest.mark.parametrize(
  ("name", "label"),
  [
    ("cat.0.jpg", "cat"),
    ("deep/Abyssinian_12.jpg", "Abyssinian"),
    ("american_pit_bull-7.jpg", "american_pit_bull"),
    ("n01440764_10026.JPEG", "n01440764"),
    ("dog (3).jpg", "dog"),
    ("dog.jpg", "dog"),
    ("0001.jpg", ""),
  ],
)
def test_the_class_in_a_name_is_what_comes_before_its_number(name, label):
  assert layouts.in_name(name) == label


def test_every_file_of_the_table_is_given_its_content():
  told = collections.Counter(name.rpartition("/")[2] for row in ROWS for name in row.values[0])
  assert {name.rpartition("/")[2] for name in CONTENT} <= set(told)


def test_folders_that_differ_in_capitals_alone_are_two_classes_and_told(tmp_path, caplog):
  for name in ("Cat/1.png", "cat/2.png", "dog/3.png"):
    (tmp_path / name).parent.mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / name)
  found = data.build("folder", split="train", path=str(tmp_path))
  assert found.label_names == ("Cat", "cat", "dog")
  assert f"{tmp_path}: 'Cat' and 'cat' differ in capitals alone" in caplog.text


PACKED = ["Train/0/1.png", "Train/10/2.png", "Test/00000.png", "Test/00001.png"]
OF_TEST = "Width,Path,ClassId\n9,Test/00000.png,10\n9,Test/00001.png,00\n"
OF_CLASSES = "Path,ClassId,Width\nMeta/0.png,0,1\nMeta/1.png,10,1\n"


def test_of_lists_beside_images_one_that_labels_them_is_named(tmp_path, caplog):
  """As in GTSRB's form: Meta.csv, which names none of the images, was named first."""
  write(tmp_path, PACKED)
  (tmp_path / "Test.csv").write_text(OF_TEST)
  (tmp_path / "Meta.csv").write_text(OF_CLASSES)
  assert classes(opened(tmp_path)) == ["0", "10"] and not caplog.records
  assert classes(opened(tmp_path, "test")) == ["-", "-"]
  assert (
    "; Test.csv has the classes of other splits in its column ClassId: move them into"
    in caplog.text
  )
  assert "Meta.csv" not in caplog.text
  caplog.clear()
  (tmp_path / "Train.csv").write_text("Path,ClassId\nTrain/0/1.png,0\nTrain/10/2.png,10\n")
  opened(tmp_path, "test")
  path, column = tmp_path / "{split}.csv", "ClassId"
  read = f"data.table.path={path}, data.table.label_column={column} reads Train.csv and Test.csv"
  assert f"without labels; data.source=table, {read}" in caplog.text
  table = {"path": str(path), "label_column": column}
  assert classes(data.build("table", split="test", **table)) == ["10", "0"]


@pytest.mark.parametrize(
  ("files", "said"),
  [
    (["a.png", "b.png"], "are taken without labels; data.folder.labels=z.csv reads that list; "),
    (["part_1/a.png", "part_2/b.png"], "of one set data.folder.labels=z.csv reads that list"),
    (["all/a.png", "all/b.png"], "taken as a class; data.folder.labels=z.csv reads that list"),
  ],
)
def test_a_list_with_a_column_of_labels_comes_first(files, said, tmp_path, caplog):
  write(tmp_path, files)
  others = "".join(f"{n}.png,{n}\n" for n in range(300))
  for name, text in {
    "boxes": "image,left\na.png,3\nb.png,4\n",
    "classes": "id,label\n0,ant\n1,bee\n",  # which names no image
    "damaged": 'image,label\n"a',
    "many": f"image,label\n{others}",
    "order": "ant\nbee\n",
    "same": "image,label\na.png,0\nb.png,0\n",
    "z": f"image,label\na.png,ant\n{others}b.png,bee\n",
  }.items():
    (tmp_path / f"{name}.csv").write_text(text)
  for name, second in (("z", "boxes"), ("boxes", "same"), ("same", "damaged"), ("damaged", "many")):
    opened(tmp_path)
    [line] = [record.getMessage() for record in caplog.records]
    assert said.replace("z.csv", f"{name}.csv") in line
    assert f"labels={second}.csv" in line or len(files[0]) > 5  # where two are named
    (tmp_path / f"{name}.csv").unlink()
    caplog.clear()
  opened(tmp_path)
  assert "data.folder.labels=many.csv" in caplog.text and "classes.csv" not in caplog.text
