"""Context encoder: Pathak et al., "Context Encoders: Feature Learning by Inpainting" (CVPR 2016).

The middle of the view is hidden and painted from h: the reconstruction loss (eq. 1) without the
adversarial one, over the hole alone (the paper also paints a rim of 7 px around it).
"""

import dataclasses

import jax.numpy as jnp

from contrastive_jax import errors
from contrastive_jax.methods import autoencoder, base
from contrastive_jax.models.decoder import Decoder
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import option


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of the hole and the decoder."""

  any_views = True
  num_views = 1

  hole: float = option(0.5, "side of the hidden square, as a fraction of the view's")
  resolution: int = option(32, "side of the picture that is painted: 4 times a power of two")
  decoder_width: int = option(256, "channels of the decoder at 4x4 pixels")

  def __post_init__(self):
    if not 0 < self.hole < 1:
      raise errors.UserError(f"method.hole {self.hole} is out of range; use 0 to 1, both excluded")

  def network(self, backbone):
    decoder = Decoder(self.resolution, self.decoder_width, backbone.bn_groups)
    return Network(backbone, (Head("picture", decoder),))

  def loss(self, net, params, stats, memory, batch, key):
    del memory, key
    views = batch["views"]
    hidden = square(views.shape[2], self.hole)
    seen = (views * (1 - hidden)).sum((2, 3), keepdims=True) / (1 - hidden).sum((0, 1))
    ends, stats = base.forward(net, params, stats, jnp.where(hidden > 0, seen, views))
    target = autoencoder.shrunk(views, self.resolution)
    weight = square(self.resolution, self.hole)
    error = ((ends["picture"] - target) ** 2).mean((0, 1))  # [R, R, C]
    loss = (error * weight).mean() / weight.mean()
    return loss, base.Aux(stats, {}, {"h": ends["h"]})


def square(size_px: int, fraction: float):
  """Returns float32 [S, S, 1]: 1 in the central square, at least one pixel, and 0 around it."""
  half = max(1, round(size_px * fraction)) / 2
  inside = jnp.abs(jnp.arange(size_px) - (size_px - 1) / 2) < half
  return (inside[:, None] & inside)[..., None].astype(jnp.float32)
