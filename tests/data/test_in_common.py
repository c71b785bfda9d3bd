"""Two splits of a source know which images they share, whatever the splits are called."""

import os
import tarfile

import numpy as np
import picture_sets
import pytest
from PIL import Image

from contrastive_jax import data
from contrastive_jax.data import listing, parts


def write(folder, count):
  for i in range(count):
    path = folder / str(i % 2) / f"{i}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (i, 0, 0)).save(path)


def in_folder(root, one, other):
  first, second = (data.build("folder", split=split, path=str(root)) for split in (one, other))
  return first.in_common(second), second.in_common(first)


def test_folders_share_what_lies_in_both(tmp_path):
  write(tmp_path / "train", 6)
  write(tmp_path / "test", 4)
  (tmp_path / "val").symlink_to("test")
  assert in_folder(tmp_path, "train", "test") == (0, 0)
  assert in_folder(tmp_path, "val", "test") == (4, 4)
  assert in_folder(tmp_path, "val", "train") == (0, 0)


def test_two_listings_that_are_one_are_compared_at_once(tmp_path, monkeypatch):
  """As of train[:50%]+train[50%:]: 100,000 images were looked up one by one, for seconds."""
  write(tmp_path / "train", 6)
  monkeypatch.delattr(listing.Listing, "__contains__")
  monkeypatch.delattr(listing.Listing, "__getitem__")
  assert in_folder(tmp_path, "train", "train") == (6, 6)


def test_a_split_inside_the_folder_of_all_images_is_part_of_it(tmp_path):
  write(tmp_path, 6)
  write(tmp_path / "holdout", 4)  # which is no usual name: "train" is the whole of tmp_path
  assert in_folder(tmp_path, "train", "holdout") == (4, 4)


@pytest.mark.parametrize("link", [os.symlink, None], ids=["link", "another file"])
def test_arrays_share_all_or_nothing(link, tmp_path):
  images = np.zeros((5, 4, 4, 3), np.uint8)
  np.savez(tmp_path / "train.npz", images=images)
  if link:
    link("train.npz", tmp_path / "test.npz")
  else:
    np.savez(tmp_path / "test.npz", images=images)
  path = str(tmp_path / "{split}.npz")
  train, test = (data.build("npz", split=split, path=path) for split in ("train", "test"))
  assert train.in_common(test) == test.in_common(train) == (5 if link else 0)


def test_two_arrays_of_one_file_share_nothing(tmp_path):
  path, images = tmp_path / "a.npz", np.zeros((5, 4, 4, 3), np.uint8)
  np.savez(path, x_train=images, x_test=images[:3])
  train, test = (data.build("npz", split=split, path=str(path)) for split in ("train", "test"))
  assert train.in_common(test) == 0


def test_of_a_slice_of_shards_of_which_some_are_elsewhere_too_its_own_images_are_counted(tmp_path):
  """It ended in a traceback, and then none was counted and nothing told."""
  image = picture_sets.png(np.zeros((4, 4, 3), np.uint8))
  for number in range(2):
    with tarfile.open(tmp_path / f"train-{number}.tar", "w") as tar:
      for record in range(4):
        picture_sets.add(tar, f"{number}{record}.png", image)
  shards = {"index": str(tmp_path / "index")}
  part = data.build("webdataset", split="train[:5]", path=f"{tmp_path}/train-*.tar", **shards)
  whole = data.build("webdataset", split="train", path=f"{tmp_path}/train-0.tar", **shards)
  in_first = np.count_nonzero(part._positions < 4)
  assert 0 < in_first < len(part) < 8
  assert parts.in_common(part, whole) == parts.in_common(whole, part) == in_first
  rest = data.build("webdataset", split="train[5:]", path=f"{tmp_path}/train-*.tar", **shards)
  assert parts.in_common(rest, whole) == 4 - in_first and parts.in_common(rest, part) == 0
  first = data.build("webdataset", split="train[:3]", path=f"{tmp_path}/train-0.tar", **shards)
  both = set(part._positions) & set(first._positions)  # the first shard's are those of the set
  assert parts.in_common(part, first) == len(both) > 0
