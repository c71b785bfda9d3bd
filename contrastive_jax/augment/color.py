"""Operations on colour: jitter in the two families of definitions, grey, solarisation.

The families agree in name only. In TensorFlow's, contrast moves around the mean of each channel and
saturation scales S of HSV; in torchvision's, contrast moves around the mean of the grey image and
saturation blends with it. SimCLR's first code adds to the brightness, its second multiplies.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from contrastive_jax.augment import draw

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601
_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)
_TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class Jitter:
  """With probability `p`, jitters brightness, contrast, saturation and hue in a random order.

  Values are clipped to [0, 1] after each of the four. Strengths b, c, s draw factors from
  U(max(0, 1 - b), 1 + b), with `family` "simclr_v1" brightness is instead shifted by U(-b, b); hue
  turns by U(-h, h) of the circle.

  Hue costs as much as the rest, so it is computed once: three slots for the other operations come
  before it and three after, and a slot that the drawn order leaves empty is the exact identity.
  """

  brightness: float
  contrast: float
  saturation: float
  hue: float
  p: float = 0.8
  family: str = "torchvision"

  def sample(self, key: PRNGKeyArray, extent: Int[Array, "2"]) -> dict[str, Array]:
    """Returns on, order (int32 [4]: 0 = b, 1 = c, 2 = s, 3 = h) and the four amounts."""
    del extent
    u = draw.uniform(key, 9)
    centred = 2 * u[:4] - 1
    if self.family == "simclr_v1":
      brightness = self.brightness * centred[_BRIGHTNESS]
    else:
      brightness = _factor(u[_BRIGHTNESS], self.brightness)
    return {
      "on": u[4] < self.p,
      "order": jnp.argsort(u[5:]).astype(jnp.int32),
      "brightness": brightness,
      "contrast": _factor(u[_CONTRAST], self.contrast),
      "saturation": _factor(u[_SATURATION], self.saturation),
      "hue": self.hue * centred[_HUE],
    }

  def apply(self, params: dict[str, Array], image: Float[Array, "H W 3"]) -> Float[Array, "H W 3"]:
    order = params["order"]
    step = jnp.arange(4)
    hue_step = jnp.sum(jnp.where(order == _HUE, step, 0))
    before = jnp.where(step < hue_step, order, _HUE)[:3]  # kind _HUE leaves a slot empty
    after = jnp.where(step > hue_step, order, _HUE)[1:]
    amounts = tuple(params[name] for name in ("brightness", "contrast", "saturation"))

    def slot(planes, kind):
      return _SLOTS[self.family](planes, kind, amounts), None

    planes = tuple(image[..., c] for c in range(3))
    planes, _ = jax.lax.scan(slot, planes, before)
    planes = turn_hue(planes, params["hue"])
    planes, _ = jax.lax.scan(slot, planes, after)
    return jnp.where(params["on"], jnp.stack(planes, axis=-1), image)


@dataclasses.dataclass(frozen=True)
class Grey:
  """With probability `p`, copies the luminance to the three channels."""

  p: float = 0.2

  def sample(self, key: PRNGKeyArray, extent: Int[Array, "2"]) -> dict[str, Array]:
    del extent
    return {"on": draw.uniform(key, 1)[0] < self.p}

  def apply(self, params: dict[str, Array], image: Float[Array, "H W 3"]) -> Float[Array, "H W 3"]:
    grey = luminance(tuple(image[..., c] for c in range(3)))
    return jnp.where(params["on"], grey[..., None], image)


@dataclasses.dataclass(frozen=True)
class Solarize:
  """With probability `p`, inverts the values of `threshold` and above."""

  p: float = 0.2
  threshold: float = 0.5  # between the 8-bit values 127 and 128, so both families invert the same

  def sample(self, key: PRNGKeyArray, extent: Int[Array, "2"]) -> dict[str, Array]:
    del extent
    return {"on": draw.uniform(key, 1)[0] < self.p}

  def apply(self, params: dict[str, Array], image: Float[Array, "H W 3"]) -> Float[Array, "H W 3"]:
    return jnp.where(params["on"] & (image >= self.threshold), 1.0 - image, image)


Planes = tuple[Float[Array, "H W"], Float[Array, "H W"], Float[Array, "H W"]]  # red, green, blue


def luminance(planes: Planes) -> Float[Array, "H W"]:
  """Returns the grey image of three planes."""
  return sum(weight * plane for weight, plane in zip(_LUMINANCE, planes, strict=True))


def turn_hue(planes: Planes, turn: Float[Array, ""]) -> Planes:
  """Turns the hue by `turn` of the circle, with saturation and value of HSV unchanged.

  Hue is kept in sixths of the circle and the way back needs no saturation: channel = min + chroma *
  ramp(hue). That leaves one division and one floor a pixel.
  """
  red, green, blue = planes
  value = jnp.maximum(jnp.maximum(red, green), blue)
  least = jnp.minimum(jnp.minimum(red, green), blue)
  chroma = value - least
  scale = 1.0 / jnp.where(chroma > 0, chroma, 1.0)
  hue = jnp.where(value == green, 2.0 + (blue - red) * scale, 4.0 + (red - green) * scale)
  hue = jnp.where(value == red, (green - blue) * scale, hue) + 6.0 * turn
  hue = hue - 6.0 * jnp.floor(hue / 6.0)
  ramps = (jnp.abs(hue - 3.0) - 1.0, 2.0 - jnp.abs(hue - 2.0), 2.0 - jnp.abs(hue - 4.0))
  return tuple(least + chroma * _clip(ramp) for ramp in ramps)


def _torchvision_slot(planes: Planes, kind, amounts) -> Planes:
  """Applies brightness, contrast or saturation, as `kind` says; any other kind is the identity.

  All three are blends, factor * image + (1 - factor) * reference, with black, the mean of the grey
  image, or the grey image.
  """
  factor = _select(kind, amounts)
  grey = luminance(planes)
  pixelwise = jnp.where(kind == _SATURATION, 1.0 - factor, 0.0)
  constant = jnp.where(kind == _CONTRAST, 1.0 - factor, 0.0) * grey.mean()
  added = pixelwise * grey + constant
  return tuple(_clip(factor * plane + added) for plane in planes)


def _tf_slot(planes: Planes, kind, amounts) -> Planes:
  """The same for TensorFlow's definitions.

  To scale S of HSV by f is to blend each pixel with its largest channel V by f, where f may not
  exceed V / (V - least channel), at which S reaches 1.
  """
  factor = _select(kind, amounts)
  value = jnp.maximum(jnp.maximum(planes[0], planes[1]), planes[2])
  least = jnp.minimum(jnp.minimum(planes[0], planes[1]), planes[2])
  most = value / jnp.maximum(value - least, _TINY)
  scale = jnp.where(kind == _SATURATION, jnp.minimum(factor, most), factor)
  pixelwise = jnp.where(kind == _SATURATION, 1.0 - scale, 0.0) * value
  constant = jnp.where(kind == _CONTRAST, 1.0 - factor, 0.0)
  return tuple(_clip(scale * plane + (pixelwise + constant * plane.mean())) for plane in planes)


def _tf_additive_slot(planes: Planes, kind, amounts) -> Planes:
  """TensorFlow's definitions with brightness added."""
  shift = jnp.where(kind == _BRIGHTNESS, amounts[_BRIGHTNESS], 0.0)
  multiplied = _tf_slot(planes, kind, (1.0, *amounts[1:]))
  return tuple(_clip(plane + shift) for plane in multiplied)


_SLOTS = {
  "simclr_v1": _tf_additive_slot,
  "simclr_v2": _tf_slot,
  "torchvision": _torchvision_slot,
}
JITTER_FAMILIES = tuple(_SLOTS)


def _factor(u, strength):
  low = max(0.0, 1.0 - strength)
  return low + u * (1.0 + strength - low)


def _select(kind, amounts):
  """Returns the amount of this kind, 1 for any other kind."""
  selected = 1.0
  for i, amount in enumerate(amounts):
    selected = jnp.where(kind == i, amount, selected)
  return selected


def _clip(x):
  return jnp.minimum(jnp.maximum(x, 0.0), 1.0)
