"""How a user's folders may be called: splits are never classes, no image vanishes in silence."""

import logging

import numpy as np
import pytest
from PIL import Image

from contrastive_jax import data, errors
from contrastive_jax.data import folder, given, splits


def write(root, *names):
  for i, name in enumerate(names):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.full((8, 8, 3), i, np.uint8))
    with (root / name).open("wb") as file:
      image.save(file, Image.registered_extensions().get("." + name.rpartition(".")[2], "PNG"))


def opened(root, split="train", **options):
  return data.build("folder", split=split, path=str(root), **options)


@pytest.mark.parametrize(
  ("train", "test"),
  [
    ("Train", "Test"),
    ("TRAIN", "TEST"),
    ("training", "testing"),
    ("train_images", "test_images"),
    ("images_train", "images_test"),
    ("trainset", "testset"),
    ("train2017", "test2017"),
    ("train-images", "Test"),
  ],
)
def test_splits_are_known_however_they_are_written(tmp_path, train, test):
  write(tmp_path, f"{train}/cat/0.png", f"{train}/dog/1.png", f"{test}/cat/2.png")
  assert (len(opened(tmp_path)), opened(tmp_path).label_names) == (2, ("cat", "dog"))
  assert (len(opened(tmp_path, "test")), opened(tmp_path, "test").num_classes) == (1, 2)
  assert len(opened(tmp_path, train)) == 2, "by its own name too"


@pytest.mark.parametrize("name", ["trains", "testament", "value", "train_station", "contest"])
def test_names_that_only_look_like_splits_are_classes(tmp_path, name):
  write(tmp_path, f"{name}/0.png", "cat/1.png")
  assert splits.kind(name) == "" and set(opened(tmp_path).label_names) == {name, "cat"}


@pytest.mark.parametrize("name", ["train", "test", "train_station", "test_tube", "val"])
def test_below_a_split_a_class_may_be_called_like_a_split(tmp_path, name):
  """CIFAR-100 has a class `train`; see findings/imagefolder_class_train.sh."""
  write(tmp_path, *(f"{s}/{c}/{s}.png" for s in ("train", "test") for c in (name, "wolf")))
  for split, values in (("train", [0, 1]), ("test", [2, 3])):
    source = opened(tmp_path, split)
    assert set(source.label_names) == {name, "wolf"}
    assert sorted(int(source[i]["image"].flat[0]) for i in range(len(source))) == values


@pytest.mark.parametrize(
  ("files", "message"),
  [
    (["train/0.png", "bus/1.png", "car/2.png"], "lies beside bus, car, which hold images too"),
    (["Train/0.png", "train_2/1.png", "test/2.png"], "Train and train_2: name the split as one"),
    (
      ["cat/train/0.png", "cat/test/1.png", "dog/train/2.png", "dog/test/3.png"],
      "cat holds test and train: classes lie in splits",
    ),
    (
      ["set/Train/0.png", "set/Val/1.png", "more/2.png"],
      "set holds Train and Val: .*set data.folder.path=",
    ),
    (["train/0.png", "dev/1.png", "bus/2.png"], "lies beside bus, which hold images too"),
    (
      ["toy_train/0.png", "toy_test/1.png", "toy_bus/2.png"],
      "toy_train and toy_test may be splits or classes",
    ),
    (
      [f"{split}{domain}/a/0.png" for split in ("train", "test") for domain in "AB"],
      "trainA and testA may be splits or classes",
    ),
  ],
)
def test_what_may_be_a_split_or_a_class_is_refused(tmp_path, files, message):
  write(tmp_path, *files)
  with pytest.raises(errors.UserError, match=message):
    opened(tmp_path)


def test_folders_without_images_beside_a_split_are_no_classes(tmp_path):
  write(tmp_path, "train/cat/0.png")
  (tmp_path / "annotations").mkdir()
  (tmp_path / "annotations" / "0.xml").write_text("")
  assert opened(tmp_path).label_names == ("cat",)


def test_what_systems_leave_behind_is_no_class(tmp_path):
  write(tmp_path, "cat/0.png", "__MACOSX/1.png", "cat/@eaDir/2.png")
  (tmp_path / "lost+found").mkdir()
  assert (len(opened(tmp_path)), opened(tmp_path).label_names) == (1, ("cat",))


@pytest.mark.parametrize("suffix", [s for s in folder.SUFFIXES if s not in (".dds", ".sgi")])
def test_every_suffix_of_pixels_is_read(tmp_path, suffix):
  if suffix not in Image.registered_extensions():
    pytest.skip(f"this Pillow was built without {suffix}")
  write(tmp_path, f"0{suffix}", f"1{suffix.upper()}")
  source = opened(tmp_path)
  assert len(source) == 2 and source[0]["image"].shape == (8, 8, 3)


def test_files_that_are_left_out_are_counted_by_kind(tmp_path, caplog):
  write(tmp_path, "0.png")
  for name in ("1.heic", "2.HEIC", "3", "labels.csv", "README.md"):
    (tmp_path / name).write_bytes(b"")
  for open_it in (opened, given.source):
    assert len(open_it(tmp_path)) == 1
    [line] = [r.getMessage() for r in caplog.records if "left out under" in r.getMessage()]
    assert line.endswith("of images: 2 .heic, 1 without a suffix")
    caplog.clear()


@pytest.mark.parametrize(
  ("train", "test", "split"),
  [
    ("seg_train", "seg_test", "test"),
    ("trn", "tst", "test"),
    ("trainA", "testA", "test"),
    ("Xray-Training", "xray-val", "validation"),
  ],
)
@pytest.mark.parametrize("around", ["", "set"])
def test_folders_that_are_called_like_splits_in_part_are_splits(
  tmp_path, train, test, split, around
):
  """Their test images were a class that was trained on, before such folders were refused."""
  write(tmp_path / around, f"{train}/cat/1.png", f"{train}/dog/2.png", f"{test}/dog/3.png")
  for asked, labels in (("train", [0, 1]), (split, [1])):
    source = opened(tmp_path, asked)
    assert source.label_names == ("cat", "dog") and source.labels.tolist() == labels
  with pytest.raises(errors.NoSplit, match=f"has no split 'more' but {train}, {test}"):
    opened(tmp_path, "more")


def test_what_lies_beside_splits_that_are_called_so_in_part_is_told(tmp_path, caplog):
  files = ["bounding_box_train/1.png", "bounding_box_test/2.png", "query/3.png", "gt_bbox/4.png"]
  write(tmp_path, *files)
  assert [len(opened(tmp_path, split)) for split in ("train", "test", "query")] == [1, 1, 1]
  [line, _] = [r.getMessage() for r in caplog.records]
  assert "taken as splits are bounding_box_train (train), bounding_box_test (test)" in line
  assert line.endswith("left out is gt_bbox, query, unless data.split names it")
  write(tmp_path / "seg", *(f"seg_{name}/cat/1.png" for name in ("train", "test", "pred", "more")))
  assert len(opened(tmp_path / "seg")) == 1
  assert "left out is seg_more, seg_pred" in caplog.text


@pytest.mark.parametrize("labels", ["none", "path", "name"])
def test_where_labels_are_asked_for_folders_called_like_splits_in_part_stay_one(
  tmp_path, caplog, labels
):
  """So runs from before have read them; by their own names they are splits as before, too."""
  write(tmp_path, "seg_train/cat/ant_1.png", "seg_test/dog/bee_2.png")
  assert len(opened(tmp_path, labels=labels)) == 2
  assert f"seg_train and seg_test are called like splits, and with data.folder.labels={labels}" in (
    caplog.text
  )
  caplog.clear()
  assert opened(tmp_path, labels="folder").label_names == ("seg_test", "seg_train")
  assert opened(tmp_path, "seg_test").label_names == ("dog",) and not caplog.records


def test_classes_with_a_word_of_splits_in_them_are_classes(tmp_path):
  names = ("bullet train", "test tube", "train station", "contest")
  write(tmp_path, *(f"{name}/1.png" for name in names))
  assert opened(tmp_path).label_names == tuple(sorted(names))


def test_a_folder_within_one_of_its_own_name_is_no_class(tmp_path):
  """As archives are unpacked into a folder that is called like them."""
  write(tmp_path, "train/train/cat/1.png", "train/train/dog/2.png", "test/test/cat/3.png")
  assert opened(tmp_path).label_names == ("cat", "dog")


def test_a_folder_around_classes_is_told_and_one_that_holds_images_is_a_class(tmp_path, caplog):
  write(tmp_path / "around", "set/cat/0.png", "set/dog/1.png")
  with caplog.at_level(logging.INFO):
    assert opened(tmp_path / "around").label_names == ("cat", "dog")
  assert f"{tmp_path / 'around' / 'set'} is the only folder in" in caplog.text
  write(tmp_path / "class", "cat/0.png", "cat/indoors/1.png", "cat/outdoors/2.png")
  assert opened(tmp_path / "class").label_names == ("cat",)
  write(tmp_path / "one", "cat/indoors/1.png")
  assert opened(tmp_path / "one").label_names == ("cat",)


def test_without_labels_a_folder_around_all_belongs_to_the_paths(tmp_path):
  """By them runs from before have drawn their slices."""
  write(tmp_path, "set/cat/0.png", "set/dog/1.png")
  assert list(opened(tmp_path, labels="none").paths) == ["set/cat/0.png", "set/dog/1.png"]


def test_links_that_lead_up_end(tmp_path):
  write(tmp_path, "a/b/cat/0.png")
  (tmp_path / "a" / "b" / "cat" / "0.png").unlink()
  (tmp_path / "a" / "b" / "cat").rmdir()
  (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
  with pytest.raises(errors.UserError, match="no image under"):
    opened(tmp_path)


def test_what_only_lies_beside_a_split_numbers_no_class(tmp_path):
  write(tmp_path, "train/cat/0.png", "test/cat/1.png", "extra/ant/2.png", "unlabeled/3.png")
  assert opened(tmp_path).label_names == opened(tmp_path, "test").label_names == ("cat",)
  with pytest.raises(errors.NoSplit, match="no sub-folder 'val' but extra, test, train, unlabeled"):
    opened(tmp_path, "val")
