"""Figures of a report against closed forms and against what the rest of the package computes."""

import numpy as np
import pytest

from contrastive_jax.evaluation import knn, picture
from contrastive_jax.report import captions, measures
from contrastive_jax.step import collapse


def test_of_equal_views_and_opposite_images_the_figures_are_known():
  x = np.array([[2.0, 0.0], [-3.0, 0.0]])
  pairs = np.stack([x, 5 * x], axis=1)
  assert measures.alignment(pairs) == 0
  assert measures.uniformity(x) == pytest.approx(-8)  # one pair at distance 2: ln exp(-2 * 4)
  assert measures.negatives(x).tolist() == [-1]
  assert measures.effective_rank(measures.spectrum(x)) == pytest.approx(1)


def test_directions_that_are_equally_strong_all_count():
  x = np.concatenate([np.eye(6), -np.eye(6)])
  assert measures.effective_rank(measures.spectrum(x)) == pytest.approx(6)
  assert measures.spread(x) == pytest.approx(1)
  few = np.random.default_rng(0).normal(size=(3, 10))  # fewer images than numbers
  assert measures.spectrum(few).shape == (10,)


def test_the_spectrum_of_a_layer_that_collapsed_is_that_of_its_differences():
  rng = np.random.default_rng(0)  # 1e-4 of a mean cosine of 1: squares of float32 end at 1e-7
  z = rng.normal(size=16) + 1e-4 * rng.normal(size=(20_000, 16)) / np.arange(1, 17)
  z = (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32)
  u = z.astype(np.float64)
  u /= np.linalg.norm(u, axis=1, keepdims=True)
  wanted = np.linalg.svd(u - u.mean(0), compute_uv=False) ** 2 / len(u)
  found = measures.spectrum(z)
  np.testing.assert_allclose(found[:15], wanted[:15], rtol=1e-5)  # the last is that of the lengths
  points, share = picture.pca(u.astype(np.float32))
  assert share == pytest.approx(wanted[:2] / wanted.sum(), rel=1e-2)  # rounded anew to float32
  assert np.mean(points**2, axis=0) == pytest.approx(wanted[:2], rel=1e-2)


def test_figures_are_those_that_a_run_tells():
  z = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32) + 1
  told = {k: float(v) for k, v in collapse.metrics(z[:, None]).items()}
  assert measures.effective_rank(measures.spectrum(z)) == pytest.approx(told["rank"], rel=1e-4)
  assert measures.spread(z) == pytest.approx(told["std"], rel=1e-4)
  assert measures.negatives(z).mean() == pytest.approx(told["cosine"], rel=1e-4)


def test_a_vote_is_that_of_an_evaluation():
  rng = np.random.default_rng(1)
  label = rng.integers(0, 4, 90).astype(np.int32)
  x = (np.eye(4)[label] + rng.normal(size=(90, 4))).astype(np.float32)
  found = measures.vote(x[:60], label[:60], x[60:], 4)
  wanted = knn.accuracy(x[:60], label[:60], x[60:], label[60:], 4, k=20, temperature=0.07)
  assert np.mean(found.said == label[60:]) == pytest.approx(wanted["top1"])
  assert 0.3 < wanted["top1"] < 1
  unlabelled = np.where(np.arange(60) < 59, -1, 2)
  assert set(measures.vote(x[:60], unlabelled, x[60:], 4).said) <= {0, 2}, "only one votes"
  counts = measures.confusion(label[60:], found.said, 4)
  assert counts.sum() == 30 and counts.trace() == np.sum(found.said == label[60:])


def test_captions_tell_what_was_done_and_nothing_else():
  drawn = {
    "crop": {"top": 3.0, "left": 0.0, "height": 18.0, "width": 20.0},
    "flip": {"on": True},
    "grey": {"on": False},
    "jitter": {"on": True, "order": np.arange(4), "hue": np.float32(-0.25)},
    "noise": {"on": True, "key": np.zeros(2, np.uint32)},
  }
  assert captions.of_view(drawn) == ["crop: 20 x 18 at 0, 3", "flip", "jitter: hue -0.25", "noise"]
