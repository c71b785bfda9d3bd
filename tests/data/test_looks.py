"""A folder is looked at once for all that want to know of it, and once for the list of its files.

Over a network each look at a folder of many files takes a while.
"""

import collections
import os

import commands
import numpy as np
import picture_sets
import pytest
import tiny_config
from layout_files import write

from contrastive_jax import data, errors, reading
from contrastive_jax.data import folder_on_disk, lists
from contrastive_jax.evaluation import images
from contrastive_jax.training import next_command, trainer

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


def test_splits_that_are_opened_together_share_a_look(tmp_path, looks):
  write(tmp_path, SPLITS)
  asked = {"path": str(tmp_path)}
  looks.clear()
  with data.one_look():
    sizes = [len(data.build("folder", split=s, **asked)) for s in ("train", "test", "train+extra")]
    assert sizes == [9, 9, 18] and looks[str(tmp_path)] == 1
    data.build("folder", split="train", labels="none", **asked)  # which may be read otherwise
    assert looks[str(tmp_path)] == 2
    with pytest.raises(errors.NoSplit):
      data.build("folder", split="val", **asked)
    write(tmp_path, ["val/ant/1.jpg"])
    assert len(data.build("folder", split="val", **asked)) == 1
  data.build("folder", split="train", **asked)
  assert looks[str(tmp_path)] == 4


class _Opened(Exception):
  """All images of a run are open."""


def test_a_run_and_its_evaluation_look_once_at_the_folder_of_their_images(tmp_path, monkeypatch):
  """A bucket of a million images was listed for each split."""
  write(tmp_path / "set", SPLITS)
  made, begin = [], folder_on_disk.Tree.__init__

  def opened(*_):
    raise _Opened

  monkeypatch.setattr(
    folder_on_disk.Tree, "__init__", lambda tree, *given: made.append(tree) or begin(tree, *given)
  )
  monkeypatch.setattr(next_command, "to_score", opened)
  config = tiny_config.tiny(data__source="folder", data__folder__path=str(tmp_path / "set"))
  with pytest.raises(_Opened):
    trainer.train(config, str(tmp_path / "run"))
  assert len(made) == 1
  images.load(tiny_config.evaluation(), config)
  assert len(made) == 2


def test_splits_that_are_prepared_as_one_share_a_look_with_it(tmp_path, monkeypatch):
  """train+extra was opened to see what it is, and then each split of it anew."""
  for name in SPLITS:
    path = tmp_path / "set" / name.replace(".jpg", ".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture_sets.png(np.zeros((4, 4, 3), np.uint8)))
  made, begin = [], folder_on_disk.Tree.__init__
  monkeypatch.setattr(
    folder_on_disk.Tree, "__init__", lambda tree, *given: made.append(tree) or begin(tree, *given)
  )
  given = ["--config.data.source=folder", f"--config.data.folder.path={tmp_path}/set"]
  commands.run("prepare", [*given, "--splits=train+extra,test", f"--out={tmp_path}/out"])
  assert len(made) == 1
  assert all((tmp_path / "out" / f"{split}.json").is_file() for split in ("train", "extra", "test"))
