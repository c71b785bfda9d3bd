"""Pictures of features: their axes, points and legend."""

import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from contrastive_jax import errors
from contrastive_jax.evaluation import picture


def test_the_plane_is_that_of_largest_variance():
  rng = np.random.default_rng(0)
  for n, dim in ((50, 7), (7, 50), (9, 1), (260, 230), (230, 260)):
    x = rng.normal(size=(n, dim)).astype(np.float32) + 4
    points, share = picture.pca(x)
    u, s, _ = np.linalg.svd((x - x.mean(0)).astype(np.float64), full_matrices=False)
    expected = np.zeros((n, 2))
    expected[:, : min(2, dim)] = (u * s)[:, :2]
    np.testing.assert_allclose(np.abs(points), np.abs(expected), atol=1e-4)  # x.mean in float32
    np.testing.assert_allclose(share[: len(s)], (s**2 / np.sum(s**2))[:2], rtol=1e-5)
    assert all(points[np.abs(points[:, i]).argmax(), i] >= 0 for i in range(2))


def test_a_plane_of_many_features_of_little_variance():
  line = np.outer(np.arange(300.0), np.ones(400))
  for scale in (1e-38, 1.0, 1e36):  # of float32
    points, share = picture.pca((scale * line).astype(np.float32))
    steps = np.diff(points[:, 0]) / scale
    np.testing.assert_allclose(np.abs(steps), 20.0, rtol=1e-4)
    np.testing.assert_allclose(points[:, 1] / scale, 0.0, atol=1e-2)
    np.testing.assert_allclose(share, (1.0, 0.0), atol=1e-6)
  points, share = picture.pca(np.ones((300, 400), np.float32))
  assert not points.any() and not share.any()


@pytest.mark.parametrize("num_classes", [3, 30])
def test_a_legend_for_as_many_classes_as_can_be_told_apart(tmp_path, num_classes, monkeypatch):
  drawn = []
  monkeypatch.setattr(Figure, "savefig", lambda figure, path, format: drawn.append(figure))
  x = np.random.default_rng(0).normal(size=(90, 4))
  label = np.arange(90) % num_classes
  label[0] = -1
  names = [f"class {i}" for i in range(num_classes)]
  picture.draw(x, label, tmp_path / "a.png", picture.Options(max_points=60), label_names=names)
  (figure,) = drawn
  scattered = figure.axes[0].collections
  assert sum(len(points.get_offsets()) for points in scattered) == 60
  texts = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
  assert texts == (["no label", "class 0", "class 1", "class 2"] if num_classes == 3 else [])


def test_tsne_without_scikit_learn_names_the_extra(monkeypatch):
  monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
  with pytest.raises(errors.UserError, match=r"pip install -e .\[tsne\]"):
    picture.tsne(np.zeros((5, 3)))


@pytest.mark.slow
def test_tsne_keeps_clusters_apart():
  pytest.importorskip("sklearn")
  rng = np.random.default_rng(0)
  x = rng.normal(size=(60, 5)) + np.repeat([[0.0], [50.0]], 30, axis=0)
  points = picture.tsne(x)
  centres = points[:30].mean(0), points[30:].mean(0)
  spread = max(points[:30].std(axis=0).max(), points[30:].std(axis=0).max())
  assert np.linalg.norm(centres[0] - centres[1]) > 3 * spread
