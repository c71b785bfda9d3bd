"""Puzzles of pieces of an image: the answer is read from all pieces joined, as jigsaw does."""

import jax
from flax import linen as nn
from jaxtyping import Array, Float, Int, PyTree

from contrastive_jax import errors
from contrastive_jax.methods import base
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network


def heads_of_puzzle(
  backbone: nn.Module, width: int, answers: int, pieces: int, embedding: nn.Module
) -> tuple[Head, ...]:
  """Returns the heads of a puzzle: "z" of a piece, "hidden" of all pieces joined, "answer".

  The hidden layer is not linear, or the pieces could not be compared: each would add its own part
  to the answer, whatever the others show.
  """
  init = {"weight_init": backbone.weight_init}
  hidden = heads.MLP((), width, last_bn="affine", **init, **norm.options(backbone))
  answer = heads.MLP((), answers, out_bias=True, **init)
  return (
    Head("z", embedding),
    Head("hidden", hidden, "z", copies=pieces),
    Head("answer", answer, "hidden"),
  )


def check_dropout(dropout: float) -> None:
  """Raises UserError if `dropout` is no share of hidden units that leaves some."""
  if not 0 <= dropout < 1:
    raise errors.UserError(f"method.dropout {dropout} is out of range; use 0 to below 1")


def solve(
  net: Network,
  params: PyTree,
  stats: PyTree,
  joined: Float[Array, "B S E"],
  index: Int[Array, " B"],
  key: Array,
  dropout: float,
) -> tuple[Float[Array, "B S A"], PyTree]:
  """Runs `heads_of_puzzle` on joined pieces, S puzzles an image: dense, batch norm, ReLU, dropout.

  Args:
    index: of each image in its source; what is dropped depends on it and on `key` alone.
    dropout: share of the hidden units set to 0.

  Returns:
    The logits of the answers and the new batch-norm statistics.
  """
  hidden, stats = base.apply_head(net, "hidden", params, stats, joined)

  def keep(index):
    return jax.random.uniform(jax.random.fold_in(key, index), hidden.shape[1:]) >= dropout

  hidden = jax.nn.relu(hidden) * jax.vmap(keep)(index) / (1 - dropout)
  return base.apply_head(net, "answer", params, stats, hidden)
