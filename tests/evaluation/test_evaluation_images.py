"""Which images an evaluation scores: others than it learns from, or a warning says so."""

import numpy as np
import pytest
from PIL import Image

from contrastive_jax import config, errors, run_images
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import images


def run_config(folder, train_labels, test_labels):
  """The config of a run on random images with these labels."""
  c = config.pretrain()
  c.data.source, c.data.npz.path = "npz", str(folder / "{split}.npz")
  rng = np.random.default_rng(0)
  for split, labels in (("train", train_labels), ("test", test_labels)):
    pixels = rng.integers(0, 256, (len(labels), 4, 4, 3), dtype=np.uint8)
    np.savez(folder / f"{split}.npz", images=pixels, labels=np.asarray(labels))
  return c


def asked(**values):
  c = eval_config.evaluation("knn")
  c.data.update(values)
  return c


def test_images_that_are_scored_on_themselves_are_a_warning(tmp_path, caplog):
  c = run_config(tmp_path, [0, 1, 2, 0], [0, 1, 2, 0])
  images.load(asked(), c)
  assert caplog.text == ""
  c.data.eval_split = "train"
  images.load(asked(), c)
  assert 'data.split and data.eval_split are both "train"' in caplog.text


def test_images_of_another_name_that_are_the_same_are_a_warning_too(tmp_path, caplog):
  c = run_config(tmp_path, [0, 1, 2, 0], [0, 1])
  (tmp_path / "val.npz").symlink_to("train.npz")
  c.data.eval_split = "val"
  images.load(asked(), c)
  line = '4 of the 4 images of data.eval_split "val" are also in data.split "train"'
  assert line in caplog.text


def test_what_the_run_held_out_can_be_scored_in_place_of_the_test_images(tmp_path, caplog):
  c = run_config(tmp_path, np.arange(100) % 5, [0] * 7)
  trained_on, held_out = run_images.training_set(c)
  found = images.load(asked(held_out=True), c)
  assert (len(found.train), len(found.test)) == (len(trained_on), len(held_out)) == (90, 10)
  assert all((found.test[i]["image"] == held_out[i]["image"]).all() for i in range(len(held_out)))
  assert 'what the run held out of split "train"' in found.test_name
  assert caplog.text == ""
  assert (len(images.load(asked(), c).train), len(images.load(asked(), c).test)) == (100, 7)


def test_another_prepared_set_lies_beside_that_of_the_run(tmp_path):
  run = config.pretrain()
  run.data.source, run.data.tfds.path = "tfds", str(tmp_path / "sets")
  other = asked(source="tfds")
  other.data.tfds.name = "cifar100"
  with pytest.raises(errors.UserError, match=f"no prepared cifar100 in {tmp_path}/sets"):
    images.load(other, run)
  other.data.tfds.path = str(tmp_path / "elsewhere")
  with pytest.raises(errors.UserError, match=f"no prepared cifar100 in {tmp_path}/elsewhere"):
    images.load(other, run)


def test_what_was_not_held_out_cannot_be_scored(tmp_path):
  c = run_config(tmp_path, [0, 1, 2, 0], [0, 1])
  with pytest.raises(errors.UserError, match="the run held none of its 4 training images out"):
    images.load(asked(held_out=True), c)
  with pytest.raises(errors.UserError, match='data.eval_split "val" names others'):
    images.load(asked(held_out=True, eval_split="val"), c)


def test_images_without_a_test_split_are_told_what_to_do(tmp_path):
  c = run_config(tmp_path, np.arange(20) % 3, [0])
  c.data.npz.path = str(tmp_path / "train.npz")
  with pytest.raises(errors.UserError, match=r"train\.npz holds no split 'test'.*data\.held_out"):
    images.load(asked(), c)
  folder = tmp_path / "classes" / "cat"
  folder.mkdir(parents=True)
  for number in range(12):
    Image.new("RGB", (4, 4), (number, 0, 0)).save(folder / f"{number}.png")
  c.data.source, c.data.folder.path = "folder", str(folder.parent)
  with pytest.raises(errors.UserError, match=r"has no sub-folder 'test'.*data\.held_out"):
    images.load(asked(), c)


def test_where_nothing_was_held_out_it_is_not_recommended(tmp_path):
  c = run_config(tmp_path, [0, 1, 2, 0], [0])
  c.data.eval_split = "absent"
  with pytest.raises(errors.UserError, match="absent") as told:
    images.load(asked(), c)
  assert "held_out" not in str(told.value)


def test_held_out_images_without_labels_are_told_what_to_leave_out(tmp_path):
  c = run_config(tmp_path, [-1] * 20, [0])
  c.data.held_out = 4
  with pytest.raises(errors.UserError, match=r"has no labels.*leave out data\.held_out and set"):
    images.load(asked(held_out=True), c)


def test_classes_that_no_image_votes_for_are_told_and_none_alone_is_not_scored(tmp_path, caplog):
  c = run_config(tmp_path, [0, 1, 2, -1], [1, 3, 4, 3, -1])
  images.load(asked(), c)
  line = '2 of the 3 classes of split "test" of data source "npz" (3, 4) are not in split "train"'
  assert line in caplog.text
  caplog.clear()
  c = run_config(tmp_path, [0, 1, 2], [3, 4, 5, 6])
  with pytest.raises(errors.UserError) as raised:
    images.load(asked(), c)
  assert str(raised.value).startswith(
    'nothing is scored: none of the 4 classes of split "test" of data source "npz" (3, 4, 5, ...) '
    'is among the 3 of split "train"'
  )
  without_labels = eval_config.evaluation("picture")
  images.load(without_labels, c)
  assert caplog.text == ""


def test_tiny_imagenet_as_downloaded_is_scored_on_its_validation_images(tmp_path):
  """Whose val/images was a class once, and kNN 0.0 % after minutes of training."""
  for name in ("train/n1/images/a.JPEG", "train/n2/images/b.JPEG", "val/images/c.JPEG"):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(tmp_path / name)
  c = config.pretrain()
  c.data.source, c.data.folder.path, c.data.eval_split = "folder", str(tmp_path), "val"
  (tmp_path / "val" / "val_annotations.txt").write_text("c.JPEG\tn2\t0\t0\t1\t1\n")
  found = images.load(asked(), c)
  assert found.label_names == ("n1", "n2") and found.num_classes == 2
  assert [found.test[0]["label"], found.train[1]["label"]] == [1, 1]
  (tmp_path / "val" / "val_annotations.txt").write_text("c.JPEG\tn3\t0\t0\t1\t1\n")
  with pytest.raises(errors.UserError, match=r"none of the 1 class of .* \(n3\) is among the 2"):
    images.load(asked(), c)


@pytest.mark.parametrize(("split", "other"), [("train", "test"), ("test", "train")])
def test_names_of_classes_in_one_split_alone_are_told(tmp_path, caplog, split, other):
  """Whoever numbered the other one may have had another order in mind."""
  c = run_config(tmp_path, [0, 1, 2], [0, 1, 2])
  images.load(asked(), c)
  assert caplog.text == ""
  arrays = dict(np.load(tmp_path / f"{split}.npz"))
  np.savez(tmp_path / f"{split}.npz", **arrays, label_names=["ape", "bee", "cow"])
  images.load(asked(), c)
  assert f'split "{split}" of data source "npz" has names of its classes, and' in caplog.text
  assert f'split "{other}" of data source "npz" numbers alone: class 0 is taken to be \'ape\'' in (
    caplog.text
  )


def test_splits_that_number_their_classes_otherwise_are_not_scored(tmp_path):
  """As two sets do that were saved apart: all would be wrong, or right for another reason."""
  c = run_config(tmp_path, [0, 1, 2], [0, 1, 2])
  for split, names in (("train", ["ape", "bee", "cow"]), ("test", ["bee", "cow", "dog"])):
    arrays = dict(np.load(tmp_path / f"{split}.npz"))
    np.savez(tmp_path / f"{split}.npz", **arrays, label_names=names)
  with pytest.raises(errors.UserError) as raised:
    images.load(asked(), c)
  assert str(raised.value) == (
    "nothing is scored: class 0 is 'ape' in split \"train\" of data source \"npz\" and 'bee' in "
    'split "test" of data source "npz"; number the classes of both alike'
  )
  images.load(eval_config.evaluation("picture"), c)
  np.savez(tmp_path / "test.npz", **arrays, label_names=["ape", "bee", "cow", "dog"])
  assert images.load(asked(), c).num_classes == 4


def test_a_set_of_one_class_is_a_warning(tmp_path, caplog):
  images.load(asked(), run_config(tmp_path, [1, 1, 1, -1], [1, 1]))
  assert "all images of split " in caplog.text and "are of one class (1)" in caplog.text


def test_images_without_a_label_are_not_encoded_to_vote(tmp_path):
  c = run_config(tmp_path, [0, 1, -1, -1, 1], [0, 1, -1])
  assert images.load(asked(), c).train.labels.tolist() == [0, 1, 1]
  without_labels = eval_config.evaluation("knn")
  without_labels.protocols = ("knn", "transformation")  # which learns from all images
  assert len(images.load(without_labels, c).train) == 5
  whole = asked(max_train=2)
  assert images.load(whole, c).train.labels.tolist() == [0, 1]
