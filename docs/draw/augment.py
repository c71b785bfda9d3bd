"""Draws the pictures of docs/augmentation.md: each recipe's views of one image, and the operations.

  python docs/draw/augment.py              # all, into docs/pictures/augment
  python docs/draw/augment.py swav byol    # some recipes

Views are those of training and not chosen: seed 0, the first epoch, the image taken as number 0, 1,
2 and so on of a data set.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import scene
from PIL import Image, ImageDraw, ImageFont

from contrastive_jax import augment, keys
from contrastive_jax.augment import color, crop, filters, geometry

PICTURES = pathlib.Path(__file__).resolve().parent.parent / "pictures" / "augment"
SIZE_PX = 80  # of a view
GAP_PX = 2
STEP = 8  # of the levels of a picture's pixels
MULTI_CROP = ("swav", "dino")
ORIGINAL = scene.draw()

_VIEWS, _LOCAL_VIEWS = 8, 18  # in a row
_OPERATION_PX = 108
_LABEL_PX = 18
_KEY = 5  # draws a crop on the house and a jitter that neither whitens nor blackens
_FAMILY_KEY = 3  # draws a brightness far from 1, in which the families differ most


def main(names):
  PICTURES.mkdir(parents=True, exist_ok=True)
  for name in names or augment.NAMES:
    Image.fromarray(coarse(recipe(name))).save(PICTURES / f"{name}.png", optimize=True)
  if not names:
    Image.fromarray(ORIGINAL).save(PICTURES / "original.png", optimize=True)
    colors, others = operations()
    Image.fromarray(coarse(colors)).save(PICTURES / "color.png", optimize=True)
    # 256 colours: with more of them the noise alone would take 100 kB.
    others = Image.fromarray(others).quantize(256)
    others.save(PICTURES / "operations.png", optimize=True)


def recipe(name: str) -> np.ndarray:
  """Returns the picture of a recipe, uint8 [height, width, 3].

  On the left the original, then views: a row, or one of first and one of second views where the two
  differ; below, where there are any, local views.
  """
  built = augment.recipe(name, SIZE_PX, local_views=int(name in MULTI_CROP))
  views = _views(built, "views", _VIEWS)
  if built.views[0] == built.views[1]:
    views = views[:, :1]
  rows = [augment.grid(jnp.swapaxes(views, 0, 1), built, GAP_PX)]
  if built.local:
    local = _views(built.local, "local_views", _LOCAL_VIEWS)
    rows.append(augment.grid(jnp.swapaxes(local, 0, 1), built.local, GAP_PX))
  return _beside(original(), _stacked(rows))


def original() -> np.ndarray:
  """Returns the original at the size of a view, uint8."""
  whole = crop.Whole(SIZE_PX)
  extent, image = jnp.asarray(ORIGINAL.shape[:2]), augment.to_float(jnp.asarray(ORIGINAL))
  return augment.grid(whole.apply(whole.sample(None, extent), image)[None, None])


def coarse(picture: np.ndarray) -> np.ndarray:
  """Rounds to multiples of `STEP`: a PNG of half the size, and no difference to the eye."""
  rounded = STEP * np.rint(picture / STEP)
  return np.where(picture == 255, 255, np.minimum(rounded, 255)).astype(np.uint8)


def operations() -> tuple[np.ndarray, np.ndarray]:
  """Returns labelled pictures of operations on colour and of others, three strengths each."""
  image = augment.to_float(jnp.asarray(scene.draw(_OPERATION_PX)))
  large = augment.to_float(jnp.asarray(ORIGINAL))
  extent = jnp.asarray(large.shape[:2])

  def drawn(operation, seed=_KEY, **given):  # what is drawn, but acting and some amounts given
    source = large if isinstance(operation, crop.ResizedCrop) else image
    params = operation.sample(jax.random.key(seed), extent) | given
    return operation.apply(params | ({"on": True} if "on" in params else {}), source)

  def jitter(strength):  # SimCLR's figures
    amounts = (strength * x for x in (0.8, 0.8, 0.8, 0.2))
    return drawn(color.Jitter(*amounts, family="simclr_v2"))

  def of_family(name):
    return drawn(color.Jitter(0.4, 0.4, 0.4, 0.0, family=name), _FAMILY_KEY)

  def hue(turn):
    still = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": turn}
    return drawn(color.Jitter(0, 0, 0, turn), **still)

  def cut(area):
    return drawn(crop.ResizedCrop(_OPERATION_PX, min_area=area, max_area=area))

  return (
    _labelled(
      [(f"color_strength {s}", jitter(s)) for s in (0.25, 0.5, 1)],
      [(f"hue, a turn of {turn}", hue(turn)) for turn in (0.1, 0.25, 0.5)],
      [(name, of_family(name)) for name in color.JITTER_FAMILIES],
      [(f"solarise from {t}", drawn(color.Solarize(threshold=t))) for t in (0.75, 0.5, 0.25)],
    ),
    _labelled(
      [(f"crop, area {area}", cut(area)) for area in (0.08, 0.25, 0.6)],
      [(f"turn by {90 * n}°", drawn(geometry.Rotate(), turns=n)) for n in (1, 2, 3)],
      [(f"blur, {s} px", drawn(filters.Blur(), sigma_px=s)) for s in (0.5, 1.0, 2.0)],
      [(f"noise, std {s}", drawn(filters.Noise(std=s))) for s in (0.05, 0.1, 0.2)],
      [(f"cutout, side {s}", drawn(geometry.Cutout(side=s))) for s in (0.25, 0.5, 0.75)],
      [
        ("flip", drawn(geometry.Flip())),
        ("grey", drawn(color.Grey())),
        ("sobel", drawn(filters.Sobel())),
      ],
    ),
  )


def _views(built, stream, count):
  """Returns views [count, V, H, H, 3] of the original as image 0 to count - 1 of a set."""
  image = np.broadcast_to(ORIGINAL, (count, *ORIGINAL.shape))
  extent = np.full((count, 2), image.shape[1], np.int32)
  draw = jax.jit(lambda *images: augment.views(built, keys.stream(0, stream), 0, *images))
  return draw(image, extent, np.arange(count))


def _labelled(*groups):
  """Returns one picture of groups of three labelled images, two groups in a row."""
  drawn = [_beside(*(_tile(label, image) for label, image in group)) for group in groups]
  rows = [_beside(*drawn[i : i + 2], gap_px=12) for i in range(0, len(drawn), 2)]
  return _stacked(rows, gap_px=6)


def _tile(label, image):
  canvas = Image.new("RGB", (_OPERATION_PX, _OPERATION_PX + _LABEL_PX), "white")
  canvas.paste(Image.fromarray(augment.grid(np.asarray(image)[None, None])))
  place = (_OPERATION_PX // 2, _OPERATION_PX + _LABEL_PX - 5)
  font = ImageFont.load_default(11)
  ImageDraw.Draw(canvas).text(place, label, "black", font, anchor="ms")
  return np.asarray(canvas)


def _beside(*pictures, gap_px=GAP_PX):
  turned = [picture.swapaxes(0, 1) for picture in pictures]
  return _stacked(turned, gap_px).swapaxes(0, 1)


def _stacked(pictures, gap_px=GAP_PX):
  """Returns pictures below each other, white where there is none."""
  width = max(picture.shape[1] for picture in pictures)
  padded = [
    np.pad(p, ((0, gap_px), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in pictures
  ]
  return np.concatenate(padded)[:-gap_px]


if __name__ == "__main__":
  main(sys.argv[1:])
