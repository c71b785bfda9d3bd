"""Well-known sets as they are downloaded: whole, in part, deeper, and read by runs from before."""

import contextlib
import re

import numpy as np
import pytest
import scipy.io
from layout_files import CAR_NAMES, ROWS, classes, files_of, opened, tiny_imagenet, write

from contrastive_jax import config, errors, stored
from contrastive_jax.data import identity


def test_a_run_from_before_goes_on_with_its_numbering(tmp_path):
  """In which val/images was a class; the numbers were made at a904006, before the table."""
  tiny_imagenet(tmp_path)
  source = opened(tmp_path, layout="plain")
  assert source.label_names == ("images", "n01443537", "n01629819")
  assert source.labels.tolist() == [1, 2]
  assert [path.replace("\\", "/") for path in source.paths][0].startswith("n01443537/images/")
  then = config.pretrain()
  then.data.source, then.data.folder.path = "folder", str(tmp_path)
  text, count = re.subn(r'\n *"layout": null,', "", config.to_json(then))
  assert count == 1
  for found in (config.from_json(text), stored.config(text)):
    assert found.data.folder.layout == "plain"
    assert not [c for c in config.differences(found, then) if "layout" in c]
  assert identity.of(opened(tmp_path)) != identity.of(source)


OLDER = [
  ("DTD", {"train": ["banded", "banded", "zigzagged"]}),
  ("Stanford Cars", {"train": ["-", "-"], "test": ["-"]}),
  ("the same, in one folder", {"train": ["car_ims", "car_ims"]}),
  ("SUN397", {"train": ["a", "c", "c"]}),
  ("GTSRB", {"train": ["00000", "00001"], "test": ["-", "-"]}),
]


@pytest.mark.parametrize(("name", "wanted"), OLDER, ids=[name for name, _ in OLDER])
def test_a_run_from_before_a_set_was_known_goes_on_with_its_classes(name, wanted, tmp_path):
  """As they were read at a7e250d."""
  (files,) = (row.values[0] for row in ROWS if row.id == name)
  write(tmp_path, files)
  sources = {split: opened(tmp_path, split, layout="known") for split in wanted}
  assert {split: classes(source) for split, source in sources.items()} == wanted


def test_a_set_of_which_images_are_gone_can_be_read_without_its_lists(tmp_path):
  (files,) = (row.values[0] for row in ROWS if row.id == "DTD")
  write(tmp_path, files)
  (tmp_path / "dtd/labels/train1.txt").write_text("banded/banded_0002.jpg\nbanded/gone.jpg\n")
  with pytest.raises(errors.UserError, match="line 2: banded/gone.jpg.; copy the set again, or se"):
    opened(tmp_path)
  assert classes(opened(tmp_path, labels="folder")) == ["banded", "banded", "zigzagged"]
  (tmp_path / "dtd/images").rename(tmp_path / "dtd/pictures")
  assert classes(opened(tmp_path)) == ["banded", "banded", "zigzagged"]  # as before it was known


@pytest.mark.parametrize(
  "name", ["DTD", "Flowers-102", "Oxford-IIIT Pets", "CUB-200-2011", "Stanford Cars", "GTSRB"]
)
def test_a_known_set_that_lies_deeper_is_told(name, tmp_path, caplog):
  """Its test images were among those trained on, as of one folder of classes."""
  place = tmp_path / "x" / "y"
  write(place, files_of(name))
  with contextlib.suppress(errors.NoSplit):
    opened(tmp_path, "test")
  assert f"is not read so from {tmp_path}: if it is that set let data.folder.path={place}" in (
    caplog.text
  )
  caplog.clear()
  opened(place, "test")
  assert "a known set" not in caplog.text


@pytest.mark.parametrize("gone", ["labels/val1.txt", "labels/test1.txt", "images"])
def test_a_known_set_of_which_a_file_is_gone_is_told(gone, tmp_path, caplog):
  write(tmp_path, [name.removeprefix("dtd/") for name in files_of("DTD")])
  (tmp_path / gone).rename(tmp_path / "away")
  assert classes(opened(tmp_path)) == ["banded", "banded", "zigzagged"]
  said = "there is no such folder" if gone == "images" else f"and not {gone}: it is read as any oth"
  assert said in caplog.text
  assert "let data.folder.path" not in caplog.text
  caplog.clear()
  write(tmp_path / "own", ["cat/1.jpg", "dog/2.jpg"])
  (tmp_path / "own" / "classes.txt").write_text("cat\ndog\n")
  opened(tmp_path / "own")
  assert not caplog.records


def test_a_level_of_a_known_set_whose_lists_are_gone_is_refused(tmp_path):
  """It was waited for as for a disk that does not answer."""
  write(tmp_path, files_of("the same, by family, or by `manufacturers.txt`"))
  (tmp_path / "images_family_val.txt").unlink()
  with pytest.raises(errors.UserError, match="no .*images_family_val.txt, and others of its se"):
    opened(tmp_path, labels="families.txt")


def test_files_called_as_those_of_a_known_set_that_hold_something_else(tmp_path):
  write(tmp_path, ["cat/1.jpg", "dog/2.jpg", "car_ims/3.jpg"])
  for name, held in (
    ("imagelabels.mat", {"labels": np.array([1, 2])}),
    ("setid.mat", {"trnid": np.array([1])}),
    ("cars_annos.mat", {"class_names": CAR_NAMES, "annotations": np.array([1, 2])}),
  ):
    scipy.io.savemat(tmp_path / name, held)
  message = "called as those of a known set .* hold something else .*; copy .* to folder or none"
  with pytest.raises(errors.UserError, match=message):
    opened(tmp_path)
  assert classes(opened(tmp_path, labels="folder")) == ["car_ims", "cat", "dog"]
  (tmp_path / "setid.mat").unlink()
  with pytest.raises(errors.UserError, match=message):
    opened(tmp_path)
  scipy.io.savemat(tmp_path / "cars_annos.mat", {"x": 1})
  with pytest.raises(errors.UserError, match="no class_names; copy it again, or set data.folder.l"):
    opened(tmp_path)
  write(tmp_path / "kit", files_of("ImageNet with its development kit"))
  scipy.io.savemat(tmp_path / "kit/ILSVRC2012_devkit_t12/data/meta.mat", {"x": 1})
  with pytest.raises(errors.UserError, match="meta.mat has no synsets of ILSVRC2012_ID"):
    opened(tmp_path / "kit", "val")
  scipy.io.savemat(tmp_path / "kit/ILSVRC2012_devkit_t12/data/meta.mat", {"synsets": [1, 2]})
  with pytest.raises(errors.UserError, match="meta.mat has no synsets of ILSVRC2012_ID"):
    opened(tmp_path / "kit", "val")


@pytest.mark.parametrize("name", ["CUB-200-2011", "SUN397", "Places365", "GTSRB", "FGVC-Aircraft"])
def test_lists_of_known_sets_may_begin_and_end_lines_as_on_windows(name, tmp_path):
  files, _, wanted = next(row.values for row in ROWS if row.id == name)
  write(tmp_path, files)
  for path in tmp_path.rglob("*"):
    if path.suffix in (".txt", ".csv"):
      path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
  assert {split: classes(opened(tmp_path, split)) for split in wanted} == wanted


def test_validation_images_of_places_without_their_list_are_told(tmp_path, caplog):
  write(tmp_path, files_of("Places365"))
  (tmp_path / "places365_val.txt").unlink()
  assert opened(tmp_path, "val").num_classes == 0
  assert "there is no places365_val.txt beside categories_places365.txt" in caplog.text


def test_a_list_of_ones_own_is_not_taken_for_that_of_gtsrb(tmp_path, caplog):
  """Its numbers were classes beside the names of folders."""
  write(tmp_path, ["Train/cat/1.png", "Train/dog/2.png", "Test/3.png"])
  (tmp_path / "Test.csv").write_text("Path,ClassId\nTest/3.png,1\n")
  (tmp_path / "Meta.csv").write_text("ClassId,Name\n0,cat\n1,dog\n")
  assert classes(opened(tmp_path, "test")) == ["-"]
  assert opened(tmp_path).label_names == ("cat", "dog")
  assert "Test.csv names them, and no column has the classes of other splits (cat, dog): mo" in (
    caplog.text
  )
  assert "numbers classes" not in caplog.text
  assert opened(tmp_path, layout="known-2").label_names == ("1", "cat", "dog")  # as before


def test_signs_in_folders_with_names_are_told(tmp_path, caplog):
  write(tmp_path, ["Train/stop/1.png", "Train/yield/2.png", "Test/00000.png", "Meta.csv"])
  write(tmp_path, ["Test.csv"])
  assert opened(tmp_path).label_names == ("stop", "yield")
  assert opened(tmp_path, "test").num_classes == 0
  assert "Test.csv numbers classes, and training images lie in folders such as 'stop'" in (
    caplog.text
  )


@pytest.mark.parametrize("beside", [[], ["devkit/cars_meta.mat"]])
def test_cars_whose_classes_are_elsewhere_are_told(beside, tmp_path, caplog):
  """As a site packs them: a list of images that are numbered otherwise."""
  files = ["cars_train/cars_train/00001.jpg", "cars_test/cars_test/00001.jpg", "cars_annos.mat"]
  write(tmp_path, files + beside)
  assert classes(opened(tmp_path)) == classes(opened(tmp_path, "test")) == ["-"]
  assert "cars_annos.mat has the classes of images in car_ims/, which are numb" in caplog.text
  assert "copy car_ims/ here, or devkit/ (cars_meta.mat," in caplog.text


def test_a_run_from_before_partitions_goes_on_with_all_images(tmp_path, caplog):
  caplog.set_level("INFO")
  write(tmp_path, files_of("the same with its lists of partitions, of which the first is read"))
  assert len(opened(tmp_path, layout="known-2")) == 5 == len(opened(tmp_path, labels="path"))
  assert "a known set" not in caplog.text
  assert len(opened(tmp_path)) == 2
  assert "Training_01.txt is read as a known set" in caplog.text
  with pytest.raises(errors.UserError, match="no list .*Training_03.txt"):
    opened(tmp_path, labels="Training_03.txt")
  (tmp_path / "SUN397/c/church/indoor/2.jpg").unlink()
  with pytest.raises(errors.UserError, match="Training_01.txt names is not below .*; copy the set"):
    opened(tmp_path)


@pytest.mark.parametrize("where", ["", "Partitions", "SUN397", "SUN397/Partitions"])
def test_partitions_may_lie_beside_the_set_or_in_it(where, tmp_path):
  write(tmp_path, ["SUN397/a/abbey/1.jpg", "SUN397/a/abbey/4.jpg"])
  for name in ("Training_01.txt", "Testing_01.txt"):
    (tmp_path / where).mkdir(exist_ok=True)
    (tmp_path / where / name).write_text(f"/a/abbey/{1 if 'r' in name else 4}.jpg\n")
  assert [list(opened(tmp_path, split).paths) for split in ("train", "test")] == [
    ["a/abbey/1.jpg"],
    ["a/abbey/4.jpg"],
  ]
