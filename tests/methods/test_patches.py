"""Contrast between patches: the formula, who is a negative, stopped keys, equal positions."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import augment, errors, methods, parallel
from contrastive_jax.augment import cells
from contrastive_jax.methods import patches
from contrastive_jax.models import resnet

B, P, D, TAU = 4, 6, 5, 0.2


@pytest.fixture
def u():
  x = np.random.default_rng(0).normal(size=(B, 2, P, D))
  return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def oracle(u, tau, cross_image):
  """recipe: mean over images, patches and both directions of -log softmax over the other view."""
  u = u.astype(np.float64)
  total = 0.0
  for n in range(B):
    for p in range(P):
      for a, b in ((0, 1), (1, 0)):
        images = range(B) if cross_image else [n]
        rivals = sum(np.exp(u[n, a, p] @ u[m, b, r] / tau) for m in images for r in range(P))
        total -= np.log(np.exp(u[n, a, p] @ u[n, b, p] / tau) / rivals)
  return total / (2 * B * P)


@pytest.mark.parametrize("cross_image", [False, True])
@pytest.mark.parametrize("tau", [0.07, 0.2])
def test_the_loss_is_the_formula(u, tau, cross_image):
  for implementation in ("dense", "tiled"):
    loss, _ = patches.patch_contrast(
      jnp.asarray(u), tau, cross_image=cross_image, implementation=implementation
    )
    np.testing.assert_allclose(loss, oracle(u, tau, cross_image), rtol=1e-5)


def test_equal_patches_cost_the_log_of_their_number():
  ones = jnp.ones((B, 2, P, D)) / np.sqrt(D)
  loss, metrics = patches.patch_contrast(ones, TAU)
  np.testing.assert_allclose(loss, np.log(P), rtol=1e-5)
  assert metrics["contrastive_accuracy"] == 0
  loss, _ = patches.patch_contrast(ones, TAU, cross_image=True)
  np.testing.assert_allclose(loss, np.log(B * P), rtol=1e-5)


def test_accuracy_asks_for_the_nearest_patch_of_the_other_view():
  apart = jnp.tile(jnp.eye(P)[None, None], (B, 2, 1, 1))
  assert patches.patch_contrast(apart, TAU)[1]["contrastive_accuracy"] == 1
  wrong = apart.at[:, 1].set(jnp.roll(apart[:, 1], 1, axis=1))
  assert patches.patch_contrast(wrong, TAU)[1]["contrastive_accuracy"] == 0
  # Across images equal patches tie, and a tie is no hit.
  metrics = patches.patch_contrast(apart, TAU, cross_image=True)[1]
  assert metrics["contrastive_accuracy"] == 0


def test_other_images_get_a_gradient_only_if_they_are_negatives(u):
  def first(u, cross_image):  # of the first image's patches alone, by asking for the difference
    def whole(u):
      return patches.patch_contrast(u, TAU, cross_image=cross_image)[0] * B

    alone = patches.patch_contrast(u[1:], TAU)[0] * (B - 1)
    return whole(u) - alone

  grad = jax.grad(first)(jnp.asarray(u), False)
  assert np.any(grad[0]) and np.abs(grad[1:]).max() < 1e-5
  assert np.abs(jax.grad(first)(jnp.asarray(u), True)[1:]).max() > 1e-3


@pytest.mark.parametrize("cross_image", [False, True])
def test_stopped_keys_get_no_gradient(u, cross_image):
  """Each side is searched once: with its role as key stopped, what is left is its role as query."""

  def loss(u, stop):
    return patches.patch_contrast(u, TAU, cross_image=cross_image, stop_keys=stop)[0]

  def query_a(a):  # view 0 asks, view 1 is given: half of the loss
    other = jax.lax.stop_gradient(jnp.asarray(u[:, 1]))
    s = jnp.einsum("bpd,cqd->bpcq", a, other) / TAU
    if not cross_image:
      s = jnp.where(jnp.eye(B, dtype=bool)[:, None, :, None], s, -jnp.inf)
    lse = jax.nn.logsumexp(s.reshape(B, P, -1), axis=-1)
    return jnp.mean(lse - jnp.sum(a * other, axis=-1) / TAU) / 2

  wanted = jax.grad(query_a)(jnp.asarray(u[:, 0]))
  np.testing.assert_allclose(jax.grad(loss)(jnp.asarray(u), True)[:, 0], wanted, atol=1e-6)
  assert np.abs(jax.grad(loss)(jnp.asarray(u), False)[:, 0] - wanted).max() > 1e-3


def test_both_views_of_an_image_show_the_same_place():
  """With nothing but crop, flip and turn the two views, and so their cells, are equal."""
  recipe = augment.recipe("crop_only", 24, rotate=1.0)
  image = np.random.default_rng(0).integers(0, 256, (B, 32, 32, 3), dtype=np.uint8)
  extent, index = np.full((B, 2), 32, np.int32), np.arange(B, dtype=np.int32)
  link = patches.Method().link_views
  views = augment.views(recipe, jax.random.key(0), 0, image, extent, index, link=link)
  np.testing.assert_array_equal(views[:, 0], views[:, 1])


def noise(count, size_px):
  return np.random.default_rng(0).normal(size=(count, size_px, size_px, 3)).astype(np.float32)


def test_a_crop_of_the_whole_cell_is_the_cell_or_its_mirror_image():
  image = noise(3, 25)  # the last row and column belong to no cell
  found = np.asarray(cells.crops(jax.random.key(0), jnp.arange(3), image, 3, 1.0))
  assert found.shape == (3, 9, 8, 8, 3)
  mirrored = 0
  for b, g in np.ndindex(3, 9):
    row, column = np.array(divmod(g, 3)) * 8
    cell = image[b, row : row + 8, column : column + 8]
    cell = (cell - cell.mean()) / cell.std()
    if not np.allclose(found[b, g], cell, atol=1e-5):
      np.testing.assert_allclose(found[b, g], cell[:, ::-1], atol=1e-5)
      mirrored += 1
  assert 0 < mirrored < 27


def test_crops_show_their_own_cell_anew_for_each_key_whatever_the_batch():
  image, index = noise(3, 24), jnp.array([5, 9, 700])
  crops = jax.jit(cells.crops, static_argnums=(3, 4))
  found = crops(jax.random.key(0), index, image, 2, 0.3)
  np.testing.assert_allclose(
    found[1:2], crops(jax.random.key(0), index[1:2], image[1:2], 2, 0.3), atol=1e-5
  )
  assert np.abs(found - crops(jax.random.key(1), index, image, 2, 0.3)).max((2, 3, 4)).min() > 0.1
  other = image.copy()
  other[:, :12, :12] = 7.0  # the first cell
  changed = crops(jax.random.key(0), index, other, 2, 0.3)
  np.testing.assert_array_equal(found[:, 1:], changed[:, 1:])
  assert np.abs(changed[:, 0]).max() < 1e-3  # flat


@pytest.mark.parametrize("form, shape", [("patches", (B, 18, 4)), ("feature_map", (B, 50, 4))])
def test_each_form_trains_and_traces_over_devices(form, shape):
  """3x3 patches or 5x5 points, of two views; each image's first view, then its second."""
  grid = 3 if form == "patches" else 5
  method = patches.Method(form=form, grid=grid, embedding_size=4, cross_image=True)
  net = method.network(resnet.ResNet((1,), resnet.BasicBlock, 4, stem="cifar_s2", zero_gamma=False))
  variables = net.init(jax.random.key(0), jnp.zeros((1, 12, 12, 3)), train=False)
  views = np.random.default_rng(0).normal(size=(B, 2, 12, 12, 3)).astype(np.float32)
  batch = {"views": views, "index": np.arange(B, dtype=np.int32)}

  def run(batch):
    args = (variables["params"], variables["batch_stats"], {}, batch, jax.random.key(1))
    loss, aux = method.loss(net, *args)
    return loss, aux.features

  loss, features = jax.jit(run)(batch)
  assert features["z"].shape == shape and features["h"].shape == (B, 2, 4)
  mesh = parallel.make_mesh(jax.devices()[:4])
  with parallel.use(mesh):
    many, _ = jax.jit(run)(parallel.put(batch, mesh))
  np.testing.assert_allclose(loss, many, rtol=1e-4)


def test_a_feature_map_of_one_location_is_refused():
  method = patches.Method(form="feature_map", embedding_size=4)
  net = method.network(resnet.ResNet((1,), resnet.BasicBlock, 4, stem="cifar_s2", zero_gamma=False))
  views = jnp.zeros((B, 2, 2, 2, 3))
  variables = net.init(jax.random.key(0), views[:, 0], train=False)
  batch = {"views": views, "index": jnp.arange(B)}
  with pytest.raises(errors.UserError, match="a feature map of one location has no negatives"):
    method.loss(net, variables["params"], variables["batch_stats"], {}, batch, jax.random.key(1))


def test_bad_values_are_named():
  for options, message in (
    ({"form": "cells"}, "form 'cells' is unknown; use patches or feature_map"),
    ({"min_area": 0.0}, r"min_area 0.0 is outside \(0, 1\]"),
    ({"min_area": 0.39, "form": "feature_map"}, "min_area 0.39 lets .* miss .* use 0.4 or more"),
    ({"grid": 1}, "grid 1 leaves no negatives; use 2 or more"),
    ({"temperature": 0.0}, "temperature 0.0 is outside"),
  ):
    with pytest.raises(errors.UserError, match=message):
      patches.Method(**options)
  assert dataclasses.asdict(methods.get("patches")())["temperature"] == 0.2
