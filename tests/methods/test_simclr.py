"""SimCLR's options: the factor of the loss and the side that negatives come from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import errors
from contrastive_jax.methods import simclr

B, D = 7, 5


class Embeddings:
  """A network whose output is its input."""

  micro_batches = 1

  def apply(self, variables, folded, train, mutable):
    return {"h": folded[:, 0, 0], "z": folded[:, 0, 0]}, {}


@pytest.fixture
def z():
  return np.random.default_rng(1).normal(size=(B, 2, D)).astype(np.float32)


def loss_of(z, **options):
  batch = {"views": jnp.asarray(z)[:, :, None, None]}
  method = simclr.Method(temperature=0.3, **options)
  return method.loss(Embeddings(), {}, {}, {}, batch, jax.random.key(0))[0]


def cross_entropies(z, tau, same_view):
  """-log of the positive's share among the columns, for every row; in float64."""
  u = z.astype(np.float64) / np.linalg.norm(z.astype(np.float64), axis=-1, keepdims=True)
  rows = np.zeros((B, 2))
  for i in range(B):
    for v in (0, 1):
      columns = [u[j, 1 - v] for j in range(B)]
      columns += [u[j, v] for j in range(B) if j != i] if same_view else []
      s = np.array(columns) @ u[i, v] / tau
      rows[i, v] = np.log(np.sum(np.exp(s))) - u[i, 0] @ u[i, 1] / tau
  return rows


def test_the_factor_is_that_of_the_paper_its_code_or_byol(z):
  rows = cross_entropies(z, 0.3, same_view=True)
  np.testing.assert_allclose(loss_of(z), rows.mean(), rtol=1e-5)
  code = rows[:, 0].mean() + rows[:, 1].mean()  # what the released code adds up
  np.testing.assert_allclose(loss_of(z, loss_factor="code"), code, rtol=1e-5)
  np.testing.assert_allclose(loss_of(z, loss_factor="byol"), 2 * 0.3 * rows.mean(), rtol=1e-5)


def test_negatives_of_the_other_view_leave_out_the_own_side(z):
  """E-SSL: half the cross entropy of view 1 to 2 plus half that of 2 to 1."""
  rows = cross_entropies(z, 0.3, same_view=False)
  wanted = rows[:, 0].mean() / 2 + rows[:, 1].mean() / 2
  np.testing.assert_allclose(loss_of(z, negatives="other_view"), wanted, rtol=1e-5)


def test_unknown_names_are_refused():
  with pytest.raises(errors.UserError, match='loss_factor "3" is unknown; use one of paper, code'):
    simclr.Method(loss_factor="3")
  with pytest.raises(errors.UserError, match='negatives "same" is unknown; use one of both'):
    simclr.Method(negatives="same")
