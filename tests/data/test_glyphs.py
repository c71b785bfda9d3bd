"""The figures of the built-in images, as signed distances."""

import itertools

import numpy as np

from contrastive_jax.data import glyphs


def test_figures_fit_their_disc_and_are_mirror_images_of_themselves():
  u, v = np.meshgrid(np.linspace(-1.5, 1.5, 301), np.linspace(-1.5, 1.5, 301))
  for name in glyphs.NAMES:
    distance = getattr(glyphs, name)(u, v)
    assert (distance[np.hypot(u, v) > 1.005] > 0).all(), name
    np.testing.assert_allclose(distance, distance[:, ::-1], atol=1e-12)
    reach = np.hypot(u, v)[distance < 0].max()
    assert reach > 0.8, name  # all figures are about as big as their disc


def test_distances_never_exceed_the_true_ones_and_are_right_at_the_edge():
  # A slope of at most 1 makes a lower bound; of 1 at the edge, an edge one pixel wide.
  rng = np.random.default_rng(0)
  points, angle = rng.uniform(-1.2, 1.2, (2, 50_000)), rng.uniform(0, 2 * np.pi, 50_000)
  h = 1e-4
  for name in glyphs.NAMES:
    distance = getattr(glyphs, name)
    here = distance(*points)
    moved = distance(*points + h * np.stack([np.cos(angle), np.sin(angle)]))
    assert (abs(moved - here) <= h * (1 + 1e-9)).all(), name
    u, v = points[:, abs(here) < 0.03]
    slope = np.hypot(
      *(distance(u + a, v + b) - distance(u - a, v - b) for a, b in ((h, 0), (0, h)))
    )
    assert np.mean(abs(slope / (2 * h) - 1) < 1e-3) > 0.95, name  # the rest: corners


def test_every_figure_in_every_rotation_is_its_own():
  u, v = np.meshgrid(np.linspace(-1, 1, 101), np.linspace(1, -1, 101))
  inside = [
    np.rot90(getattr(glyphs, name)(u, v) < 0, turns) for name in glyphs.NAMES for turns in range(4)
  ]
  for a, b in itertools.combinations(inside, 2):
    assert (a & b).sum() / (a | b).sum() < 0.75
  flipped = inside[1][:, ::-1]
  np.testing.assert_array_equal(flipped, inside[3])  # a flip swaps rotations 1 and 3
