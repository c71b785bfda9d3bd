"""Several splits as one, train+unlabeled, of every source."""

import pickle

import numpy as np
import pytest
from PIL import Image

from contrastive_jax import config, data, errors, run_images
from contrastive_jax.data import given, identity, parts, pipeline, pixels, subset

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 6, 6, 3), np.uint8)


def arrays(root, **extra):
  """5 images of train, 3 of test, 4 without labels."""
  np.savez(root / "train.npz", images=IMAGES[:5], labels=[0, 1, 2, 1, 0], number=np.arange(5))
  np.savez(root / "test.npz", images=IMAGES[5:8], labels=[2, 1, 0], number=np.arange(3))
  np.savez(root / "unlabeled.npz", images=IMAGES[8:], number=np.arange(4), **extra)
  return lambda split: data.build("npz", split=split, path=str(root / "{split}.npz"))


def write(root, names):
  for i, name in enumerate(names):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(IMAGES[i]).save(root / name)
  return lambda split: data.build("folder", split=split, path=str(root))


def test_splits_come_one_after_the_other_with_the_labels_that_they_have(tmp_path):
  opened = arrays(tmp_path)
  source = opened("train+unlabeled")
  assert len(source) == 9 and (source.num_classes, source.native_size_px) == (3, 6)
  assert source.labels.tolist() == [0, 1, 2, 1, 0, -1, -1, -1, -1]
  assert source.factors["number"].tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3]
  for i, wanted in enumerate([*IMAGES[:5], *IMAGES[8:]]):
    np.testing.assert_array_equal(source[i]["image"], wanted)
    assert (source[i]["label"], source[i]["index"]) == (source.labels[i], i)
  with pytest.raises(IndexError):
    source[9]
  assert subset.labels_of(opened("unlabeled + train")).tolist()[4:] == [0, 1, 2, 1, 0]
  grey = pixels.Form(1, 8)
  assert data.formed(source, grey)[7]["image"].shape == (6, 6, 1)
  again = pickle.loads(pickle.dumps(source))
  np.testing.assert_array_equal(again[8]["image"], IMAGES[11])


def test_a_term_may_be_a_slice(tmp_path):
  opened = arrays(tmp_path)
  source = opened("train[:3]+test+unlabeled[2:]")
  assert len(source) == 8 and source[5]["label"] == 0
  assert len(opened("train[:40%]+train[40%:]")) == 5


def test_what_differs_tells_them_apart(tmp_path):
  opened = arrays(tmp_path)
  told = {identity.of(opened(s))["content"] for s in ("train", "train+test", "test+train")}
  assert len(told) == 3
  assert identity.of(opened("train+test")) == identity.of(opened("train+test"))


@pytest.mark.parametrize(
  ("split", "message"),
  [
    ("train+gone", "no file .*gone.npz"),
    ("train+", "'train[+]' names no split at one side of '[+]'; write e.g. train[+]extra"),
    ("train+test+train", "names train twice; name each split once"),
    ("train+train[:2", "'train.:2' is no slice of a split"),
  ],
)
def test_what_is_no_split_is_told(tmp_path, split, message):
  with pytest.raises(errors.UserError, match=message):
    arrays(tmp_path)(split)


def test_splits_that_number_classes_differently_are_refused(tmp_path):
  opened = write(tmp_path, ["train/cat/1.png", "train/dog/2.png", "extra/bee/3.png"])
  with pytest.raises(
    errors.UserError, match="train and extra number classes differently .cat, dog"
  ):
    opened("train+extra")
  opened = write(tmp_path / "2", ["train/cat/1.png", "train/dog/2.png", "extra/eel/3.png"])
  source = opened("train+extra")  # one may know more of them
  assert source.label_names == ("cat", "dog", "eel") and source.labels.tolist() == [0, 1, 2]
  opened = arrays(tmp_path, labels=[1, 0, 1, 0], label_names=["a", "b"])
  with pytest.raises(errors.UserError, match="differently .no names and a, b."):
    opened("train+unlabeled")


@pytest.mark.parametrize("split", ["train+training", "val + train + test", "Train+train"])
def test_two_names_of_one_split_are_refused(tmp_path, split):
  """Each of its images came twice, without a word."""
  opened = write(tmp_path, ["train/cat/1.png", "train/dog/2.png", "test/dog/3.png"])
  (tmp_path / "val").symlink_to("test")
  one, other, place = ("val", "test", "val") if "val" in split else (*split.split("+"), "train")
  message = rf"^{one} and {other} are the same \d images? of .*/{place}, each .* name one of them$"
  with pytest.raises(errors.UserError, match=message):
    opened(split)
  assert len(opened("train[:50%]+training[50%:]")) == 2


def test_two_names_of_one_split_in_a_list_or_an_array_are_refused(tmp_path):
  write(tmp_path, ["a/1.png", "b/2.png", "b/3.png"])
  (tmp_path / "list.csv").write_text("path,split\na/1.png,train\nb/2.png,test\nb/3.png,extra\n")
  table = {"path": str(tmp_path / "list.csv")}
  with pytest.raises(errors.UserError, match="train and training are the same 1 image of"):
    data.build("table", split="train+training", **table)
  assert len(data.build("table", split="train+extra+test", **table)) == 3
  np.savez(tmp_path / "a.npz", x_train=IMAGES[:4], x_test=IMAGES[:4])
  with pytest.raises(errors.UserError, match="train and training are the same 4 images, each of"):
    data.build("npz", split="train+training", path=str(tmp_path / "a.npz"))
  assert len(data.build("npz", split="train+test", path=str(tmp_path / "a.npz"))) == 8


def test_a_split_and_a_slice_of_as_many_images_are_one_unless_they_are_the_same(tmp_path):
  """They were asked of what a slice does not have, and ended in a traceback."""
  opened = write(tmp_path, ["train/cat/1.png", "train/dog/2.png", "val/cat/3.png", "val/dog/4.png"])
  np.savez(tmp_path / "a.npz", x_train=IMAGES[:4], x_test=IMAGES[:4])
  assert len(opened("train+val[:100%]")) == 4
  assert len(data.build("npz", split="train+test[:4]", path=str(tmp_path / "a.npz"))) == 8
  with pytest.raises(errors.UserError, match="training\\[:100%\\] are the same 2 images"):
    opened("train+training[:100%]")


@pytest.mark.parametrize("of_files", [True, False])
def test_images_of_two_slices_that_are_joined_are_told(of_files, tmp_path, caplog):
  """They came twice, without a word."""
  opened = write(tmp_path, [f"train/{n}.png" for n in range(12)]) if of_files else arrays(tmp_path)
  alone = [opened(split) for split in ("train[:4]", "train[1:]")]
  count = parts.in_common(*alone)
  assert 1 < count == len(alone[0]) - 1
  source = opened("train[:4]+train[1:]")
  assert len(source) == len(alone[0]) + len(alone[1])
  line = f"{count} images are of both train[:4] and train[1:], and come twice in each epoch"
  assert line in caplog.text
  caplog.clear()
  opened("train[:4]+train[4:]")
  assert not caplog.records


def test_a_split_that_is_called_so_is_that_one(tmp_path):
  names = ["train/cat/1.png", "val/cat/2.png", "train+val/cat/3.png"]
  source = write(tmp_path, names)("train+val")
  assert len(source) == 1 and (source[0]["image"] == IMAGES[2]).all()


def test_folders_and_objects_are_joined_likewise(tmp_path):
  names = ["train/cat/1.png", "train/dog/2.png", "test/dog/4.png", "unlabeled/3.png"]
  source = write(tmp_path, names)("train+unlabeled")
  assert source.labels.tolist() == [0, 1, -1] and (source[2]["image"] == IMAGES[3]).all()
  assert data.within(source, 3)[2]["image"].shape == (3, 3, 3)
  images = given.by_split({"train": IMAGES[:2], "more": IMAGES[2:5]}, "train")
  assert len(given.opened(images, "train+more")) == 5
  with pytest.raises(errors.NoSplit, match="no images were given for split 'gone'"):
    given.opened(images, "train+gone")
  shapes = data.build("shapes", split="train+test", num_train=8, num_test=4, size_px=8)
  assert len(shapes) == 12 and shapes[8]["index"] == 8


def test_batches_of_several_splits_are_whole(tmp_path):
  source = arrays(tmp_path)("train+unlabeled")
  for cache in ("memory", "none"):
    batches = list(pipeline.eval_batches(source, cache=cache, batch_size=4, host_size_px=8))
    whole = np.concatenate([batch["image"] for batch in batches])
    np.testing.assert_array_equal(whole[:9, :6, :6], [*IMAGES[:5], *IMAGES[8:]])


def test_what_is_held_out_and_what_votes_has_labels(tmp_path):
  source = arrays(tmp_path)("train+unlabeled")
  kept, held_out = subset.hold_out(source, 2)
  assert len(kept) == 7 and all(held_out[i]["label"] >= 0 for i in range(2))
  assert sorted(subset.labelled(kept).labels.tolist() + held_out.labels.tolist()) == [0, 0, 1, 1, 2]
  bare = arrays(tmp_path)("unlabeled")
  assert subset.labelled(bare) is bare


def test_images_that_are_scored_and_in_one_of_them_are_told(tmp_path, caplog):
  arrays(tmp_path)
  c = config.pretrain()
  c.data.source, c.data.npz.path = "npz", str(tmp_path / "{split}.npz")
  c.data.split, c.data.eval_split = "train+test", "test"
  train, test = (run_images.source(c, split) for split in (c.data.split, c.data.eval_split))
  assert parts.in_common(train, test) == parts.in_common(test, train) == 3
  assert parts.in_common(subset.hold_out(train, 2)[0], test) == 3  # as of the whole
  run_images.warn_if_scored_on_itself(c, train, test)
  assert 'of the 3 images of data.eval_split "test" are also in data.split "train+test"' in (
    caplog.text
  )
  assert parts.in_common(run_images.source(c, "train+unlabeled"), test) == 0


def test_workers_give_the_same_batches(tmp_path):
  source = arrays(tmp_path)("train+unlabeled")
  options = {"seed": 1, "total_steps": 2, "batch_size": 4, "host_size_px": 8, "cache": "none"}
  alone = [b["index"].tolist() for b in pipeline.train_batches(source, **options)]
  others = [b["index"].tolist() for b in pipeline.train_batches(source, num_workers=1, **options)]
  assert alone == others
