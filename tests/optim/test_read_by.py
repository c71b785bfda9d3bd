"""Which algorithm reads which option: what a user is told is what the algorithms do."""

import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import optim
from contrastive_jax.optim import algorithms
from contrastive_jax.optim.options import READ_BY

# Far from the defaults; the trust ratio alone is large enough to be clipped.
OTHER = {
  "momentum": 0.5,
  "nesterov": True,
  "trust_coefficient": 30.0,
  "trust_eps": 3.0,
  "trust_clip": True,
  "b1": 0.5,
  "b2": 0.5,
  "eps": 3.0,
}


def moved(name, **options):
  """Where three steps along other gradients take a matrix."""
  optimizer = optim.build(name, 0.1, **{"trust_coefficient": 20.0} | options)
  params = {"kernel": jnp.arange(1.0, 7.0).reshape(2, 3)}
  state = optimizer.init(params)
  for step in range(3):
    updates, state = optimizer.update({"kernel": params["kernel"] ** step}, state, params)
    params = {"kernel": params["kernel"] + updates["kernel"]}
  return np.asarray(params["kernel"])


@pytest.mark.parametrize("name", algorithms.__all__)
def test_an_option_is_read_by_those_that_are_named(name):
  plain = moved(name)
  read = {option for option in OTHER if (moved(name, **{option: OTHER[option]}) != plain).any()}
  assert read == {option for option, readers in READ_BY.items() if name in readers}
