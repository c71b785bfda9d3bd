"""Operations that move or hide pixels of a square view: flip, right-angle rotation, cutout.

Every operation of this package is a frozen dataclass with two methods:

  sample(key, extent) -> params   a dict of arrays; extent: valid height, width of the source image
  apply(params, image) -> image   deterministic; image float32 [H, W, 3] in [0, 1]

so one drawing can be applied to several views. `params["on"]` says whether the operation acts.
"""

import dataclasses

import dm_pix as pix
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from contrastive_jax.augment import draw


@dataclasses.dataclass(frozen=True)
class Flip:
  """Mirrors left and right with probability `p`."""

  p: float = 0.5

  def sample(self, key: PRNGKeyArray, extent: Int[Array, "2"]) -> dict[str, Array]:
    del extent
    return {"on": draw.uniform(key, 1)[0] < self.p}

  def apply(self, params: dict[str, Array], image: Float[Array, "H W C"]) -> Float[Array, "H W C"]:
    return jnp.where(params["on"], pix.flip_left_right(image), image)


@dataclasses.dataclass(frozen=True)
class Rotate:
  """With probability `p`, turns counter-clockwise by 0, 90, 180 or 270 degrees, equally likely.

  A quarter turn and a half turn, each a selection between two static layouts: no gather, no
  interpolation. With p = 1 this is the rotation factor of LooC (Xiao et al., 2021, section 4).
  """

  p: float = 1.0

  def sample(self, key: PRNGKeyArray, extent: Int[Array, "2"]) -> dict[str, Array]:
    del extent
    u = draw.uniform(key, 2)
    turns = jnp.minimum(jnp.floor(4 * u[1]), 3).astype(jnp.int32)
    return {"on": u[0] < self.p, "turns": turns}

  def apply(self, params: dict[str, Array], image: Float[Array, "H H C"]) -> Float[Array, "H H C"]:
    turns = jnp.where(params["on"], params["turns"], 0)
    image = jnp.where(turns % 2 == 1, pix.rot90(image), image)
    return jnp.where(turns >= 2, pix.rot90(image, 2), image)


@dataclasses.dataclass(frozen=True)
class Cutout:
  """With probability `p`, paints a square grey (DeVries & Taylor, arXiv:1708.04552).

  The centre of the square is uniform over the pixels, so part of it may lie outside the view.
  """

  p: float = 1.0
  side: float = 0.5  # of the view's side: 16 px of 32 on CIFAR-10, section 4.1
  fill: float = 0.5  # the paper fills with the data mean

  def sample(self, key: PRNGKeyArray, extent: Int[Array, "2"]) -> dict[str, Array]:
    del extent
    u = draw.uniform(key, 3)
    return {"on": u[0] < self.p, "centre": u[1:]}  # as a fraction of the view

  def apply(self, params: dict[str, Array], image: Float[Array, "H W C"]) -> Float[Array, "H W C"]:
    rows, columns = (self._hidden(params["centre"][i], image.shape[i]) for i in range(2))
    hidden = rows[:, None] & columns[None, :] & params["on"]
    return jnp.where(hidden[:, :, None], self.fill, image)

  def _hidden(self, centre, size_px):
    half = int(self.side * size_px) // 2
    centre_px = jnp.minimum(jnp.floor(centre * size_px), size_px - 1)
    pixel = jnp.arange(size_px)
    return (pixel >= centre_px - half) & (pixel < centre_px + half)
