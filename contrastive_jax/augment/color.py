"""Operations on colour: jitter in the two families of definitions, grey, solarisation.

The families agree in name only. In TensorFlow's, contrast moves around the mean of each channel and
saturation scales S of HSV; in torchvision's, contrast moves around the mean of the grey image and
saturation blends with it. SimCLR's first code adds to the brightness, its second multiplies.

What dm-pix defines alike is called from there: all of TensorFlow's but the multiplied brightness,
the hue of both, solarisation. Its grey weights red by 0.2989, a ten-thousandth less than here.
"""

import dataclasses
import functools

import dm_pix as pix
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from contrastive_jax.augment import draw

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601
_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)
_CHANNELS = -3  # axis; of whole planes dm-pix's hue takes 0.6 of the CPU time of interleaved pixels


@dataclasses.dataclass(frozen=True)
class Jitter:
  """With probability `p`, jitters brightness, contrast, saturation and hue in a random order.

  Values are clipped to [0, 1] after each of the four. Strengths b, c, s draw factors from
  U(max(0, 1 - b), 1 + b), with `family` "simclr_v1" brightness is instead shifted by U(-b, b); hue
  turns by U(-h, h) of the circle.
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
    planes = _FAMILIES[self.family](params, jnp.moveaxis(image, -1, 0))
    return jnp.where(params["on"], jnp.moveaxis(planes, 0, -1), image)


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
    return pix.solarize(image, jnp.where(params["on"], self.threshold, jnp.inf))


def luminance(planes: Float[Array, "3 H W"]) -> Float[Array, "H W"]:
  """Returns the grey image of red, green and blue."""
  return sum(weight * plane for weight, plane in zip(_LUMINANCE, planes, strict=True))


def _tensorflow(brighten, same, params, planes: Float[Array, "3 H W"]) -> Float[Array, "3 H W"]:
  """Applies TensorFlow's four operations in the drawn order.

  Under vmap a branch is computed for every image, so none is taken: an operation stands wherever
  the order can put it and gets an amount that changes nothing in all places but one. Hue and
  saturation, which take a way through HSV, have two places, for whichever is first and second;
  before, between and after them are brightness, contrast and brightness again.

  Args:
    brighten: of planes and an amount.
    same: the amount with which `brighten` changes nothing.
    params: what `Jitter.sample` returns.
    planes: in [0, 1].
  """
  brightness, contrast, saturation, hue = (_place(params["order"], kind) for kind in range(4))
  first, second = jnp.minimum(hue, saturation), jnp.maximum(hue, saturation)

  def between(planes, low, high):
    bright = (low < brightness) & (brightness < high)
    amount = jnp.where(bright & (brightness < contrast), params["brightness"], same)
    planes = _clip(brighten(planes, amount))
    amount = jnp.where((low < contrast) & (contrast < high), params["contrast"], 1.0)
    planes = _clip(pix.adjust_contrast(planes, amount, channel_axis=_CHANNELS))
    amount = jnp.where(bright & (brightness > contrast), params["brightness"], same)
    return _clip(brighten(planes, amount))

  def step(planes, here):
    h, s, v = pix.rgb_to_hsv(planes, channel_axis=_CHANNELS)
    h = h + jnp.where(hue == here, params["hue"], 0.0)
    s = _clip(s * jnp.where(saturation == here, params["saturation"], 1.0))
    planes = _clip(pix.hsv_to_rgb(jnp.stack([h, s, v]), channel_axis=_CHANNELS))
    return between(planes, here, jnp.where(here == first, second, 4)), None

  # A scan stores what it carries. Right after contrast XLA may compute a channel twice, rounded in
  # two ways; then the largest equals none of the three, and the hue is wrong
  # (findings/hue_after_contrast.sh).
  planes, _ = jax.lax.scan(step, between(planes, -1, first), jnp.stack([first, second]))
  return planes


def _torchvision(params, planes: Float[Array, "3 H W"]) -> Float[Array, "3 H W"]:
  """Applies torchvision's four operations in the drawn order.

  Hue costs as much as the rest, so it is computed once: three slots for the other operations come
  before it and three after, and a slot that the drawn order leaves empty is the exact identity.
  """
  order, step = params["order"], jnp.arange(4)
  hue_step = _place(order, _HUE)
  before = jnp.where(step < hue_step, order, _HUE)[:3]  # kind _HUE leaves a slot empty
  after = jnp.where(step > hue_step, order, _HUE)[1:]
  amounts = tuple(params[name] for name in ("brightness", "contrast", "saturation"))

  def slot(planes, kind):
    return _blend(planes, kind, amounts), None

  planes, _ = jax.lax.scan(slot, planes, before)
  planes = _clip(pix.adjust_hue(planes, params["hue"], channel_axis=_CHANNELS))
  planes, _ = jax.lax.scan(slot, planes, after)
  return planes


def _blend(planes, kind, amounts):
  """Applies brightness, contrast or saturation, as `kind` says; any other kind is the identity.

  All three are blends, factor * image + (1 - factor) * reference, with black, the mean of the grey
  image, or the grey image.
  """
  factor = _select(kind, amounts)
  grey = luminance(planes)
  pixelwise = jnp.where(kind == _SATURATION, 1.0 - factor, 0.0)
  constant = jnp.where(kind == _CONTRAST, 1.0 - factor, 0.0) * grey.mean()
  return _clip(factor * planes + (pixelwise * grey + constant))


_FAMILIES = {
  "simclr_v1": functools.partial(_tensorflow, pix.adjust_brightness, 0.0),
  "simclr_v2": functools.partial(_tensorflow, jnp.multiply, 1.0),
  "torchvision": _torchvision,
}
JITTER_FAMILIES = tuple(_FAMILIES)


def _place(order, kind):
  """Returns at which of the four steps an operation comes, without a gather."""
  return jnp.sum(jnp.where(order == kind, jnp.arange(4), 0))


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
