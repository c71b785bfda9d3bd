"""A folder is looked at once for all that want to know of it, and once for the list of its files.

Over a network each look at a folder of many files takes a while.
"""

import collections
import os

import pytest
from layout_files import write

from contrastive_jax import data, reading
from contrastive_jax.data import lists

CLASSES = [f"{kind}/{n}.jpg" for kind in ("ant", "bee", "cow") for n in range(3)]
SPLITS = [f"{split}/{name}" for split in ("train", "test", "extra") for name in CLASSES]


@pytest.fixture
def looks(monkeypatch):
  """How often each folder was looked into, by its path."""
  counts, real = collections.Counter(), os.scandir

  def scandir(place):
    counts[os.fspath(place)] += 1
    return real(place)

  monkeypatch.setattr(os, "scandir", scandir)
  return counts


@pytest.mark.parametrize(
  ("files", "split", "options", "most"),
  [
    ([f"{n}.jpg" for n in range(9)], "train", {}, 2),
    ([*(f"{n}.jpg" for n in range(9)), "a.txt", "b.csv"], "train", {}, 2),
    (CLASSES, "train", {}, 3),  # of a class: whether it has images, its folders, its files
    (SPLITS, "train", {}, 3),
    (SPLITS, "train+extra", {}, 3),
    (SPLITS, "train+extra", {"labels": "path"}, 3),
    (CLASSES, "train", {"holdout": 0.4}, 3),
  ],
)
def test_each_folder_is_looked_at_once_for_all_that_ask(
  files, split, options, most, tmp_path, looks
):
  write(tmp_path / "set", files)
  looks.clear()
  data.build("folder", split=split, path=str(tmp_path / "set"), **options)
  of_set = {place: count for place, count in looks.items() if place.startswith(str(tmp_path))}
  assert max(of_set.values()) <= most, of_set
  assert of_set[str(tmp_path / "set")] <= 2


def test_what_was_seen_is_not_kept_from_one_opening_to_the_next(tmp_path):
  write(tmp_path, SPLITS[:9])
  assert len(data.build("folder", split="train", path=str(tmp_path))) == 9
  write(tmp_path, ["train/dog/1.jpg"])
  assert data.build("folder", split="train", path=str(tmp_path)).num_classes == 4


def test_what_was_seen_is_not_kept_from_one_try_to_the_next(tmp_path, monkeypatch):
  """A disk that was away may come back with other folders."""
  write(tmp_path, SPLITS[:9])
  scan, tries = lists.scan, []

  def away_at_first(*given):
    if not tries:
      tries.append(write(tmp_path, ["train/dog/1.jpg"]))
      raise OSError(5, "Input/output error")
    return scan(*given)

  monkeypatch.setattr(lists, "scan", away_at_first)
  monkeypatch.setattr(reading, "PAUSES_S", (0.0,))
  assert data.build("folder", split="train", path=str(tmp_path)).num_classes == 4
