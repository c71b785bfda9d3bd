"""Scores of a classifier against a loop."""

import numpy as np
import pytest
from classes import CLASSES, EIGHT, data

from contrastive_jax.evaluation import scores


def test_a_linear_classifier_is_scored_chunk_by_chunk(monkeypatch):
  monkeypatch.setattr(scores, "_CHUNK", 24)
  x, label = data()
  rng = np.random.default_rng(2)
  kernel, bias = rng.normal(size=(6, 9)).astype(np.float32), rng.normal(size=9).astype(np.float32)
  found = scores.of_linear(kernel, bias, x, label, EIGHT)
  order = np.argsort(-(x @ kernel + bias), axis=1)
  assert found.top1 == pytest.approx(np.mean(order[:, 0] == label))
  assert found.top5 == pytest.approx(
    np.mean([y in o[:5] for o, y in zip(order, label, strict=True)])
  )
  assert 0 < found.top1 < found.top5 < 1
  for c in range(CLASSES):
    assert found.per_class[c] == pytest.approx(np.mean(order[label == c, 0] == c))
  assert found.per_class[CLASSES:] == (None,) * 5
