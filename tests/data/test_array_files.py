"""STL-10 and SVHN as they are downloaded, and what folders of such arrays say."""

import numpy as np
import pytest
import scipy.io

from contrastive_jax import data, errors
from contrastive_jax.data import array_files

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3), np.uint8)


def opened(path, split="train", **options):
  return data.build("npz", split=split, path=str(path), **options)


def stl10(root):
  """Channels one after the other, and of each the columns."""
  for split, count in (("train", 3), ("test", 1), ("unlabeled", 4)):
    PIXELS[:count].transpose(0, 3, 2, 1).tofile(root / f"{split}_X.bin")
  np.array([10, 1, 2], np.uint8).tofile(root / "train_y.bin")
  np.array([2], np.uint8).tofile(root / "test_y.bin")
  names = "airplane bird car cat deer dog horse monkey ship truck".split()
  (root / "class_names.txt").write_text("\n".join(names) + "\n")
  return root / "{split}_X.bin"


def test_stl_10_is_read_with_its_names_and_without_labels_where_it_has_none(tmp_path):
  path = stl10(tmp_path)
  train, test, rest = (opened(path, split) for split in ("train", "test", "unlabeled"))
  assert (len(train), len(test), len(rest)) == (3, 1, 4)
  for i in range(3):
    np.testing.assert_array_equal(train[i]["image"], PIXELS[i])
  assert [train.label_names[label] for label in train.labels] == ["truck", "airplane", "bird"]
  assert test.label_names[test[0]["label"]] == "bird" and train.num_classes == 10
  assert rest.num_classes == 0 and rest[3]["label"] == -1


def test_unlabeled_images_are_trained_on_beside_those_with_labels(tmp_path):
  source = opened(stl10(tmp_path), "train+unlabeled")
  assert len(source) == 7 and source.num_classes == 10
  assert source.labels.tolist() == [9, 0, 1, -1, -1, -1, -1]
  np.testing.assert_array_equal(source[6]["image"], PIXELS[3])


def test_many_images_are_read_piece_by_piece(tmp_path, monkeypatch):
  monkeypatch.setattr(array_files, "_AT_ONCE", 3)
  source = opened(stl10(tmp_path), "unlabeled")
  np.testing.assert_array_equal(source.images, PIXELS)


def test_a_fold_of_stl_10_is_a_split(tmp_path):
  """Lines of numbers from 0, of training images, in the order in which they stand there."""
  path = stl10(tmp_path)
  with pytest.raises(errors.Absent, match="no file .*fold-0_X.bin"):
    opened(path, "fold-0")
  (tmp_path / "fold_indices.txt").write_text("2 0 \n1 \n0 3\n0 x\n")
  first, second = (opened(path, split) for split in ("fold-0", "fold-1"))
  assert first.labels.tolist() == [1, 9] and second.labels.tolist() == [0]
  np.testing.assert_array_equal(first[0]["image"], PIXELS[2])
  assert first.label_names == opened(path).label_names
  for split, message in (
    ("fold-2", "fold_indices.txt, line 3: its numbers are not those of the 3 images in"),
    ("fold-3", "fold_indices.txt, line 4: invalid literal .*; copy it again"),
    ("fold-4", "has 4 folds, from fold-0 on, and no fold-4; name another split"),
  ):
    with pytest.raises(errors.UserError, match=message):
      opened(path, split)
  (tmp_path / "train_X.bin").unlink()
  with pytest.raises(errors.Absent, match="a fold of STL-10 is read from train_X.bin and"):
    opened(path, "fold-0")


def test_images_that_one_may_train_on_beside_svhns_others(tmp_path):
  path = svhn(tmp_path, PIXELS[:2, :32, :32])
  svhn(tmp_path, PIXELS[:4, :32, :32], "extra_32x32.mat")
  assert opened(path, "extra").labels.tolist() == [1, 0, 3, 9]
  assert opened(path, "train+extra").labels.tolist() == [1, 0, 1, 0, 3, 9]


def svhn(root, pixels, name="train_32x32.mat"):
  labels = np.array([[1], [10], [3], [9]], np.uint8)[: len(pixels)]
  scipy.io.savemat(root / name, {"X": pixels.transpose(1, 2, 3, 0), "y": labels})
  return root / "{split}_32x32.mat"


@pytest.mark.parametrize("count", [1, 4])
def test_digits_of_svhn_are_their_own_classes(tmp_path, count):
  """Ten stands for zero in the file."""
  source = opened(svhn(tmp_path, PIXELS[:count, :32, :32]))
  np.testing.assert_array_equal(source[0]["image"], PIXELS[0, :32, :32])
  assert source.labels.tolist() == [1, 0, 3, 9][:count]


@pytest.mark.parametrize(
  "labels", [[0, 1, 12], [0, 10], [-1, 3], [1.5, 2], [np.nan, 1], ["a", "b"]]
)
def test_labels_of_another_set_are_not_taken_for_digits(tmp_path, labels):
  """Class 12 of a set of one's own in such arrays was class 2."""
  held = np.array(labels, object if isinstance(labels[0], str) else None)[:, None]
  pixels = PIXELS[: len(labels), :4, :4].transpose(1, 2, 3, 0)
  scipy.io.savemat(tmp_path / "my_train.mat", {"X": pixels, "y": held})
  with pytest.raises(
    errors.UserError, match="y (goes from|holds no numbers).*; save its arrays by"
  ):
    opened(tmp_path / "my_train.mat")


def test_classes_of_stl_10_begin_with_one_and_are_told_where_they_are_gone(tmp_path, caplog):
  path = stl10(tmp_path)
  opened(path, "unlabeled")
  assert not caplog.records
  (tmp_path / "test_y.bin").unlink()
  assert opened(path, "test").num_classes == 0
  assert "there is no test_y.bin beside" in caplog.text
  (tmp_path / "train_y.bin").write_bytes(b"\0\1\2")
  with pytest.raises(errors.UserError, match="train_y.bin holds the class 0, and those of STL-10"):
    opened(path)


def test_what_is_no_such_file_is_told_in_a_line(tmp_path):
  path = stl10(tmp_path)
  with pytest.raises(errors.UserError, match="holds 3 images, and there are 2 labels; copy the"):
    (tmp_path / "train_y.bin").write_bytes(b"\1\2")
    opened(path)
  with pytest.raises(errors.UserError, match="has 27,647 bytes, and an image of STL-10 27,648; co"):
    (tmp_path / "test_X.bin").write_bytes(bytes(27647))
    opened(path, "test")
  scipy.io.savemat(tmp_path / "other.mat", {"labels": np.ones(3)})
  with pytest.raises(errors.UserError, match=r"no X \[h, w, 3, n\] and y .*; save its arrays by"):
    opened(tmp_path / "other.mat")
  (tmp_path / "damaged.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(120))
  with pytest.raises(errors.UserError, match="damaged.mat is no file of MATLAB"):
    opened(tmp_path / "damaged.mat")
  with pytest.raises(
    errors.UserError, match="is in a bucket, and files as of STL-10, SVHN and MNIST"
  ):
    opened("gs://b/{split}_X.bin")


def test_a_file_of_matlab_in_the_form_of_hdf5_is_to_be_saved_in_another(tmp_path):
  path = tmp_path / "train_32x32.mat"
  path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
  with pytest.raises(errors.UserError, match="save it in form 7"):
    data.build("npz", split="train", path=str(path))


def test_a_file_of_numpy_is_one_by_any_name(tmp_path):
  np.savez(tmp_path / "a.npz", images=PIXELS, labels=[1, 0, 1, 0])
  (tmp_path / "a.npz").rename(tmp_path / "a.mat")
  assert opened(tmp_path / "a.mat").labels.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
  ("name", "line"),
  [
    ("stl10_binary/train_X.bin", "--config.data.npz.path='DIR/{split}_X.bin'"),
    ("train_32x32.mat", "--config.data.npz.path='DIR/{split}_32x32.mat'"),
    ("camelyonpatch_level_2_split_train_x.h5", 'given to train: images={"train": (file["x"], fi'),
    ("data/train-00000.parquet", "files ending in .parquet are read by --config.data.source=par"),
  ],
)
def test_a_folder_of_arrays_says_what_reads_them(tmp_path, name, line):
  (tmp_path / name).parent.mkdir(exist_ok=True)
  (tmp_path / name).write_bytes(b"x")
  with pytest.raises(errors.Absent) as error:
    data.build("folder", split="train", path=str(tmp_path))
  assert line in str(error.value) and "\n" not in str(error.value)
