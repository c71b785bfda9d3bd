"""Views that are looked at are those of the first epoch, whatever the number of images."""

import jax
import numpy as np
import pytest

from contrastive_jax import augment, keys
from contrastive_jax.step import first_views

RECIPE = augment.recipe("simclr_cifar", 8)


def batch(count):
  rng = np.random.default_rng(0)
  return {
    "image": rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)[:count],
    "extent": np.full((count, 2), 8, np.int32),
    "index": np.arange(5, 5 + count, dtype=np.int32),
  }


def same(params):
  return params


@pytest.mark.parametrize("count", [3, 16, 20])
def test_views_are_those_that_the_first_epoch_trains_on(count):
  params, views = first_views.of(RECIPE, same, 7, batch(count))
  wanted = jax.jit(lambda *images: augment.views(RECIPE, keys.stream(7, "views"), 0, *images))
  np.testing.assert_allclose(views, wanted(*batch(count).values()), atol=1e-4)
  assert len(params) == 2
  assert {len(leaf) for leaf in jax.tree.leaves(params)} == {count}
