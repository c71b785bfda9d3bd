"""Points in the plane: what packages are asked for, and features that some of them cannot take."""

import importlib.util
import sys
import types

import numpy as np
import pytest

from contrastive_jax import errors
from contrastive_jax.report import pictured, projecting


class Stand:
  """In the place of UMAP and of t-SNE: keeps what it is given, and gives the first two columns."""

  asked: list = []

  def __init__(self, **options):
    self.options = options

  def fit_transform(self, x):
    Stand.asked.append((self.options, x))
    return x[:, :2]


@pytest.fixture
def stand(monkeypatch):
  monkeypatch.setattr(Stand, "asked", [])
  monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=Stand))
  monkeypatch.setitem(sys.modules, "sklearn", types.ModuleType("sklearn"))
  monkeypatch.setitem(sys.modules, "sklearn.manifold", types.SimpleNamespace(TSNE=Stand))
  return Stand.asked


def test_a_package_that_is_missing_is_named_before_anything_is_computed(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  projecting.check(("pca",))
  for name, package in (("tsne", "scikit-learn"), ("umap", "umap-learn")):
    with pytest.raises(errors.UserError, match=rf"needs {package}; .*contrastive_jax\[{name}\]"):
      projecting.check((name,))


@pytest.mark.parametrize("name", projecting.METHODS)
@pytest.mark.parametrize("value", [0, 1])
def test_images_at_one_point_are_drawn_at_one_point(stand, name, value):
  """scikit-learn would end the process, and UMAP draw a cloud."""
  points = projecting.project(name, np.full((200, 8), value, np.float32))
  assert points.shape == (200, 2) and np.ptp(points) == 0 and stand == []


@pytest.mark.parametrize("name", ["tsne", "umap"])
@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
def test_a_package_gets_numbers_of_any_scale_at_one(stand, name, scale):
  x = np.random.default_rng(0).normal(size=(1200, 3)).astype(np.float32) * np.float32(scale)
  assert projecting.project(name, x).shape == (1000, 2)
  [(options, given)] = stand
  assert given.dtype == np.float32 and np.abs(given).max() == 1
  np.testing.assert_allclose(given.mean(axis=0), 0, atol=1e-6)
  if name == "tsne":
    assert options["init"][:, 0].std() == pytest.approx(1e-4, rel=1e-3)


def test_too_few_points_for_one_leave_the_other(stand, monkeypatch, caplog):
  part = types.SimpleNamespace(layers={"h": np.eye(3, dtype=np.float32)})
  monkeypatch.setattr(pictured, "_colorings", lambda *_: {"label": (np.zeros(3, int), ())})
  drawn: dict = {}
  sample = types.SimpleNamespace(test=part, train=part)
  text = pictured.projections(sample, ("umap", "pca"), drawn)
  assert "UMAP could not be drawn: UMAP needs 4 points or more; there are 3" in text
  assert list(drawn) == ["PCA of h"] and "UMAP cannot be drawn" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tsne", "umap"])
def test_groups_lie_apart(name):
  module = projecting.METHODS[name].module
  pytest.importorskip(module, reason=f"needs {module}: the extra {name}", exc_type=ImportError)
  rng = np.random.default_rng(0)
  x = rng.normal(size=(120, 8)) + 40 * np.repeat(np.eye(8)[:2], 60, axis=0)
  points = projecting.project(name, x.astype(np.float32))
  centres = points[:60].mean(axis=0), points[60:].mean(axis=0)
  spread = max(points[:60].std(axis=0).max(), points[60:].std(axis=0).max())
  assert np.linalg.norm(centres[0] - centres[1]) > 3 * spread
  np.testing.assert_array_equal(points, projecting.project(name, x.astype(np.float32)))
