"""Nearest neighbours against a plain loop in float64, and the limits of their inputs."""

import jax
import numpy as np
import pytest

from contrastive_jax import errors, parallel
from contrastive_jax.evaluation import knn, scores

ONE = parallel.make_mesh(jax.devices()[:1])


def _data(bank=130, queries=37, dim=12, classes=7, seed=0):
  rng = np.random.default_rng(seed)
  centre = rng.normal(size=(classes, dim))
  labels = rng.integers(0, classes, bank + queries)
  x = (centre[labels] + 1.5 * rng.normal(size=(bank + queries, dim)) + 3).astype(np.float32)
  return x[:bank], labels[:bank], x[bank:], labels[bank:]


def _loop(bank, bank_labels, queries, labels, classes, k, temperature, distance, vote):
  """The definition, one query and one neighbour at a time."""
  bank, queries = bank.astype(np.float64), queries.astype(np.float64)
  top1 = top5 = 0
  per_class = np.zeros((classes, 2))
  for q, label in zip(queries, labels, strict=True):
    if distance == "cosine":
      s = [float(q @ b / np.linalg.norm(q) / np.linalg.norm(b)) for b in bank]
    else:
      s = [-float(np.sum((q - b) ** 2)) / 2 for b in bank]
    nearest = sorted(range(len(bank)), key=lambda i: -s[i])[:k]
    score = np.zeros(classes)
    for i in nearest:
      score[bank_labels[i]] += np.exp(s[i] / temperature) if vote == "weighted" else 1.0
    order = [c for c in np.argsort(-score, kind="stable") if c in bank_labels[nearest]]
    top1 += order[0] == label
    top5 += label in order[:5]
    per_class[label] += (order[0] == label, 1)
  return top1 / len(labels), top5 / len(labels), per_class[:, 0] / per_class[:, 1]


@pytest.mark.parametrize(
  "k, temperature, distance, vote",
  [
    (1, 0.07, "cosine", "weighted"),
    (9, 0.07, "cosine", "weighted"),
    (40, 1.0, "cosine", "uniform"),
    (9, 0.07, "euclidean", "weighted"),  # weights far below the smallest float32
    (40, 1.0, "euclidean", "uniform"),
  ],
)
def test_agrees_with_a_loop_in_float64(k, temperature, distance, vote):
  data = _data()
  options = knn.Options(k, temperature, distance, vote)
  found = knn.evaluate(*data, 7, options, ONE)
  top1, top5, per_class = _loop(*data, 7, k, temperature, distance, vote)
  assert 0.2 < top1 < 1
  np.testing.assert_allclose(found.top1, top1)  # counts of the same examples: equal
  np.testing.assert_allclose(found.top5, top5)
  np.testing.assert_allclose(found.per_class, per_class)


def test_blocks_of_the_bank_and_tiles_of_queries_change_nothing(monkeypatch):
  bank, bank_labels, queries, labels = _data()
  # Centred: many similarities are below 0, which is what a row of padding has.
  data = bank - bank.mean(0), bank_labels, queries - bank.mean(0), labels
  options = knn.Options(k=100, vote="uniform")
  whole = knn.evaluate(*data, 7, options, ONE)
  for block, tile in ((50, 2), (7, 64)):  # blocks smaller than k too
    monkeypatch.setattr(knn, "_BLOCK", block)
    monkeypatch.setattr(knn, "_TILE", tile)
    assert knn.evaluate(*data, 7, options, ONE) == whole


def test_hardly_a_row_is_compared_that_the_bank_does_not_have(monkeypatch):
  rows, nearer = [], knn._nearer

  def seen(best, block, queries, **options):
    rows.append(len(block[0]))
    return nearer(best, block, queries, **options)

  monkeypatch.setattr(knn, "_BLOCK", 50)
  monkeypatch.setattr(knn, "_nearer", seen)
  knn.evaluate(*_data(), 7, knn.Options(k=10), ONE)
  assert rows == [44, 44, 44]  # 130 of the bank


@pytest.mark.parametrize("num_devices", [2, 8])
def test_devices_share_the_queries_and_change_nothing(num_devices):
  data = _data()
  mesh = parallel.make_mesh(jax.devices()[:num_devices])
  found = knn.evaluate(*data, 7, knn.Options(k=10), mesh)
  top1, _, per_class = _loop(*data, 7, 10, 0.07, "cosine", "weighted")
  np.testing.assert_allclose(found.top1, top1)
  np.testing.assert_allclose(found.per_class, per_class)


def test_takes_the_mesh_in_use():
  data = _data()
  with parallel.use(parallel.make_mesh()):
    found = knn.accuracy(*data, 7, k=10)
  assert found == knn.accuracy(*data, 7, k=10, mesh=ONE)


def test_a_small_temperature_neither_overflows_nor_loses_the_nearest():
  data = _data()
  nearest = knn.accuracy(*data, 7, k=1, mesh=ONE)["top1"]
  assert (
    knn.accuracy(*data, 7, k=20, temperature=1e-4, mesh=ONE)["top1"] == nearest
  )  # exp(1e4) is infinite


def test_cosine_ignores_length_and_euclidean_ignores_a_shift():
  bank, bank_labels, queries, labels = _data()
  length = np.random.default_rng(1).uniform(0.1, 10, (len(bank), 1)).astype(np.float32)
  one = knn.accuracy(bank, bank_labels, queries, labels, 7, k=9, mesh=ONE)
  assert knn.accuracy(bank * length, bank_labels, 5 * queries, labels, 7, k=9, mesh=ONE) == one
  one = knn.accuracy(bank, bank_labels, queries, labels, 7, k=9, distance="euclidean", mesh=ONE)
  two = knn.accuracy(
    bank + 500, bank_labels, queries + 500, labels, 7, k=9, distance="euclidean", mesh=ONE
  )
  assert one == two


def test_a_class_without_a_vote_is_not_among_the_five():
  bank = np.eye(4, dtype=np.float32)
  labels = np.array([5, 6, 7, 8])
  found = knn.accuracy(bank, labels, bank[:2], np.array([0, 6]), 9, k=2, mesh=ONE)
  assert found == {"top1": 0.5, "top5": 0.5}  # class 0 scores 0, as do 1, 2, ...


def test_ranks_count_the_classes_in_front():
  logits = np.array([[3, 1, 2, 0], [1, 1, 0, 0], [1, 1, 0, 0], [np.nan, 1, 0, 0]], np.float32)
  rank = jax.jit(scores.ranks)(logits, np.array([2, 0, 1, 1]))
  assert rank.tolist() == [1, 0, 1, 1]
  nan = jax.jit(scores.ranks)(np.full((1, 4), np.nan), np.array([0]))
  assert nan.tolist() == [4]  # a diverged classifier hits nothing


def test_a_class_without_examples_has_no_share():
  found = scores.summarize(np.array([0, 1, 0]), np.array([0, 0, 2]), 3)
  assert found.per_class == (0.5, None, 1.0)
  assert found.mean_per_class == 0.75
  assert found.top5 == 1


@pytest.mark.parametrize(
  "options, line",
  [
    ({"k": 131}, "knn.k 131 exceeds the bank of 130 examples; use 130 or less"),
    ({"k": 0}, "knn.k 0 is below 1; use e.g. 20"),
    (
      {"temperature": 1e-300},
      "knn.temperature 1e-300 is outside 1e-05 to 100000; set e.g. --config.knn.temperature=0.07",
    ),
    ({"distance": "l1"}, 'knn.distance "l1" is unknown; use cosine or euclidean'),
    ({"vote": "loud"}, 'knn.vote "loud" is unknown; use weighted or uniform'),
  ],
)
def test_errors_name_value_limit_and_remedy(options, line):
  with pytest.raises(errors.UserError) as caught:
    knn.accuracy(*_data(), 7, **options)
  assert str(caught.value) == line


def test_labels_out_of_range_are_refused():
  bank, bank_labels, queries, labels = _data()
  with pytest.raises(errors.UserError, match=r"test labels -1\.\.6 are outside 0\.\.6"):
    knn.accuracy(bank, bank_labels, queries, np.where(labels == 0, -1, labels), 7)
  with pytest.raises(errors.UserError, match=r"train labels 0\.\.6 are outside 0\.\.4"):
    knn.accuracy(bank, bank_labels, queries, labels % 5, 5)
