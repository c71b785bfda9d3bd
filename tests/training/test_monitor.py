"""kNN during training, on sets whose labels are not all there."""

import logging

import jax
import numpy as np
import pytest
import toys

from contrastive_jax import augment, config, errors, parallel, run_images
from contrastive_jax.evaluation import knn
from contrastive_jax.models.network import Network
from contrastive_jax.training import monitor

NET = Network(toys.Backbone())
VARIABLES = toys.start(NET, size_px=4)


def run_config(folder, train_labels, test_labels):
  """The config of a run on random images with these labels."""
  c = config.pretrain()
  c.data.source, c.data.npz.path = "npz", str(folder / "{split}.npz")
  c.monitor.k, c.monitor.batch_size = 3, 16
  rng = np.random.default_rng(0)
  for split, labels in (("train", train_labels), ("test", test_labels)):
    images = rng.integers(0, 256, (len(labels), 4, 4, 3), dtype=np.uint8)
    np.savez(folder / f"{split}.npz", images=images, labels=np.asarray(labels))
  return c


def create(c, sources=None):
  """The monitor of a run; unless told otherwise the test images stand for those held out."""
  recipe, mesh = augment.recipe("none", size_px=4), parallel.make_mesh(jax.devices()[:1])
  train, held_out = sources or (run_images.source(c, "train"), run_images.source(c, "test"))
  return monitor.Monitor.create(c, train, held_out, NET, recipe, mesh)


def pixels(batches):
  return [bytes(image) for batch in batches for image in batch["image"][batch["mask"]]]


def scored(*args):
  """Scores random weights on the images of `run_config`; also returns their h."""
  one = create(run_config(*args))
  found = [one._extract(*VARIABLES, batches) for batches in (one.bank, one.queries)]
  return one.score(*VARIABLES), [f.layers["h"] for f in found]


def test_no_image_that_is_reported_takes_part(tmp_path):
  c = run_config(tmp_path, np.arange(40) % 4, [])
  (tmp_path / "test.npz").unlink()
  one = create(c, run_images.training_set(c))
  bank, queries = pixels(one.bank), pixels(one.queries)
  assert (len(bank), len(queries)) == (36, 4)
  assert sorted(bank + queries) == sorted(map(bytes, np.load(tmp_path / "train.npz")["images"]))


@pytest.mark.parametrize("key", ["data.held_out", "monitor.max_train", "monitor.max_test"])
def test_with_nothing_to_score_by_it_is_silent(key, tmp_path):
  c = run_config(tmp_path, np.arange(40) % 4, [0])
  section, _, name = key.partition(".")
  c[section][name] = 0
  assert create(c, run_images.training_set(c)).score(*VARIABLES) == {}


def test_its_batches_need_not_divide_by_the_processes(tmp_path, monkeypatch):
  c = run_config(tmp_path, np.arange(24) % 3, np.arange(10) % 3)
  place = {"process_index": 2, "process_count": 3}
  monkeypatch.setattr(monitor.pipeline, "this_process", lambda: place)
  assert [len(batch["label"]) for batch in create(c).bank] == [6, 6]  # 18 in place of 16
  c.monitor.batch_size = 0
  with pytest.raises(errors.UserError, match="monitor.batch_size 0 is below 1; use 1 or more"):
    create(c)


def test_images_without_a_label_neither_vote_nor_count(tmp_path):
  train, test = np.arange(24) % 3, np.arange(10) % 3
  train[::5], test[::4] = -1, -1
  scores, (bank, queries) = scored(tmp_path, train, test)
  wanted = knn.accuracy(bank, train[train >= 0], queries, test[test >= 0], 3, k=3)
  assert scores == {"knn_top1": wanted["top1"], "knn_top5": wanted["top5"]}


def test_images_without_a_label_take_no_place_among_those_that_vote(tmp_path):
  """Of train+unlabeled a bank of 6 would else have one that votes."""
  c = run_config(tmp_path, [0, 1, 2] * 2 + [-1] * 30, [0, 1])
  c.monitor.max_train = 6
  assert len(pixels(create(c).bank)) == 6
  assert "knn_top1" in create(c).score(*VARIABLES)


@pytest.mark.parametrize("one", [[2] * 11 + [-1], [0] * 12], ids=["of three", "of one"])
def test_images_of_one_class_are_told_before_the_training(one, tmp_path, caplog):
  c = run_config(tmp_path, one, [0, 1])
  create(c)
  line = f'all images of data.split "train" are of one class ({one[0]}): every vote is for it'
  assert line in caplog.text
  caplog.clear()
  create(run_config(tmp_path, np.arange(12) % 2, [0, 1]))
  assert not caplog.text


@pytest.mark.parametrize(
  "train, test",
  [([0, 1] + [-1] * 10, [0, 1]), ([0] * 5, [-1] * 4), ([0, 1] * 5, [2, 3])],
  ids=["bank", "queries", "other classes"],
)
def test_too_few_labels_are_a_warning_and_not_the_end_of_a_run(train, test, tmp_path, caplog):
  with caplog.at_level(logging.WARNING, "contrastive_jax"):
    assert scored(tmp_path, train, test)[0] == {}
  assert "no kNN: " in caplog.text
