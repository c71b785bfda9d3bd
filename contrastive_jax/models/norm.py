"""Batch normalisation whose statistics are taken where the recipe says, on any number of devices.

Under one global program the statistics of a sharded batch are global already. What recipes
differ in is the set of rows that share statistics:

- `views=1, groups=1`: the whole batch with all its views (SimCLR, global batch norm);
- `views=V`: each view of the batch on its own (BYOL, SimSiam, MoCo v3, Barlow Twins, VICReg, which
  run the network once per view);
- `groups=G`: G contiguous blocks of examples on their own, which is what G devices with local batch
  norm compute (MoCo v1/v2), here on any hardware;
- `groups=G, shuffled=True`: G sets of every G-th example. A network whose groups are blocks and one
  whose groups are shuffled never normalise an example in the same company: MoCo's shuffled batch
  norm (He et al., 2020, section 3.3) without moving an image. The paper draws a permutation at each
  step; here the order of the data is drawn anew every epoch and the permutation can stay.

Rows are N = B·V, example-major (the V views of an example are neighbours).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from contrastive_jax import errors, parallel
from contrastive_jax.options import option


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class Options:
  """The options of batch norm of a backbone or a head, which inherits these fields.

  Attributes:
    bn_views: views with batch statistics of their own, see BatchNorm.
    bn_shuffled: groups of every G-th example, see BatchNorm.
  """

  bn_groups: int = option(1, "contiguous parts of the batch with batch statistics of their own")
  bn_momentum: float = option(0.9, "decay of the running statistics (0.9 is PyTorch's 0.1)")
  bn_eps: float = option(1e-5, "added to the variance")
  bn_views: int = 1
  bn_shuffled: bool = False

  def batch_norm(self, **fields: Any) -> Callable[..., "BatchNorm"]:
    """Returns the constructor of batch norms with these options and other `fields`."""
    return functools.partial(
      BatchNorm,
      groups=self.bn_groups,
      views=self.bn_views,
      momentum=self.bn_momentum,
      epsilon=self.bn_eps,
      shuffled=self.bn_shuffled,
      **fields,
    )


class BatchNorm(nn.Module):
  """Batch norm over all axes but the last (Ioffe and Szegedy, 2015, Algorithm 1).

  Statistics and normalisation are float32; parameters are "scale" and "bias", statistics "mean" and
  "var" in the collection "batch_stats". The running variance averages biased batch variances. With
  several subsets (`groups`·`views` > 1) the running statistics follow the mean over the subsets.

  The batch variance is E[(x-s)²] - E[x-s]² with s the running mean: one pass over the activations
  and one round of communication instead of the two of E[(x-E[x])²], without its cancellation when
  |mean| ≫ std, since s follows the mean.

  A training call that cannot write "batch_stats" (the collection is not mutable) uses the batch's
  statistics and leaves the running ones as they are. Initialisation never reads the batch.
  """

  groups: int = Options.bn_groups
  views: int = Options.bn_views
  momentum: float = Options.bn_momentum
  epsilon: float = Options.bn_eps
  shuffled: bool = Options.bn_shuffled
  use_scale: bool = True
  use_bias: bool = True
  scale_init: Any = nn.initializers.ones
  dtype: Any = jnp.float32  # of the output

  @nn.compact
  def __call__(self, x: Float[Array, "N ... C"], train: bool) -> Float[Array, "N ... C"]:
    """Normalises x. Raises UserError if N does not split into groups·views equal parts."""
    channels = x.shape[-1]
    running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32)
    running_var = self.variable("batch_stats", "var", jnp.ones, (channels,), jnp.float32)
    gain, bias = jnp.ones((channels,), jnp.float32), jnp.zeros((channels,), jnp.float32)
    if self.use_scale:
      gain = self.param("scale", self.scale_init, (channels,), jnp.float32)
    if self.use_bias:
      bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)

    # With the running mean off, of which the batch's lies not far.
    shift = jax.lax.stop_gradient(running_mean.value)
    x = x.astype(jnp.float32) - shift
    if not train or self.is_initializing():
      y = x * (gain * jax.lax.rsqrt(running_var.value + self.epsilon)) + bias
    else:
      member = subset_membership(x, self.groups, self.views, self.shuffled)
      mean, var = subset_moments(x, member)
      factor = gain * jax.lax.rsqrt(var + self.epsilon)
      if self.is_mutable_collection("batch_stats"):
        keep = self.momentum
        running_mean.value = keep * shift + (1 - keep) * (shift + mean).mean(0)
        running_var.value = keep * running_var.value + (1 - keep) * var.mean(0)
      # x as it is: were the mean taken off, the backward pass would keep that as well.
      y = x * to_rows(factor, member, x.ndim) + to_rows(bias - mean * factor, member, x.ndim)
    return y.astype(self.dtype)


def subset_membership(
  x: Float[Array, "N ..."], groups: int, views: int, shuffled: bool = False
) -> Float[Array, "N S"] | None:
  """Says which of the S = groups·views subsets each row of x belongs to, one-hot.

  None if there is one subset. A one-hot matrix and not a reshape [N, ..] -> [G, N/G, ..], because
  that reshape exists only when every device holds whole groups; a product with it runs with any
  number of groups on any number of devices.

  Raises:
    UserError: groups or views < 1, or N is not a multiple of groups·views.
  """
  rows, subsets = x.shape[0], groups * views
  if groups < 1 or views < 1:
    raise errors.UserError(
      f"batch norm groups {groups}, views {views}: both must be at least 1; set "
      "model.bn_groups to 1 or more"
    )
  if rows % subsets:
    raise errors.UserError(
      f"batch norm: {rows} rows do not split into {groups} groups x {views} views; "
      f"use a multiple of {subsets} rows (nearest: {max(1, round(rows / subsets)) * subsets})"
    )
  if subsets == 1:
    return None
  one_a_row = x[(slice(None), *[0] * (x.ndim - 1))]  # taken for its sharding alone
  row = jnp.zeros_like(one_a_row, jnp.int32) + jnp.arange(rows)
  group = row // views % groups if shuffled else row // (rows // groups)
  subset = group * views + row % views
  return (subset[:, None] == jnp.arange(subsets)).astype(jnp.float32)


def subset_moments(
  x: Float[Array, "N ... C"], member: Float[Array, "N S"] | None
) -> tuple[Float[Array, "S C"], Float[Array, "S C"]]:
  """Mean and biased variance of each subset of rows, per channel, if the mean is near 0."""
  first, second = x, x * x  # of a square 2x would be kept for the gradient, beside x
  if member is None:
    axes = tuple(range(x.ndim - 1))
    first, second = first.mean(axes)[None], second.mean(axes)[None]
  else:
    axes = tuple(range(1, x.ndim - 1))
    both = jnp.concatenate([first.mean(axes), second.mean(axes)], axis=-1)
    both = parallel.sum_of_products(member, both)
    first, second = jnp.split(both * (member.shape[1] / member.shape[0]), 2, axis=-1)
  return first, jnp.maximum(second - jnp.square(first), 0.0)


def to_rows(
  value: Float[Array, "S C"], member: Float[Array, "N S"] | None, ndim: int
) -> Float[Array, " C"] | Float[Array, "N ... C"]:
  """Gives each row the value of its subset, shaped to broadcast against an `ndim` array."""
  if member is None:
    return value[0]
  rows = jnp.einsum("ns,sc->nc", member, value, precision="highest")
  return rows.reshape(rows.shape[0], *[1] * (ndim - 2), rows.shape[1])


def options(module: Options) -> dict[str, Any]:
  """The batch-norm options of a module, to build another one alike: `MLP(**options(backbone))`."""
  return {field.name: getattr(module, field.name) for field in dataclasses.fields(Options)}
