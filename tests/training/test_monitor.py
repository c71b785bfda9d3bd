"""kNN during training, on sets whose labels are not all there."""

import logging

import jax
import numpy as np
import pytest
import toys

from contrastive_jax import augment, build, config, errors, parallel
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import images as eval_images
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


def create(c):
  recipe, mesh = augment.recipe("none", size_px=4), parallel.make_mesh(jax.devices()[:1])
  return monitor.Monitor.create(c, build.source(c, "train"), NET, recipe, mesh)


def scored(*args):
  """Scores random weights on the images of `run_config`; also returns their h."""
  one = create(run_config(*args))
  found = [one._extract(*VARIABLES, batches) for batches in (one.bank, one.queries)]
  return one.score(*VARIABLES), [f.layers["h"] for f in found]


def test_images_that_are_scored_on_themselves_are_a_warning(tmp_path, caplog):
  c = run_config(tmp_path, [0, 1, 2, 0], [0, 1, 2, 0])
  create(c)
  assert caplog.text == ""
  c.data.eval_split = "train"
  create(c)
  assert 'data.split and data.eval_split are both "train"' in caplog.text
  caplog.clear()
  eval_images.load(eval_config.evaluation("knn"), c)
  assert 'data.split and data.eval_split are both "train"' in caplog.text


def test_images_of_another_name_that_are_the_same_are_a_warning_too(tmp_path, caplog):
  c = run_config(tmp_path, [0, 1, 2, 0], [0, 1])
  (tmp_path / "val.npz").symlink_to("train.npz")
  c.data.eval_split = "val"
  create(c)
  line = '4 of the 4 images of data.eval_split "val" are also in data.split "train"'
  assert line in caplog.text
  caplog.clear()
  eval_images.load(eval_config.evaluation("knn"), c)
  assert line in caplog.text


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


def test_a_class_that_the_training_set_lacks_is_missed_and_counted(tmp_path):
  scores, _ = scored(tmp_path, np.zeros(12, int), [0, 0, 0, 5])
  assert scores == {"knn_top1": 0.75, "knn_top5": 0.75}


@pytest.mark.parametrize(
  "train, test", [([0, 1] + [-1] * 10, [0, 1]), ([0] * 5, [-1] * 4)], ids=["bank", "queries"]
)
def test_too_few_labels_are_a_warning_and_not_the_end_of_a_run(train, test, tmp_path, caplog):
  with caplog.at_level(logging.WARNING, "contrastive_jax"):
    assert scored(tmp_path, train, test)[0] == {}
  assert "no kNN: " in caplog.text
