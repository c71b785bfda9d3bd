"""Context encoder: Pathak et al., "Context Encoders: Feature Learning by Inpainting" (CVPR 2016).

A square of the view is hidden and painted from h: the reconstruction loss (eq. 1) without the
adversarial one, over the hole alone (the paper also paints a rim of 7 px around it). The hole is in
the middle, or anywhere: for features the paper moves it, so that they do not depend on its edges
(section 3.3).
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from contrastive_jax import augment, errors
from contrastive_jax.methods import autoencoder, base
from contrastive_jax.models.decoder import Decoder
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import option

PLACES = ("centre", "anywhere")


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of the hole and the decoder."""

  any_views = True
  num_views = 1

  hole: float = option(0.5, "side of the hidden square, as a fraction of the view's")
  place: str = option("centre", f"{' or '.join(PLACES)}: of the hidden square")
  resolution: int = option(32, "side of the picture that is painted: 4 times a power of two")
  decoder_width: int = option(256, "channels of the decoder at 4x4 pixels")

  def __post_init__(self):
    if not 0 < self.hole < 1:
      raise errors.UserError(f"method.hole {self.hole} is out of range; use 0 to 1, both excluded")
    if self.place not in PLACES:
      raise errors.UserError(f"method.place {self.place!r} is unknown; use {' or '.join(PLACES)}")

  def network(self, backbone):
    decoder = Decoder(self.resolution, self.decoder_width, bn_groups=backbone.bn_groups)
    return Network(backbone, (Head("picture", decoder),))

  def init_memory(self, net, variables, task, key):
    autoencoder.check_channels(task)
    return {}

  def loss(self, net, params, stats, memory, batch, key):
    del memory
    views = augment.made(batch["views"])
    middle = self.middle(key, batch["index"], views.shape[1])
    hidden = square(views.shape[2], self.hole, middle)
    shown = 1 - hidden
    seen = (views * shown).sum((2, 3), keepdims=True) / shown.sum((2, 3), keepdims=True)
    ends, stats = base.forward(net, params, stats, jnp.where(hidden > 0, seen, views))
    target = autoencoder.shrunk(views, self.resolution)
    weight = square(self.resolution, self.hole, middle)
    error = (ends["picture"] - target) ** 2
    loss = (error * weight).mean() / weight.mean()
    return loss, base.Aux(stats, {}, {"h": ends["h"]})

  def middle(self, key, index, num_views: int) -> Float[Array, "B V 2"]:
    """Returns the middle of each view's hole, as fractions of its height and width."""

    def one(index):
      draw = jax.random.uniform(jax.random.fold_in(key, index), (num_views, 2))
      return 0.5 + (draw - 0.5) * (1 - self.hole) * (self.place == "anywhere")

    return jax.vmap(one)(index)


def square(
  size_px: int, fraction: float, middle: Float[Array, "B V 2"]
) -> Float[Array, "B V S S 1"]:
  """Returns 1 in a square of side `fraction` around `middle`, at least a pixel, 0 elsewhere."""
  half = max(1, round(size_px * fraction)) / 2
  # On a corner or a centre of pixels, as fits the side: all squares have the same number of them.
  first = jnp.round(middle * size_px - half)
  inside = jnp.abs(jnp.arange(size_px) - (first + half - 0.5)[..., None]) < half
  return (inside[:, :, 0, :, None] & inside[:, :, 1, None, :])[..., None].astype(jnp.float32)
