"""An image to show augmentations on: a house in the hills, made from formulas, so free to ship.

It has what the operations act on: smooth and rough parts, edges, many hues, light and shade, and no
symmetry, so that blur, crops, colour distortion, flips and turns can be told apart by eye. The same
seed gives the same image: random bits are Philox's, whose stream NumPy keeps stable.
"""

import numpy as np

_FINER = 4  # drawn so many times larger and averaged: smooth outlines


def draw(size_px: int = 160, seed: int = 0) -> np.ndarray:
  """Returns the image, uint8 [size_px, size_px, 3]."""
  side = size_px * _FINER
  grid = (np.arange(side) + 0.5) / side
  x, y = np.meshgrid(grid, grid)  # from the left and from the top, 0 to 1
  rng = np.random.Generator(np.random.Philox(seed))
  image = _sky(x, y, rng)
  image = _balloon(image, x, y)
  image = _hills(image, x, y, rng)
  image = _meadow(image, x, y, rng)
  image = _house(image, x, y)
  image = _tree(image, x, y, rng)
  image *= 1.04 - 0.5 * ((x - 0.42) ** 2 + (y - 0.45) ** 2)[..., None]  # light falls off outwards
  image = image.reshape(size_px, _FINER, size_px, _FINER, 3).mean((1, 3))
  return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def _sky(x, y, rng):
  image = _blend((0.23, 0.46, 0.82), (0.88, 0.90, 0.93), y / 0.55)
  cloud = _rough(x * 0.8, y * 2.2, rng, coarsest=3) + 0.35 * np.exp(-(((y - 0.2) / 0.14) ** 2))
  return _over(image, (1.0, 0.98, 0.95), 0.9 * _ramp(cloud, 0.3, 0.85))


def _balloon(image, x, y):
  u, v = (x - 0.73) / 0.115, (y - 0.2) / 0.135
  narrow = np.where(v > 0, 1 - 0.25 * v**2, 1.0)
  inside = (u / narrow) ** 2 + v**2 < 1
  around = np.arcsin(np.clip(u / narrow / np.sqrt(np.maximum(1 - v**2, 1e-6)), -1, 1))
  stripe = np.floor(7 * around / np.pi + 0.5).astype(int) % 3
  color = np.array([(0.86, 0.16, 0.14), (0.98, 0.80, 0.18), (0.20, 0.30, 0.66)])[stripe]
  color = color * (0.95 - 0.35 * u - 0.15 * v)[..., None]
  image = _over(image, color, inside)
  ropes = (abs(abs(x - 0.73) - 0.028 + 0.2 * (y - 0.33)) < 0.0025) & (0.325 < y) & (y < 0.375)
  image = _over(image, (0.25, 0.2, 0.15), ropes)
  return _over(image, (0.45, 0.28, 0.13), (abs(x - 0.73) < 0.022) & (abs(y - 0.39) < 0.016))


def _hills(image, x, y, rng):
  ridge = 0.44 - 0.13 * np.exp(-(((x - 0.3) / 0.2) ** 2)) + 0.09 * _rough(x, 0 * y, rng, 4)
  below = y - ridge
  rock = _rough(x, y, rng, coarsest=8)
  slope = _blend((0.36, 0.40, 0.55), (0.62, 0.68, 0.78), below / 0.2) * (1 + 0.3 * rock[..., None])
  slope = _over(slope, (0.95, 0.96, 1.0), _ramp(0.355 - y + 0.09 * rock, 0, 0.02))  # snow
  image = _over(image, slope, below > 0)
  wood = 0.5 + 0.035 * np.sin(7 * x + 1) + 0.035 * _rough(x * 3, 0 * y, rng, 8)
  leaves = _rough(x * 2, y * 2, rng, coarsest=16)[..., None]
  return _over(image, np.array((0.13, 0.30, 0.20)) * (1 + 0.5 * leaves), y > wood)


def _meadow(image, x, y, rng):
  edge = 0.6 + 0.03 * np.sin(3.5 * x + 0.4)
  near = np.clip((y - edge) / (1 - edge), 0, 1)
  grass = _blend((0.62, 0.70, 0.25), (0.22, 0.45, 0.12), near)
  grass *= 1 + 0.35 * _rough(x * 3, y * 5, rng, coarsest=6)[..., None]
  image = _over(image, grass, y > edge)
  path = abs(x - 0.36 - 0.28 * (y - 0.8) - 0.04 * np.sin(14 * y)) < 0.02 + 0.075 * near
  image = _over(image, (0.80, 0.70, 0.50), path & (y > 0.76) & (y > edge))
  for _ in range(70):
    u, v, color = rng.random(3)
    v = 0.7 + 0.3 * v
    radius = 0.004 + 0.014 * (v - 0.7)
    petal = ((0.98, 0.85, 0.15), (0.85, 0.15, 0.35), (0.97, 0.97, 0.95))[int(3 * color)]
    image = _over(image, petal, ((x - u) ** 2 + (y - v) ** 2 < radius**2) & ~path)
  return image


def _house(image, x, y):
  shadow = (0.56 < x) & (x < 0.70) & (0.75 < y) & (y < 0.79 - 0.2 * (x - 0.56))
  image = image * (1 - 0.4 * shadow)[..., None]
  front, side = (0.17 < x) & (x < 0.38), (0.38 <= x) & (x < 0.57)
  roof_edge = 0.53 + abs(x - 0.275) * 1.05 - 0.11  # of the gable
  image = _over(image, (0.97, 0.92, 0.80), front & (y > roof_edge) & (y < 0.78))
  image = _over(image, (0.70, 0.62, 0.55), side & (y > 0.5) & (y < 0.78 - 0.08 * (x - 0.38)))
  image = _over(image, (0.50, 0.24, 0.18), (0.45 < x) & (x < 0.49) & (0.33 < y) & (y < 0.45))
  back = x - 0.275 - 0.95 * (y - 0.42)  # the roof's slope, seen from its gable
  roof = (0.41 < y) & (y < 0.565) & (back > 0) & (back < 0.21)
  tiles = 0.85 + 0.15 * np.sign(np.sin(180 * y)) * np.sign(np.sin(95 * back))
  image = _over(image, np.array((0.80, 0.24, 0.15)) * tiles[..., None], roof)
  gable = (abs(y - roof_edge) < 0.013) & (0.15 < x) & (x < 0.40)
  image = _over(image, (0.45, 0.13, 0.10), gable)
  image = _over(image, (0.18, 0.36, 0.50), (0.25 < x) & (x < 0.305) & (0.655 < y) & (y < 0.78))
  image = _over(image, (0.95, 0.8, 0.3), (x - 0.296) ** 2 + (y - 0.72) ** 2 < 0.005**2)
  for left, top in ((0.195, 0.60), (0.325, 0.60), (0.255, 0.50), (0.42, 0.615), (0.495, 0.615)):
    image = _window(image, x - left, y - top)
  return image


def _window(image, u, v):
  frame = (-0.006 < u) & (u < 0.046) & (-0.006 < v) & (v < 0.061)
  glass = (0 < u) & (u < 0.04) & (0 < v) & (v < 0.055) & (abs(u - 0.02) > 0.002)
  glass &= abs(v - 0.027) > 0.002
  image = _over(image, (0.30, 0.20, 0.14), frame)
  return _over(image, _blend((0.75, 0.85, 0.95), (0.15, 0.22, 0.35), (u + v) / 0.09), glass)


def _tree(image, x, y, rng):
  trunk = abs(x - 0.83 + 0.02 * np.sin(12 * y)) < 0.016 + 0.03 * _ramp(y, 0.76, 0.86)
  bark = np.array((0.42, 0.28, 0.17)) * (1.1 - 12 * (x - 0.83))[..., None]
  image = _over(image, bark, trunk & (0.6 < y) & (y < 0.84))
  leaves = _rough(x * 2, y * 2, rng, coarsest=8)
  for u, v, radius in ((0.83, 0.51, 0.12), (0.76, 0.58, 0.08), (0.91, 0.58, 0.085)):
    distance = np.hypot(x - u, y - v) / radius
    light = 0.5 - 0.3 * (x - u + y - v) / radius + 0.75 * leaves
    color = _blend((0.10, 0.25, 0.08), (0.93, 0.66, 0.16), light)
    image = _over(image, color, distance + 0.35 * leaves < 0.95)
  return image


def _rough(x, y, rng, coarsest):
  """Sums four octaves of smooth noise, about -1 to 1, the first with `coarsest` cells in a unit."""
  total = 0
  for octave in range(4):
    cells = coarsest * 2**octave
    # x and y may reach beyond 1.
    lattice = rng.random((5 * cells + 2, 5 * cells + 2)) * 2 - 1
    column, u = np.divmod(x * cells, 1)
    row, v = np.divmod(y * cells, 1)
    u, v = (t * t * (3 - 2 * t) for t in (u, v))
    i, j = row.astype(int), column.astype(int)
    top = lattice[i, j] * (1 - u) + lattice[i, j + 1] * u
    bottom = lattice[i + 1, j] * (1 - u) + lattice[i + 1, j + 1] * u
    total = total + 0.55**octave * (top * (1 - v) + bottom * v)
  return total / 1.1


def _ramp(value, low, high):
  return np.clip((value - low) / (high - low), 0, 1)


def _blend(first, second, share):
  share = np.clip(share, 0, 1)[..., None]
  return (1 - share) * np.asarray(first) + share * np.asarray(second)


def _over(image, color, covered):
  """Lays a colour, or an image, over the covered part."""
  covered = np.asarray(covered, float)[..., None]
  return image * (1 - covered) + covered * np.asarray(color)
