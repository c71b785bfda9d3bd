"""Ten plain figures as signed distances: what the built-in images show.

Each function takes coordinates (u to the right, v upwards, in units of the figure's radius) and
returns the signed distance to the outline, negative inside; every figure lies in the unit disc.
Away from the outline the values are bounds, not exact distances, which is enough for anti-aliasing.

Every figure is its own mirror image under u -> -u, and under nothing else: the four right-angle
rotations look different, a horizontal flip keeps rotations 0 and 2 and swaps 1 and 3, and no
rotated or flipped figure is another class. Distances: I. Quilez, "2D distance functions",
https://iquilezles.org/articles/distfunctions2d
"""

import numpy as np


def _box(u, v, left, right, bottom, top):
  return np.maximum(np.maximum(left - u, u - right), np.maximum(bottom - v, v - top))


def _disc(u, v, u0, v0, radius):
  return np.hypot(u - u0, v - v0) - radius


def _half_plane(u, v, a, b, c):
  """Distance to a u + b v <= c."""
  return (a * u + b * v - c) / np.hypot(a, b)


def triangle(u, v):
  return np.maximum(_half_plane(abs(u), v, 1.55, 0.78, 0.78 * 0.95), -0.6 - v)


def dome(u, v):
  return np.maximum(_disc(u, v, 0, -0.45, 0.88), -0.45 - v)


def heart(u, v):
  u = abs(u)
  tip = _half_plane(u, v, 0.7387, -0.6741, 0.6741 * 0.9)  # tangent to the disc, through (0, -0.9)
  tip = np.maximum(tip, _half_plane(u, v, 0.4012, 0.916, 0.916 * 0.28))
  return np.minimum(tip, _disc(u, v, 0.4, 0.28, 0.5))


def arrow(u, v):
  u = abs(u)
  head = np.maximum(_half_plane(u, v, 0.95, 0.8, 0.8 * 0.95), -v)
  return np.minimum(head, _box(u, v, -0.25, 0.25, -0.95, 0.1))


def tee(u, v):
  bar = _box(u, v, -0.72, 0.72, 0.2, 0.68)
  return np.minimum(bar, _box(u, v, -0.25, 0.25, -0.95, 0.5))


def cup(u, v):
  return np.maximum(_box(u, v, -0.7, 0.7, -0.7, 0.7), -_box(u, v, -0.32, 0.32, -0.25, 2))


def moon(u, v):
  return np.maximum(_disc(u, v, 0, 0, 0.95), -_disc(u, v, 0, 0.5, 0.75))


def key(u, v):
  ring = np.maximum(_disc(u, v, 0, 0.4, 0.55), -_disc(u, v, 0, 0.4, 0.24))
  return np.minimum(ring, _box(u, v, -0.17, 0.17, -0.95, 0))


def comb(u, v):
  u = abs(u)
  base = _box(u, v, -1, 0.75, -0.65, -0.25)
  prongs = np.minimum(_box(u, v, -0.16, 0.16, -0.5, 0.65), _box(u, v, 0.43, 0.75, -0.5, 0.65))
  return np.minimum(base, prongs)


def chevron(u, v):
  u = abs(u)
  band = np.maximum(_half_plane(u, v, 1.35, 0.83, 0.664), -_half_plane(u, v, 1.35, 0.83, 0))
  return np.maximum(band, -0.55 - v)


NAMES = ("triangle", "dome", "heart", "arrow", "tee", "cup", "moon", "key", "comb", "chevron")
