"""What methods remember between steps: a moving average, a ring queue, a bank with a row an image.

Small pytrees and functions on them. No gradient enters them. All are replicated over devices, or
cut by columns: then rows travel where they are asked for (`parallel`).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, Shaped

from contrastive_jax import errors, losses, parallel

Queue = dict[str, Array]  # "keys" [K, D], and "next" [], the row that is written next


def ema(average: PyTree, value: PyTree, decay: float | Float[Array, ""]) -> PyTree:
  """Returns decay * average + (1 - decay) * value, leaf by leaf."""
  return jax.tree.map(lambda a, v: a + (1 - decay) * (v - a), average, value)


def follow(target: PyTree, params: PyTree, decay: float | Float[Array, ""]) -> PyTree:
  """Returns the `ema` of a target network; what only the online one has, a predictor, is unread."""
  return ema(target, {name: params[name] for name in target}, decay)


def cosine_momentum(
  base: float, progress: Float[Array, ""], final: float = 1.0
) -> Float[Array, ""]:
  """Returns a momentum that rises from `base` to `final` as `progress` goes from 0 to 1.

  BYOL (Grill et al., 2020), section 3.3: 1 - (1 - base) (cos(pi k / K) + 1) / 2.
  """
  return final - (final - base) * (jnp.cos(jnp.pi * progress) + 1) / 2


def check_momentum(momentum: float) -> None:
  """Raises `UserError` unless a moving average with this momentum is one."""
  if not 0 <= momentum <= 1:
    raise errors.UserError(f"method.momentum {momentum} is not a momentum; use 0 to 1, e.g. 0.99")


def check_no_queue(key: str, size: int) -> None:
  """Raises `UserError`, with `key`, for a queue of less than nothing, where there may be none."""
  if size < 0:
    raise errors.UserError(f"{key} {size} is below 0; use 0 for no queue")


def check_queue(option: str, size: int, batch_size: int) -> None:
  """Raises `UserError` unless a queue of `size` keys holds a batch."""
  if size < batch_size:
    raise errors.UserError(
      f"{option} {size} is smaller than batch_size {batch_size}; use {batch_size} or more"
    )


def queue(key: PRNGKeyArray, size: int, dim: int) -> Queue:
  """Returns a queue of random unit vectors, float32 (MoCo, He et al., 2020, released code)."""
  noise = jax.random.normal(key, (size, dim))
  return {"keys": losses.l2_normalize(noise), "next": jnp.zeros((), jnp.int32)}


def enqueue(queue: Queue, keys: Float[Array, "B D"]) -> Queue:
  """Replaces the oldest B of K keys; a batch that meets the end goes on at the beginning.

  B need not divide K, nor be what it was: a run may go on with another batch size.
  """
  size, count = len(queue["keys"]), len(keys)
  check_queue("queue size", size, count)
  keys = jax.lax.stop_gradient(keys)
  oldest = (queue["next"] + jnp.arange(count, dtype=jnp.int32)) % size
  return {
    "keys": parallel.write(queue["keys"], oldest, keys),
    "next": (queue["next"] + count) % size,
  }


def bank(key: PRNGKeyArray, num_images: int, dim: int) -> Float[Array, "M D"]:
  """Returns a bank of random unit rows, float32.

  InstDisc (Wu et al., 2018), released code: uniform within +-1/sqrt(dim/3), then unit length.
  """
  return losses.l2_normalize(jax.random.uniform(key, (num_images, dim), minval=-1.0))


def bank_rows(bank: Shaped[Array, "M ..."], index: Int[Array, " B"]) -> Shaped[Array, "B ..."]:
  """Returns the rows of the images `index`, sharded as `index` is; a row may be one number."""
  return parallel.look_up(bank, index)


def bank_update(
  bank: Shaped[Array, "M ..."], index: Int[Array, " B"], rows: Shaped[Array, "B ..."]
) -> Shaped[Array, "M ..."]:
  """Replaces the rows of the images `index`; of an image that comes twice the last one stays.

  A scatter leaves open which of two writes to a row stays: those that do not go beyond the bank,
  each to a place of its own, where they are dropped.
  """
  index = parallel.gather(index)
  place = jnp.arange(len(index), dtype=index.dtype)
  again = jnp.any((index[:, None] == index) & (place[:, None] < place), axis=1)
  index = jnp.where(again, len(bank) + place, index)
  return parallel.write(bank, index, jax.lax.stop_gradient(rows))
