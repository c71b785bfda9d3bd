"""Compositions: the first view goes through what is named, in order, the second through nothing."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import augment, build, config, errors, keys
from contrastive_jax.augment import compose, crop, filters, geometry

SIZE = 32  # in smaller views a blur has a kernel of one pixel
IMAGE = np.random.default_rng(0).integers(0, 256, (6, 40, 40, 3), dtype=np.uint8)
EXTENT = np.array([[40, 40], [40, 24], [32, 32], [18, 40], [40, 40], [33, 31]], np.int32)


def views(*names):
  recipe = augment.recipe("simclr", SIZE, compose=names)
  shown = jax.jit(lambda *batch: augment.views(recipe, keys.stream(0, "views"), 0, *batch))
  return shown(IMAGE, EXTENT, jnp.arange(6))


def whole():
  return augment.test_view(augment.recipe("simclr", SIZE), IMAGE, EXTENT)


def test_the_other_view_is_the_image():
  np.testing.assert_allclose(views("crop", "color")[:, 1], whole(), atol=1e-6)


@pytest.mark.parametrize("name", compose.OPERATIONS)
def test_every_operation_changes_the_first_view(name):
  found = views(name)
  assert (np.abs(found[:, 0] - found[:, 1]).mean(axis=(1, 2, 3)) > 1e-3).sum() >= 2


def test_operations_without_draws_are_those_of_the_package():
  sobel = filters.Sobel(1.0)
  wanted = jax.vmap(lambda x: sobel.apply({"on": jnp.array(True)}, x))(whole())
  np.testing.assert_allclose(views("sobel")[:, 0], wanted, atol=1e-5)


def test_a_crop_is_of_the_square_that_both_views_begin_with():
  plain = crop.ResizedCrop(SIZE, sampler="tf", antialias=False, min_covered=0.1)
  recipe = augment.recipe("simclr", SIZE, compose=("crop",))
  params = augment.sample_views(recipe, jax.random.key(3), jnp.array([40, 24]))[0]["crop"]
  assert params["height"] <= SIZE and params["width"] <= SIZE
  image = whole()[0]
  (_, (_, first)) = recipe.views[0]
  np.testing.assert_array_equal(first.apply(params, image), plain.apply(params, image))


def test_the_order_is_the_order_of_the_names():
  recipe = augment.recipe("simclr", SIZE, compose=("cutout", "rotate"))
  assert [name for name, _ in recipe.views[0]] == ["whole", "cutout", "rotate"]
  params = augment.sample_views(recipe, jax.random.key(1), jnp.array([40, 40]))
  turned = geometry.Rotate(1.0).apply(
    params[0]["rotate"], geometry.Cutout(1.0).apply(params[0]["cutout"], whole()[0])
  )
  shown = augment.apply_view(recipe, 0, params[0], augment.to_float(jnp.asarray(IMAGE[0])))
  np.testing.assert_allclose(shown, turned, atol=1e-6)


def test_an_operation_named_twice_is_applied_once():
  once, twice = (augment.recipe("simclr", SIZE, compose=("noise",) * n) for n in (1, 2))
  assert once.views == twice.views


def test_all_pairs_of_the_paper_can_be_asked_for_by_a_config():
  c = config.pretrain("simclr")
  for pair in itertools.product(compose.OPERATIONS, repeat=2):
    c.augment.compose = pair
    again = config.from_json(config.to_json(c))
    first, second = build.recipe(again).views
    assert len(first) >= 2 and len(second) == 1


@pytest.mark.parametrize(
  "options, words",
  [
    ({"compose": ("crop", "colour")}, "has 'colour'; use some of crop, cutout, color"),
    ({"compose": ("crop",), "rotate": 1.0}, "augment.rotate 1.0 has no effect"),
    ({"compose": ("crop",), "name": "none"}, "'none' has none"),
  ],
)
def test_what_cannot_be_composed_is_refused(options, words):
  with pytest.raises(errors.UserError, match=words):
    augment.recipe(**({"name": "simclr"} | options))
