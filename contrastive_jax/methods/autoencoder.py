"""Autoencoder: h must suffice to paint the view again, at a fixed small resolution.

The generative baseline: mean squared error between the decoder's picture and the view (Hinton and
Salakhutdinov, Science 2006, with a convolutional encoder and decoder).
"""

import dataclasses

import jax
import jax.numpy as jnp

from contrastive_jax import augment, errors
from contrastive_jax.methods import base
from contrastive_jax.models.decoder import Decoder
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import option


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of the decoder."""

  any_views = True
  num_views = 1

  resolution: int = option(32, "side of the picture that is painted: 4 times a power of two")
  decoder_width: int = option(256, "channels of the decoder at 4x4 pixels")

  def network(self, backbone):
    decoder = Decoder(self.resolution, self.decoder_width, bn_groups=backbone.bn_groups)
    return Network(backbone, (Head("picture", decoder),))

  def init_memory(self, net, variables, task, key):
    check_channels(task)
    return {}

  def loss(self, net, params, stats, memory, batch, key):
    del memory, key
    views = augment.made(batch["views"])
    ends, stats = base.forward(net, params, stats, views)
    loss = jnp.mean((ends["picture"] - shrunk(views, self.resolution)) ** 2)
    return loss, base.Aux(stats, {}, {"h": ends["h"]})


def check_channels(task: base.Task) -> None:
  """Raises `UserError` unless views are of the three channels that the decoder paints."""
  if task.channels != 3:
    raise errors.UserError(
      f"data.channels {task.channels}: this method paints red, green and blue; use 3, or a method "
      "that paints nothing"
    )


def shrunk(views, resolution):
  """Returns views [B, V, H, H, C] at `resolution` pixels, averaged where pixels are lost."""
  shape = (*views.shape[:2], resolution, resolution, views.shape[-1])
  return jax.image.resize(views, shape, "linear")
