"""Files of known sets are found in whatever capitals, where one alone is meant."""

import pytest
from layout_files import classes, files_of, opened, write

from contrastive_jax import errors

OTHERWISE = {
  "Flowers-102": ("imagelabels.mat", "ImageLabels.MAT"),
  "Oxford-IIIT Pets": ("annotations", "Annotations"),
  "CUB-200-2011": ("image_class_labels.txt", "Image_Class_Labels.txt"),
  "Food-101": ("images", "Images"),
  "Places365": ("categories_places365.txt", "Categories_Places365.txt"),
  "GTSRB": ("GT-final_test.csv", "gt-final_test.csv"),
  "SUN397": ("SUN397", "sun397"),
  "Tiny ImageNet": ("val/val_annotations.txt", "val/VAL_annotations.txt"),
  "ImageNet with its development kit": ("ILSVRC2012_devkit_t12", "ilsvrc2012_devkit_t12"),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_file_in_other_capitals_is_that_of_the_set(name, tmp_path):
  write(tmp_path / "as", files_of(name))
  write(tmp_path / "other", files_of(name))
  before, now = OTHERWISE[name]
  (tmp_path / "other" / before).rename(tmp_path / "other" / now)
  split = "val" if "mageNet" in name or name == "Places365" else "test"
  if name == "SUN397":
    split = "train"
  wanted = classes(opened(tmp_path / "as", split))
  assert classes(opened(tmp_path / "other", split)) == wanted and set(wanted) != {"-"}


def test_of_two_in_other_capitals_none_is_taken(tmp_path, caplog):
  write(tmp_path, files_of("Flowers-102"))
  content = (tmp_path / "setid.mat").read_bytes()
  (tmp_path / "setid.mat").unlink()
  (tmp_path / "SetId.mat").write_bytes(content)
  assert classes(opened(tmp_path, "test")) == ["77"]
  (tmp_path / "SETID.mat").write_bytes(content)
  with pytest.raises(errors.NoSplit):
    opened(tmp_path, "test")
  assert "has imagelabels.mat as a known set does, and not setid.mat" in caplog.text


def test_a_run_from_before_reads_capitals_as_they_are(tmp_path):
  write(tmp_path, files_of("Flowers-102"))
  (tmp_path / "setid.mat").rename(tmp_path / "SETID.MAT")
  assert classes(opened(tmp_path, layout="known-2")) == ["-", "-", "-"]
  assert classes(opened(tmp_path)) == ["77"]


def test_what_a_set_was_known_by_is_said(tmp_path, caplog):
  caplog.set_level("INFO")
  write(tmp_path, files_of("Flowers-102"))
  (tmp_path / "imagelabels.mat").rename(tmp_path / "Imagelabels.mat")
  opened(tmp_path)
  assert f"{tmp_path / 'Imagelabels.mat'} is read as a known set: its images, splits and" in (
    caplog.text
  )


def test_capitals_do_not_count_in_the_current_folder_either(tmp_path, monkeypatch):
  write(tmp_path, files_of("Flowers-102"))
  (tmp_path / "setid.mat").rename(tmp_path / "SETID.MAT")
  monkeypatch.chdir(tmp_path)
  assert classes(opened(".")) == ["77"]
