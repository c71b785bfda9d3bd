"""Built-in images: one figure on a background, every factor drawn on its own and known. No files.

An instrument for asking what a method has learnt: each factor can be held still, given another
range, or used as the label. Luma separates figure and background (Rec. 601: 0.299 R + 0.587 G +
0.114 B) and hue is independent of it, so that grey views still show the figure. Where a method
compares views of one image without changing their colour, the two hues give the image away and no
shape need be learnt: the colour shortcut of SimCLR (Chen et al. 2020, section 3.2).

An image depends on (seed, split, index) and the options alone: counter-based random bits (Philox,
whose stream NumPy keeps stable), one number for each factor, so holding one factor still leaves
the others as they were, and a larger set begins with the smaller one.
"""

import dataclasses

import numpy as np

from contrastive_jax import errors
from contrastive_jax.data import Example, glyphs
from contrastive_jax.options import option

TEXTURES = ("plain", "stripes", "bars", "checks", "waves")
SPLITS = ("train", "validation", "test")
FACTORS = (
  "shape",
  "rotation",
  "hue",
  "background_hue",
  "x",
  "y",
  "scale",
  "texture",
  "polarity",
  "lighting",
)

_HUE_BINS, _POSITION_BINS, _SCALE_BINS, _LIGHTING_BINS = 8, 3, 4, 4
_COLUMNS = 16  # random numbers kept for each image; a new factor takes the next free one
_PIXELS_AT_ONCE, _PIXELS_KEPT = 2**20, 2**23
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclasses.dataclass(frozen=True)
class Options:
  """What varies, and how far. A factor that is off stays at mid-range, or at its first value.

  Without `lighting` images have their full light.
  """

  size_px: int = option(32, "side of an image, pixels")
  num_train: int = option(4096, "images of the split train")
  num_test: int = option(1024, "images of the splits validation and test, each")
  seed: int = option(0, "of the images")
  label: str = option("shape", "factor used as label: " + ", ".join(FACTORS))
  shapes: tuple[str, ...] = option(glyphs.NAMES, "figures: the classes")
  hue: bool = option(True, "the figure's hue varies")
  hue_range: tuple[float, float] = option((0.0, 1.0), "on the circle of hues, 0 = red")
  background_hue: bool = option(True, "the background's hue varies")
  background_hue_range: tuple[float, float] = option((0.0, 1.0), "on the circle of hues, 0 = red")
  position: bool = option(True, "the figure's place varies")
  position_range: tuple[float, float] = option((0.0, 1.0), "0: left or top, 1: right or bottom")
  scale: bool = option(True, "the figure's size varies")
  scale_range: tuple[float, float] = option((0.22, 0.4), "radius in units of the image's side")
  rotation: bool = option(True, "the figure is turned")
  rotations: tuple[int, ...] = option((0, 1, 2, 3), "quarter turns, counter-clockwise")
  texture: bool = option(False, "the background's texture varies (learning gets much harder)")
  textures: tuple[str, ...] = option(TEXTURES, "patterns; the first one if texture is off")
  texture_contrast: float = option(0.12, "luma of a pattern, plus and minus")
  polarity: bool = option(False, "half of the figures are the darker part (much harder)")
  light: tuple[float, float] = option((0.3, 0.7), "luma of the darker and the lighter part")
  lighting: bool = option(False, "the light on the whole image varies")
  lighting_range: tuple[float, float] = option((0.4, 1.0), "what it multiplies the colours by")
  colorfulness: float = option(0.3, "strength of the hues, 0 = grey")
  noise: int = option(4, "levels of 255 that a pixel is changed by; makes every image unique")


class Shapes:
  """One split, drawn when asked for."""

  def __init__(self, split: str, options: Options):
    self.options = options
    self._split = SPLITS.index(split)
    self._n = options.num_train if split == "train" else options.num_test
    self.native_size_px = options.size_px
    self.values = draw(options, self._split, self._n)
    self.factors, self.factor_names = _factors(options, self.values)
    # Small sets are drawn at once, which is three times as fast as one by one.
    small = self._n * options.size_px**2 <= _PIXELS_KEPT
    self._drawn = self.images(np.arange(self._n)) if small else None
    self.labels = self.factors[options.label]
    self.label_names = self.factor_names[options.label]
    self.num_classes = len(self.label_names)

  def __len__(self) -> int:
    return self._n

  def __getitem__(self, index: int) -> Example:
    image = self.images([index])[0] if self._drawn is None else self._drawn[index]
    return {"image": image, "label": int(self.labels[index]), "index": index}

  def images(self, indices) -> np.ndarray:
    """Draws images [b] -> uint8 [b, S, S, 3]; many at once cost less than one by one."""
    return render(
      self.options,
      self._split,
      np.asarray(indices),
      {k: v[indices] for k, v in self.values.items()},
    )


def build(split: str, options: Options) -> Shapes:
  """Opens "train", "validation" or "test". Raises UserError for a value out of range."""
  _check(split, options)
  return Shapes(split, options)


def draw(options: Options, split: int, n: int) -> dict[str, np.ndarray]:
  """Draws the factors of the first n images: float or int [n] each."""
  bits = np.random.Philox(key=[options.seed, split], counter=[0, 0, 0, 1]).random_raw(n * _COLUMNS)
  column = iter((bits.reshape(n, _COLUMNS) >> np.uint64(11)).T * 2.0**-53)  # uniform in [0, 1)

  def between(low, high, on):
    return low + (high - low) * np.where(on, next(column), 0.5)

  def one_of(count, on):
    return np.floor(count * next(column)).astype(int) * on

  o = options
  return {
    "shape": one_of(len(o.shapes), True),
    "rotation": one_of(len(o.rotations), o.rotation),
    "hue": between(*o.hue_range, o.hue) % 1.0,
    "background_hue": between(*o.background_hue_range, o.background_hue) % 1.0,
    "x": between(*o.position_range, o.position),
    "y": between(*o.position_range, o.position),
    "scale": between(*o.scale_range, o.scale),
    "texture": one_of(len(o.textures), o.texture),
    "polarity": one_of(2, o.polarity),
    "phase": between(0.0, 1.0, True),  # where the texture begins
    "lighting": np.where(o.lighting, between(*o.lighting_range, True), 1.0),
  }


def _factors(options: Options, values):
  """Integer labels [n] and class names of every factor; continuous ones in equal bins."""

  def binned(value, low, high, bins):
    width = (high - low) / bins
    labels = np.clip((value - low) // (width or 1), 0, bins - 1).astype(int)
    return labels, tuple(f"{low + i * width:.3g}..{low + (i + 1) * width:.3g}" for i in range(bins))

  def named(value, names):
    return value, tuple(str(name) for name in names)

  both = {
    "shape": named(values["shape"], options.shapes),
    "rotation": named(values["rotation"], options.rotations),
    "hue": binned(values["hue"], 0.0, 1.0, _HUE_BINS),
    "background_hue": binned(values["background_hue"], 0.0, 1.0, _HUE_BINS),
    "x": binned(values["x"], 0.0, 1.0, _POSITION_BINS),
    "y": binned(values["y"], 0.0, 1.0, _POSITION_BINS),
    "scale": binned(values["scale"], *options.scale_range, _SCALE_BINS),
    "texture": named(values["texture"], options.textures),
    "polarity": named(values["polarity"], ("lighter", "darker")),
    "lighting": binned(values["lighting"], *options.lighting_range, _LIGHTING_BINS),
  }
  return {k: labels.astype(np.int32) for k, (labels, _) in both.items()}, {
    k: n for k, (_, n) in both.items()
  }


def render(
  options: Options, split: int, indices: np.ndarray, values: dict[str, np.ndarray]
) -> np.ndarray:
  """Draws images with the given factors: values [b] each -> uint8 [b, S, S, 3]."""
  size = options.size_px
  out = np.empty((len(indices), size, size, 3), np.uint8)
  step = max(1, _PIXELS_AT_ONCE // size**2)
  for start in range(0, len(indices), step):
    part = slice(start, start + step)
    out[part] = _render(options, split, indices[part], {k: v[part] for k, v in values.items()})
  return out


def _render(options, split, indices, values):
  figure = _figure(options, values)[..., None]
  texture = options.texture_contrast * _texture(options, values)[..., None]
  luma = np.sort(np.asarray(options.light, np.float32))
  darker = values["polarity"]  # 0: the figure is the lighter of the two
  front = _color(values["hue"], luma[1 - darker], options.colorfulness)[:, None, None]
  back = (
    _color(values["background_hue"], luma[darker], options.colorfulness)[:, None, None] + texture
  )
  image = 255 * (back + figure * (front - back))
  image *= values["lighting"].astype(np.float32)[:, None, None, None]  # keeps hue and saturation
  if options.noise:
    image += _noise(options, split, indices)
  return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _figure(options, values):
  """How much of each pixel the figure covers: float32 [b, S, S] in [0, 1]."""
  size = options.size_px
  radius = values["scale"].astype(np.float32)[:, None, None]
  x, y = (values[k].astype(np.float32)[:, None, None] for k in "xy")
  grid = (np.arange(size, dtype=np.float32) + 0.5) / size
  u = (grid[None, None, :] - (radius + x * (1 - 2 * radius))) / radius
  v = -(grid[None, :, None] - (radius + y * (1 - 2 * radius))) / radius
  u, v = np.broadcast_arrays(u, v)
  turns = np.asarray(options.rotations)[values["rotation"]] % 4
  distance = np.empty(u.shape, np.float32)
  for shape, turn in sorted(set(zip(values["shape"].tolist(), turns.tolist(), strict=True))):
    rows = (values["shape"] == shape) & (turns == turn)
    right, up = u[rows], v[rows]
    right, up = ((right, up), (up, -right), (-right, -up), (-up, right))[turn]  # undo the rotation
    distance[rows] = getattr(glyphs, options.shapes[shape])(right, up)
  return np.clip(0.5 - distance * radius * size, 0, 1)


def _texture(options, values):
  """A pattern of -1 and 1 (waves: between) with five periods to a side: float32 [b, S, S]."""
  grid = 5 * (np.arange(options.size_px, dtype=np.float32) + 0.5) / options.size_px
  across, down = np.meshgrid(grid, grid)
  out = np.zeros((len(values["phase"]), *across.shape), np.float32)
  for number, name in enumerate(options.textures):
    rows = values["texture"] == number
    if name == "plain" or not rows.any():
      continue
    phase = values["phase"][rows].astype(np.float32)[:, None, None]
    square_down, square_across = (np.where((g + phase) % 1 < 0.5, 1, -1) for g in (down, across))
    out[rows] = {
      "stripes": square_down,
      "bars": square_across,
      "checks": square_down * square_across,
      "waves": np.sin(2 * np.pi * (across + down + phase)),
    }[name]
  return out


def _color(hue, luma, colorfulness):
  """RGB [b, 3] of exactly this luma and this HSV hue (which scaling and shifting leave alone)."""
  pure = np.clip(abs((6 * hue[:, None] + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1).astype(np.float32)
  return luma[:, None] + colorfulness * (pure - pure @ _LUMA[:, None])


def _noise(options, split, indices):
  shape = (options.size_px, options.size_px, 3)
  words = -(-np.prod(shape) // 8)
  out = np.empty((len(indices), *shape), np.float32)
  for row, index in zip(out, indices, strict=True):
    bits = np.random.Philox(key=[options.seed, split], counter=[0, index, 0, 2]).random_raw(words)
    row[...] = bits.astype("<u8").view(np.uint8)[: row.size].reshape(shape) % (
      2 * options.noise + 1
    )
  return out - options.noise


def _check(split: str, options: Options) -> None:
  o = options
  count = o.num_train if split == "train" else o.num_test
  unknown = [name for name in o.shapes if name not in glyphs.NAMES]
  unknown_textures = [name for name in o.textures if name not in TEXTURES]
  room = 0.886 * o.colorfulness  # the purest blue or yellow lies so far from its luma
  problems = (
    (split not in SPLITS, f"no split {split!r} of shapes; there are {', '.join(SPLITS)}"),
    (count < 1, f"shapes {split} has {count} images; set num_train and num_test to at least 1"),
    (o.size_px < 8, f"shapes size_px {o.size_px} is too small for a figure; use at least 8"),
    (not 0 <= o.seed < 2**64, f"shapes seed {o.seed} is outside 0..2^64 - 1; use e.g. 0"),
    (not o.shapes or unknown, f"no shape {unknown}; there are {', '.join(glyphs.NAMES)}"),
    (
      not o.textures or unknown_textures,
      f"no texture {unknown_textures}; there are {', '.join(TEXTURES)}",
    ),
    (
      o.label not in FACTORS,
      f"shapes have no factor {o.label!r}; label is one of {', '.join(FACTORS)}",
    ),
    (not o.rotations, "shapes rotations is empty; give quarter turns such as (0, 1, 2, 3)"),
    (
      not 0 < o.scale_range[0] <= o.scale_range[1] <= 0.5,
      f"shapes scale_range {o.scale_range} is not low, high within 0..0.5 of the image's side",
    ),
    (
      not 0 <= o.position_range[0] <= o.position_range[1] <= 1,
      f"shapes position_range {o.position_range} is not low, high within 0..1",
    ),
    (
      o.colorfulness < 0 or min(o.light) < room or max(o.light) > 1 - room,
      f"shapes light {o.light} with colorfulness {o.colorfulness} leaves 0..1;"
      f" keep light within {room:.3g}..{1 - room:.3g}, or lower colorfulness",
    ),
    (
      not 0 < o.lighting_range[0] <= o.lighting_range[1] <= 1,
      f"shapes lighting_range {o.lighting_range} is not low, high within 0..1, 0 left out",
    ),
    (not 0 <= o.noise <= 127, f"shapes noise {o.noise} is outside 0..127 levels"),
  )
  for wrong, message in problems:
    if wrong:
      raise errors.UserError(message)
