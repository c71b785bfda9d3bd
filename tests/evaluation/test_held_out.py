"""The part that penalties and rates are chosen on is apart from what is fitted."""

import numpy as np
import pytest

from contrastive_jax import errors
from contrastive_jax.evaluation import held_out


def test_held_out_examples_are_not_fitted():
  fitted, unseen = held_out.split(50, 0.2, 0, "linear_lbfgs", "num_penalties=1")
  assert sorted([*fitted, *unseen]) == list(range(50))
  assert len(unseen) == 10
  assert not np.array_equal(unseen, held_out.split(50, 0.2, 1, "", "")[1])


def test_too_few_examples_are_refused_with_what_needs_none():
  with pytest.raises(errors.UserError, match=r"of 2 examples holds out 0; .* linear_sgd.rates="):
    held_out.split(2, 0.2, 0, "linear_sgd", "rates=()")
