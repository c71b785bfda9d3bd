"""Vision transformers (Dosovitskiy et al., ICLR 2021) as in MoCo v3 (Chen et al., ICCV 2021).

Pre-norm blocks with MLPs of ratio 4, fixed 2-D sine-cosine positions (or learned ones, which most
published weights have), Xavier-uniform layers, and a patch projection that can stay at its random
start. What heads read is the class token after the last LayerNorm.

The named networks are constructors of `ViT` with the size filled in, e.g. `vit_small(patch_px=4)`.
"""

import functools
import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from contrastive_jax import errors
from contrastive_jax.models import blocks, norm, resnet
from contrastive_jax.options import option

__all__ = ["vit_tiny", "vit_small", "vit_base", "vit_large", "deit_small"]


class Block(nn.Module):
  """x + attention(norm(x)), then x + MLP(norm(x)); `width` in and out."""

  heads: int
  dtype: jnp.dtype
  ln_eps: float

  @nn.compact
  def __call__(self, x: Float[Array, "N T C"]) -> Float[Array, "N T C"]:
    norm = functools.partial(nn.LayerNorm, epsilon=self.ln_eps, dtype=self.dtype)
    width = x.shape[-1]
    x = x + self._attention(norm(name="norm1")(x))
    y = _dense(4 * width, self.dtype, "mlp1")(norm(name="norm2")(x))
    return x + _dense(width, self.dtype, "mlp2")(nn.gelu(y, approximate=False))

  def _attention(self, x: Float[Array, "N T C"]) -> Float[Array, "N T C"]:
    """Multi-head self-attention; query, key and value are three layers, each started alone."""
    width = x.shape[-1]

    def project(name):
      y = _dense(width, self.dtype, name)(x)
      return y.reshape(*y.shape[:-1], self.heads, width // self.heads)

    q, k, v = project("query"), project("key"), project("value")
    s = jnp.einsum("nqhc,nkhc->nhqk", q, k, preferred_element_type=jnp.float32)
    weights = nn.softmax(s * (width // self.heads) ** -0.5).astype(self.dtype)
    y = jnp.einsum("nhqk,nkhc->nqhc", weights, v)
    return _dense(width, self.dtype, "out")(y.reshape(x.shape))


class ViT(nn.Module, norm.Options):
  """A vision transformer that returns every block.

  Attributes:
    width: C, features of a token.
    depth: blocks.
    heads: of the attention; they divide the width.
    whole_px: side of the views on whose grid positions are counted; None: its own. The patches of a
      small view (multi-crop) are then spread over the whole of it, not put into its first corner.

  The other fields are the options of a configuration. The transformer has no batch norm: those
  whose names begin with bn_, and `weight_init`, are handed on to the method's heads.
  """

  width: int
  depth: int
  heads: int
  whole_px: int | None = None
  patch_px: int = option(16, "side of a patch (4 suits images of 32 px)")
  frozen_patch_projection: bool = option(
    False, "leave the patch projection at its random start (MoCo v3, section 4.2)"
  )
  positions: str = option(
    "sincos", "sincos (fixed, as MoCo v3) or learned (one vector a patch, as ViT and DINO)"
  )
  ln_eps: float = option(1e-6, "epsilon of LayerNorm (Hugging Face's ViTs have 1e-12)")
  weight_init: str = option("torch", "of the method's heads: simclr, torch or haiku")
  dtype: str = option("float32", "of activations: float32, bfloat16; parameters stay float32")
  remat: bool = option(
    False, "recompute blocks in the backward pass: less memory, more time", identity=False
  )

  def __post_init__(self):
    resnet.check_dtype(self.dtype)
    if self.patch_px < 1:
      raise errors.UserError(f"model patch_px {self.patch_px} is below 1; use e.g. 16")
    if not 0 < self.ln_eps < 1:
      raise errors.UserError(f"model ln_eps {self.ln_eps} is not between 0 and 1; use e.g. 1e-6")
    resnet.check_choice("positions", self.positions, ("sincos", "learned"))
    super().__post_init__()

  @nn.compact
  def __call__(self, x: Float[Array, "N H W 3"], train: bool) -> dict[str, Array]:
    """Returns "stem", "block1".. (patch tokens as maps [N, h, w, C]), "h" [N, C] in float32.

    Raises:
      UserError: patches do not divide the image.
    """
    del train
    dtype = jnp.dtype(self.dtype)
    x = patches(x.astype(dtype), self.patch_px)
    rows, columns = x.shape[1:3]
    x = _dense(self.width, dtype, "patch")(x)
    if self.frozen_patch_projection:
      x = jax.lax.stop_gradient(x)
    token = self.param("class_token", nn.initializers.normal(1e-6), (self.width,))
    if self.positions == "learned":
      of_token, of_patches = self._learned(rows, columns)
      token = token + of_token
    else:
      grid = self.whole_px // self.patch_px if self.whole_px else None
      of_patches = sincos_positions(rows, columns, self.width, grid)
    x = x + of_patches.astype(dtype)
    x = x.reshape(x.shape[0], rows * columns, self.width)
    x = jnp.concatenate([jnp.zeros_like(x[:, :1]) + token.astype(dtype), x], axis=1)

    def as_map(x):
      return x[:, 1:].reshape(x.shape[0], rows, columns, self.width)

    ends = {"stem": as_map(x)}
    block = blocks.of(Block, self, remat=self.remat)
    for number in range(1, self.depth + 1):
      x = block(self.heads, dtype, self.ln_eps, name=blocks.name(number))(x)
      ends[f"block{number}"] = as_map(x)
    x = nn.LayerNorm(epsilon=self.ln_eps, name="norm")(x[:, 0].astype(jnp.float32))
    return ends | {"h": x}

  def _learned(self, rows: int, columns: int) -> tuple[Float[Array, " C"], Float[Array, "h w C"]]:
    """Returns the learned positions of the class token and of the patches.

    Their table is of a square grid, that of the image with which the network was made; for another
    grid it is `resized`.
    """
    if self.has_variable("params", "positions"):
      count = self.get_variable("params", "positions").shape[0]
    else:
      count = 1 + rows * columns
    table = self.param("positions", nn.initializers.normal(0.02), (count, self.width))
    side = math.isqrt(count - 1)
    if side * side != count - 1:
      raise errors.UserError(
        f"model.positions learned: {count - 1} patches are no square; use square images"
      )
    grid = table[1:].reshape(side, side, self.width)
    return table[0], resized(grid, rows, columns)


def resized(grid: Float[Array, "h w C"], rows: int, columns: int) -> Float[Array, "rows columns C"]:
  """Returns learned positions for another grid of patches, by cubic interpolation.

  It is filtered where there are fewer places, as timm does. The same grid is left as it is.
  """
  if grid.shape[:2] == (rows, columns):
    return grid
  return jax.image.resize(grid, (rows, columns, grid.shape[2]), "cubic", antialias=True)


def patches(x: Float[Array, "N H W 3"], patch_px: int) -> Float[Array, "N h w P"]:
  """Cuts images into square patches, each flattened row by row: P = 3 patch_px^2."""
  n, height, width, channels = x.shape
  if height % patch_px or width % patch_px:
    raise errors.UserError(
      f"model patch_px {patch_px} does not divide an image of {height} x {width} px; "
      f"use a divisor, e.g. {next(p for p in (16, 8, 4, 2, 1) if not (height % p or width % p))}"
    )
  # One axis at a time: a reshape of a sharded array may not split two.
  x = x.reshape(n, height // patch_px, patch_px, width, channels)
  x = x.reshape(*x.shape[:3], width // patch_px, patch_px, channels)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(*x.shape[:2], x.shape[3], -1)


def sincos_positions(
  rows: int, columns: int, width: int, grid: int | None = None
) -> Float[Array, "h w C"]:
  """Returns fixed positions: sin and cos of the row, then of the column (MoCo v3, released code).

  That code calls the first half w, but builds it from the axis along which patches lie row by row.
  A quarter of the features each, at the C/4 frequencies 10000^(-4i/C). With `grid` the places are
  where the middles of the patches lie on a grid of so many rows and columns, stretched over it, as
  DINO's code interpolates its table of positions.

  Raises:
    UserError: `width` is not a multiple of 4.
  """
  if width % 4:
    raise errors.UserError(f"model width {width} is not a multiple of 4; sine positions need it")
  frequency = 10_000.0 ** -(jnp.arange(width // 4) / (width // 4))

  def places(count):
    return jnp.arange(count) if grid is None else (jnp.arange(count) + 0.5) * grid / count - 0.5

  across = places(columns)[:, None] * frequency
  across = jnp.broadcast_to(across, (rows, columns, width // 4))
  down = jnp.broadcast_to(places(rows)[:, None, None] * frequency, across.shape)
  return jnp.concatenate([jnp.sin(down), jnp.cos(down), jnp.sin(across), jnp.cos(across)], axis=-1)


def _dense(width: int, dtype: jnp.dtype, name: str) -> nn.Dense:
  return nn.Dense(width, kernel_init=nn.initializers.xavier_uniform(), dtype=dtype, name=name)


vit_tiny = functools.partial(ViT, 192, 12, 3)  # Touvron et al. (DeiT, ICML 2021), table 1
vit_small = functools.partial(ViT, 384, 12, 12)  # 12 heads as MoCo v3
vit_base = functools.partial(ViT, 768, 12, 12)
vit_large = functools.partial(ViT, 1024, 24, 16)  # Dosovitskiy et al., table 1
deit_small = functools.partial(ViT, 384, 12, 6)  # DeiT's, which is DINO's ViT-S
