"""From a vector back to a small picture: the other half of an autoencoder."""

import functools

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from contrastive_jax import errors
from contrastive_jax.models import convolution
from contrastive_jax.models import norm as norms

_SEED_PX = 4


class Decoder(nn.Module, norms.Options):
  """A linear map to 4x4 pixels, then [double, 3x3 convolution, batch norm, ReLU] to `resolution`.

  Doubling repeats pixels; a transposed convolution would draw checkerboards (Odena et al., 2016).

  Attributes:
    resolution: side of the picture: 4 times a power of two.
    width: channels at 4x4; each doubling halves them.
  """

  resolution: int = 32
  width: int = 256

  def __post_init__(self):
    doubled = self.resolution // _SEED_PX
    if self.resolution % _SEED_PX or doubled < 1 or doubled & (doubled - 1):
      raise errors.UserError(
        f"decoder resolution {self.resolution} is not 4 times a power of two; use e.g. 32"
      )
    if self.width < 1:
      raise errors.UserError(f"method.decoder_width {self.width} is below 1; use e.g. 256")
    super().__post_init__()

  @nn.compact
  def __call__(
    self, x: Float[Array, "N F"], train: bool
  ) -> tuple[Float[Array, "N R R 3"], tuple[()]]:
    x = nn.Dense(_SEED_PX**2 * self.width, name="seed")(x.astype(jnp.float32))
    x = nn.relu(x.reshape(-1, _SEED_PX, _SEED_PX, self.width))
    width, layer, norm = self.width, 0, self.batch_norm()
    conv = functools.partial(nn.Conv, conv_general_dilated=convolution.convolve)
    while x.shape[1] < self.resolution:
      layer, width = layer + 1, max(width // 2, 8)
      x = x.repeat(2, axis=1).repeat(2, axis=2)
      x = conv(width, (3, 3), use_bias=False, name=f"conv{layer}")(x)
      x = nn.relu(norm(name=f"norm{layer}")(x, train))
    return conv(3, (3, 3), name="to_rgb")(x), ()
