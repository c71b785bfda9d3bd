"""A part of a set has every class in its share, in whatever order the images lie."""

import numpy as np
import pytest
from tiny_config import tiny

from contrastive_jax import data, errors
from contrastive_jax.data import subset
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import images


class Labelled:
  """Images without pixels."""

  label_names, native_size_px = (), 8

  def __init__(self, labels, known=True):
    self._labels = np.asarray(labels)
    self.num_classes = int(self._labels.max()) + 1
    self.factors = {"half": np.arange(len(labels)) // (len(labels) // 2)}
    if known:
      self.labels = self._labels

  def __len__(self):
    return len(self._labels)

  def __getitem__(self, index):
    return {"image": np.zeros((8, 8, 3), np.uint8), "label": self._labels[index], "index": index}


IN_TURN, SORTED = np.arange(640) % 10, np.arange(640) // 64
ORDERS = {
  "in turn": IN_TURN,
  "sorted": SORTED,
  "shuffled": np.random.default_rng(0).permutation(IN_TURN),
  "in turn by blocks": np.arange(640) // 4 % 10,
}


def read(part):
  examples = [part[i] for i in range(len(part))]
  return [e["label"] for e in examples], [e["index"] for e in examples]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [10, 63, 64, 128, 320, 639])
def test_every_class_has_its_share(order, count):
  labels, index = read(subset.evenly(Labelled(ORDERS[order]), count))
  assert len(set(index)) == count and index == sorted(index)
  counts = np.bincount(labels, minlength=10)
  assert counts.max() - counts.min() <= 2, counts  # a stratum at each end may be shared


def test_unequal_classes_keep_their_shares():
  labels, _ = read(subset.evenly(Labelled(np.arange(1000) % 10 // 9), 100))
  assert abs(np.bincount(labels)[1] - 10) <= 1


@pytest.mark.parametrize("order", ORDERS)
def test_labels_that_are_not_known_leave_no_class_out(order):
  """As of prepared sets, whose records must be read for them: by place, never at equal steps."""
  labels, index = read(subset.evenly(Labelled(ORDERS[order], known=False), 128))
  assert np.bincount(labels, minlength=10).min() > 0
  assert all(5 * i <= place < 5 * (i + 1) for i, place in enumerate(index))


def test_a_part_is_the_same_every_time_and_keeps_index_and_factors():
  source = Labelled(IN_TURN)
  part, again = subset.evenly(source, 64), subset.evenly(Labelled(IN_TURN), 64)
  assert read(part) == read(again)
  np.testing.assert_array_equal(part.labels, read(part)[0])
  np.testing.assert_array_equal(part.factors["half"], np.array(read(part)[1]) // 320)
  assert subset.evenly(source, 640) is source
  assert read(subset.evenly(part, 10))[0] == read(subset.evenly(again, 10))[0]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("part", "each"), [(0.01, 1), (0.1, 6), (0.5, 32)])
def test_a_share_is_the_same_of_every_class(order, part, each):
  labels, index = read(subset.share(Labelled(ORDERS[order]), part))
  assert np.bincount(labels).tolist() == [each] * 10 and len(set(index)) == 10 * each


def test_all_is_the_source_itself():
  source = Labelled(IN_TURN)
  assert subset.share(source, 1.0) is source


def test_a_share_by_chance_is_told(caplog):
  labels, _ = read(subset.share(Labelled(SORTED, known=False), 0.1))
  assert len(labels) == 64 and "left to chance" in caplog.text


@pytest.mark.parametrize("source", ["folder", "npz", "shapes"])
def test_sources_know_their_labels(source, tmp_path):
  options = {}
  if source == "npz":
    np.savez(tmp_path / "a.npz", images=np.zeros((40, 4, 4, 3), np.uint8), labels=np.arange(40) % 4)
    options["path"] = str(tmp_path / "a.npz")
  if source == "folder":
    for i in range(40):
      path = tmp_path / f"{i % 4}" / f"{i}.png"
      path.parent.mkdir(exist_ok=True)
      path.touch()
    options["path"] = str(tmp_path)
  if source == "shapes":
    options |= {"num_train": 40, "size_px": 16}
  opened = data.build(source, split="train", **options)
  if source != "folder":
    assert opened.labels.tolist() == [opened[i]["label"] for i in range(40)]
  counts = np.bincount(subset.share(opened, 0.5).labels, minlength=opened.num_classes)
  whole = np.bincount(opened.labels, minlength=opened.num_classes)
  assert np.abs(counts - whole / 2).max() <= 0.5


def test_an_evaluation_takes_the_share_and_the_number_that_it_asks_for():
  asked = eval_config.evaluation("knn")
  asked.data.train_share, asked.data.max_test = 0.5, 8
  found = images.load(asked, tiny())
  whole = data.build("shapes", split="train", num_train=64, size_px=16)
  count, all_of = (np.bincount(s.labels, minlength=whole.num_classes) for s in (found.train, whole))
  assert np.abs(count - all_of / 2).max() <= 0.5 and len(found.test) == 8
  asked.data.train_share = 1.5
  with pytest.raises(errors.UserError, match=r"train_share 1.5 is outside \(0, 1\]"):
    eval_config.resolve(asked)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("known", [True, False])
def test_what_is_held_out_is_not_trained_on(order, known):
  source = Labelled(ORDERS[order], known)
  kept, held_out = subset.hold_out(source, 100)
  labels, index = read(held_out)
  if known:
    assert np.abs(np.bincount(labels, minlength=10) - 10).max() <= 1
  assert sorted([*index, *kept._positions]) == list(range(640)) and len(index) == 100
  assert read(kept)[1] == list(range(540))  # a memory has a row for each
  assert read(kept)[0] == [source[i]["label"] for i in kept._positions]


def test_without_a_word_a_tenth_is_held_out_and_a_thousand_at_most():
  counts = [subset.num_held_out(n, 10, None) for n in (9, 10, 640, 10_000, 50_000)]
  assert counts == [0, 1, 64, 1_000, 1_000]
  assert subset.num_held_out(640, 0, None) == 0  # no labels, nothing to score
  assert subset.num_held_out(640, 0, 7) == 7


def test_nothing_held_out_is_the_source_itself():
  source = Labelled(IN_TURN)
  assert subset.hold_out(source, 0) == (source, None)


@pytest.mark.parametrize("count", [-1, 640])
def test_something_must_be_left_to_train_on(count):
  with pytest.raises(errors.UserError, match=rf"data.held_out {count} is outside 0..639"):
    subset.hold_out(Labelled(IN_TURN), count)


def test_a_part_reads_ahead_as_its_source_does():
  class Ahead(Labelled):
    read = ()

    def ahead(self, indices):
      self.read = (*self.read, *indices)
      return self

  source = Ahead(IN_TURN)
  kept, _ = subset.hold_out(source, 100)
  again = kept.ahead([3, 5])
  assert source.read == tuple(kept._positions[[3, 5]])
  assert again[3]["label"] == kept[3]["label"] and again[3]["index"] == 3


def test_parts_and_other_labels_are_decoded_and_read_ahead_as_their_source_is():
  asked = []

  class Asked(Labelled):
    def ahead(self, indices):
      asked.append(("ahead", list(indices)))
      return self

    def within(self, size_px):
      asked.append(("within", size_px))
      return self

  source = Asked(IN_TURN)
  relabelled = images._Relabelled(source, "half", 2)
  for whole in (source, relabelled):
    kept, _ = subset.hold_out(whole, 100)
    asked.clear()
    near = data.ahead(data.within(kept, 32), [3, 5])
    assert asked == [("within", 32), ("ahead", kept._positions[[3, 5]].tolist())]
    assert near[5]["label"] == kept[5]["label"] and near[5]["index"] == 5
  plain = subset.evenly(Labelled(IN_TURN), 100)
  assert data.ahead(data.within(plain, 32), [3])[3]["index"] == plain[3]["index"]


def test_images_without_a_label_are_not_held_out(caplog):
  class Half:
    num_classes, label_names, factors, native_size_px = 2, ("a", "b"), {}, 1
    labels = np.where(np.arange(40) % 2, -1, np.arange(40) // 2 % 2)

    def __len__(self):
      return 40

  _, held_out = subset.hold_out(Half(), 10)
  assert len(held_out) == 10 and (held_out.labels >= 0).all()
  _, held_out = subset.hold_out(Half(), 30)
  assert len(held_out) == 20 and "more than the 20 images with a label" in caplog.text


def test_images_that_are_withheld_for_nothing_are_told(caplog):
  class Bare:
    num_classes, label_names, factors, native_size_px = 0, (), {}, 1

    def __len__(self):
      return 40

  subset.hold_out(Bare(), 4)
  assert "data.held_out 4: these images are not trained on" in caplog.text
