"""Folders that may be no classes, as of sets that people download, are told or refused."""

import calendar

import pytest
from layout_files import classes, opened, write

from contrastive_jax import data, errors


def tree(base, folders, files=("1.jpg",)):
  return [f"{base}{folder}/{name}" for folder in folders for name in files]


CLASSES = [f"c{letter}" for letter in "abcdefghijkl"]  # with numbers they may be patients


@pytest.mark.parametrize(
  ("files", "line"),
  [  # Caltech-101 and 256, DomainNet, Office-31, segmentation, CelebA
    (
      tree("101_ObjectCategories/", ["BACKGROUND_Google", "ant"]),
      "BACKGROUND_Google is taken ",
    ),
    (
      tree("256_ObjectCategories/", ["001.ak47", "257.clutter"]),
      "257.clutter is taken as a c",
    ),
    (
      [name for style in ("clipart", "real") for name in tree(f"{style}/", CLASSES)],
      "clipart and real are taken as classes, and each holds 12 folders or more (real/ca): if thes",
    ),
    (
      [name for shop in ("amazon", "dslr") for name in tree(f"{shop}/images/", CLASSES)],
      "amazon and dslr are taken as classes, and each holds 12 folders or more (dslr/ca)",
    ),
    (
      [
        *tree("fruit/", [f"{a}{b}" for a in "abcdef" for b in "abcdefghi"]),
        *tree("vegetables/", [f"{a}{b}" for a in "uvwxyz" for b in "abcdefghi"]),
      ],
      "fruit and vegetables are taken as classes, and each holds 54 folders or more (vege",
    ),
    (
      [name for n in (1, 2, 10) for name in tree(f"fold{n}/", ["ant", "bee"])],
      "fold1 and fold10 differ by a number alone, are taken as classes, and hold folders of the ",
    ),
    (
      tree("", ["7", "007", "8"]),
      "'007' and '7' differ in zeros in front and are two classes",
    ),
    (
      ["VOC2012/JPEGImages/1.jpg", "VOC2012/SegmentationClass/1.png"],
      "JPEGImages is taken as a class beside SegmentationClass: if it holds all images",
    ),
    (
      ["celeba/celeba/1.jpg", "list_attr_celeba.csv"],
      "celeba is the only folder with images and taken as a class; data.folder.labels=list_attr_ce",
    ),
  ],
)
def test_what_may_be_no_class_is_told(files, line, tmp_path, caplog):
  write(tmp_path, files)
  assert opened(tmp_path).num_classes
  assert line in caplog.text
  caplog.clear()
  opened(tmp_path, labels="none")
  assert not caplog.records


@pytest.mark.parametrize(
  ("lists", "path"),
  [  # EuroSAT as Kaggle packs it, RESISC45, CUB-200 of 2010, iNaturalist 2018
    (["set/train.csv", "set/validation.csv", "set/test.csv"], "set/{split}.csv"),
    (["resisc45-train.txt", "resisc45-test.txt"], "resisc45-{split}.txt"),
    (["lists/train.txt", "lists/test.txt"], "lists/{split}.txt"),
    (["Train2018.json", "Val2018.json"], "{split}2018.json"),
  ],
)
def test_lists_that_may_say_splits_are_told_and_can_be_read_so(lists, path, tmp_path, caplog):
  """Test images were trained on without a word."""
  write(tmp_path, tree("set/", ["ant", "bee"], ["1.jpg", "2.jpg"]) + lists)
  assert len(opened(tmp_path)) == 4
  said = "are not read: all are of split train; lists of paths are read by data.source=table, data"
  assert f"{said}.table.path={tmp_path / path}" in caplog.text
  for name in lists:
    held = "ant/1.jpg" if "rain" in name else "bee/2.jpg" if "val" in name else "bee/1.jpg"
    (tmp_path / name).write_text(f"path,label\n{held},x\n")
  table = {"path": str(tmp_path / path), "root": str(tmp_path / "set")}
  if not path.endswith("json"):
    assert list(data.build("table", split="train", **table).paths) == ["ant/1.jpg"]


def test_beside_a_flat_folder_lists_of_splits_come_first(tmp_path, caplog):
  """As of mini-ImageNet."""
  write(tmp_path, ["images/n01.jpg", "images/n02.jpg", "train.csv", "test.csv"])
  opened(tmp_path)
  path = tmp_path / "{split}.csv"
  assert f"taken without labels; data.source=table, data.table.path={path} re" in caplog.text


def test_names_of_images_that_say_their_split_are_told(tmp_path, caplog):
  """Test images were trained on without a word."""
  names = [f"{split}_{kind}_{n}.jpg" for split in ("train", "test") for kind in "ab" for n in "12"]
  write(tmp_path / "flat", names)
  opened(tmp_path / "flat")
  assert "such as test_a_1.jpg and train_a_1.jpg, and all are read as one: move" in caplog.text
  assert "names as classes" not in caplog.text  # train_a and test_a
  caplog.clear()
  write(tmp_path / "clear", ["train_1.jpg", "latest_2.jpg", "test 3.jpg"])  # of trains, perhaps
  write(tmp_path / "split", [f"train/{name}" for name in names] + ["test/1.jpg"])
  for name in ("clear", "split"):
    opened(tmp_path / name)
    assert "of which split they are" not in caplog.text


def test_what_is_clear_is_not_told(tmp_path, caplog):
  write(tmp_path / "splits", [*tree("train/", "ab"), *tree("test/", "ab"), "train.csv", "test.csv"])
  write(tmp_path / "latest", [*tree("", "ab"), "latest.csv", "latrain.csv", "trainer.csv"])
  write(tmp_path / "days", [f"{pet}/day{n}/1.jpg" for pet in ("cat", "dog") for n in range(9)])
  people = [f"{state}/patient{n}/1.jpg" for state in ("sick", "well") for n in range(12)]
  write(tmp_path / "people", people)
  write(tmp_path / "names", tree("sick/", CLASSES) + tree("well/", [f"{n}a" for n in CLASSES]))
  months = [*calendar.month_name[1:], *calendar.month_abbr[1:], *calendar.day_abbr]
  times = [f"{animal}/{month.lower()} 2024" for animal in ("fox", "owl") for month in months]
  write(tmp_path / "times", [f"{time}/1.jpg" for time in times])
  write(tmp_path / "styles", tree("", ["photo", "sketch"]))
  records = ["train_log.txt", "test_log.txt", "losses/train_loss.csv", "losses/val_loss.csv"]
  records += ["config_train.json", "config_test.json"]
  write(tmp_path / "records", [*tree("", "ab"), *records])
  numbers = [f"person{n}/{inside}/1.jpg" for n, inside in enumerate(["day1", "day2", "night"])]
  write(tmp_path / "numbers", numbers)
  for name in (
    "splits",
    "latest",
    "days",
    "people",
    "names",
    "times",
    "styles",
    "records",
    "numbers",
  ):
    opened(tmp_path / name)
    assert not caplog.records, name


@pytest.mark.parametrize(
  "names", [["train.X1", "train.X2", "val.X"], ["test-X1", "train-A1", "train-B1"]]
)
def test_parts_of_splits_are_refused(names, tmp_path):
  """As a part of ImageNet is packed: its classes were train.X1 and val.X."""
  write(tmp_path, [f"{name}/n0{i}/1.jpg" for i, name in enumerate(names)] + ["Labels.json"])
  message = f"{names[0]}, .* and {names[-1]} are called like parts of splits: move .*=folder"
  with pytest.raises(errors.UserError, match=message):
    opened(tmp_path)
  assert set(classes(opened(tmp_path, labels="folder"))) == set(names)
  if "val.X" in names:
    assert set(classes(opened(tmp_path, layout="known-2"))) == set(names)  # as before
  write(tmp_path, ["bus/1.jpg"])
  if "val.X" in names:
    assert len(opened(tmp_path).label_names) == len(names) + 1  # of vehicles, perhaps
  trains = tmp_path / "trains"
  write(trains, ["train_station/1.jpg", "train_track/2.jpg", "trainer/3.jpg"])
  assert opened(trains).num_classes == 3


TESTING = {"GTSRB_Final_Test_Images": ["GTSRB/Final_Test/Images/00000.ppm"]}
GTSRB = TESTING | {
  "GTSRB_Final_Training_Images": [f"GTSRB/Final_Training/Images/0000{n}/1.ppm" for n in range(3)]
}
FIXED = TESTING | {"GTSRB-Training_fixed": ["GTSRB/Training/00001/1.ppm"]}


@pytest.mark.parametrize("archives", [GTSRB, FIXED])
def test_archives_that_are_unpacked_into_folders_of_their_own_are_refused(archives, tmp_path):
  """GTSRB was the only class, of training images and of test images."""
  for folder, files in archives.items():
    write(tmp_path / folder, files)
  write(tmp_path / "GTSRB_Final_Test_GT", ["GT-final_test.csv"])
  message = "each hold a folder GTSRB, of training .* move what is in these GTSRB into one, and"
  for split in ("train", "test"):
    with pytest.raises(errors.UserError, match=message):
      opened(tmp_path, split)
  assert len(set(classes(opened(tmp_path, labels="folder")))) == 2
  for files in archives.values():
    write(tmp_path / "one", files)
  (tmp_path / "GTSRB_Final_Test_GT/GT-final_test.csv").rename(tmp_path / "one/GT-final_test.csv")
  assert {int(name) for name in classes(opened(tmp_path / "one"))} <= {0, 1, 2}


@pytest.mark.parametrize(
  "files",
  [
    ["cat/images/train.jpg", "dog/images/test.jpg"],
    [
      "cat/day/training/1.jpg",
      "cat/day/test/1.jpg",
      "dog/day/training/2.jpg",
      "dog/day/test/3.jpg",
    ],
    ["bus/track/test_1/1.jpg", "tram/track/day/2.jpg"],
    ["cat/set/train/1.jpg", "dog/set/trainer/1.jpg"],
  ],
)
def test_classes_that_hold_a_folder_of_one_name_are_no_archives(files, tmp_path):
  write(tmp_path, files)
  assert classes(opened(tmp_path)) == [name.partition("/")[0] for name in sorted(files)]


@pytest.mark.parametrize(("one", "other"), [("Train", "val"), ("site_a", "site_b")])
def test_splits_that_hold_a_folder_of_one_name_are_no_archives(one, other, tmp_path):
  """Their images are not mixed: each folder is a split, by its name or since it is asked for."""
  write(tmp_path, [f"{one}/person/train_images/1.jpg", f"{other}/person/val_images/2.jpg"])
  for split in ("train" if one == "Train" else one, other):
    assert classes(opened(tmp_path, split)) == ["person"]


@pytest.mark.parametrize(
  "names",
  [
    ["test_tube", "train_engine"],
    ["Test Pilot", "Training Day", "Training Day 2"],
    ["test_negative", "test_positive", "validation_positive"],
  ],
)
def test_classes_that_begin_like_splits_are_classes(names, tmp_path):
  write(tmp_path, tree("", names))
  assert set(classes(opened(tmp_path))) == set(names)


@pytest.mark.parametrize(
  "name",
  ["train-images-idx3-ubyte.gz", "raw/t10k-labels-idx1-ubyte", "data_batch_1", "meta"],
)
def test_folders_of_mnist_and_cifar_say_what_reads_them(name, tmp_path):
  (tmp_path / name).parent.mkdir(exist_ok=True)
  (tmp_path / name).write_bytes(b"x")
  with pytest.raises(
    errors.Absent, match="MNIST and CIFAR are read by .*source=npz --config.data.npz"
  ):
    opened(tmp_path)


def test_names_of_classes_may_hold_spaces_and_come_twice(tmp_path):
  """As of NABirds, in the form of CUB-200: all of one first word were one class."""
  write(tmp_path, ["images/0817/a.jpg", "images/0818/b.jpg", "images/0900/c.jpg"])
  numbers = {"0-a": ("0817/a.jpg", 817), "0-b": ("0818/b.jpg", 818), "0-c": ("0900/c.jpg", 900)}
  for file, lines in {
    "images.txt": (f"{n} {name}" for n, (name, _) in numbers.items()),
    "image_class_labels.txt": (f"{n} {label} 9" for n, (_, label) in numbers.items()),
    "train_test_split.txt": (f"{n} 1" for n in numbers),
    "classes.txt": ["0 Birds", "9 Oak Titmouse", "817 Oak Titmouse", "818 Merlin", "900 Merlin"],
  }.items():
    (tmp_path / file).write_text("\n".join(lines) + "\n")
  assert classes(opened(tmp_path)) == ["Oak Titmouse", "818 Merlin", "900 Merlin"]
  for layout in ("known-2", "known"):
    assert classes(opened(tmp_path, layout=layout)) == ["Oak", "Merlin", "Merlin"]  # as before


def test_a_split_may_lack_a_class_that_is_one_letter(tmp_path):
  """It was tried again for a minute, and then refused as a disk that fails: signs for letters."""
  write(tmp_path, [*tree("train/", "abc"), *tree("test/", "ac")])
  assert classes(opened(tmp_path, "test")) == ["a", "c"]
