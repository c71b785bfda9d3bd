"""An image that is in a batch twice, as stand-in of unreadable ones, is no negative of itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from contrastive_jax import losses, methods, parallel
from contrastive_jax.losses import memory
from contrastive_jax.methods import (
  dcl,
  exemplar,
  looc,
  margin,
  nt_logistic,
  patches,
  siglip,
  sogclr,
  supcon,
)
from contrastive_jax.methods import triplet as triplet_lib

B, D, TAU = 8, 5, 0.3
TWICE = np.asarray([7, 3, 7, 1, 3, 7, 0, 9], np.int32)
DIFFERENT = np.arange(B, dtype=np.int32)[::-1] + 2
FORMS = ("dense", "tiled", "ring")


def embeddings(views=2, seed=0):
  return np.random.default_rng(seed).normal(size=(B, views, D)).astype(np.float32)


def ntxent(z, image, own=True):
  """Anchor by anchor: its own place's views against those of all other images."""
  u, terms = toys.unit(z.astype(np.float64)), []
  for i, a in np.ndindex(z.shape[:2]):
    s = np.exp(u @ u[i, a] / TAU)
    mine = np.delete(s[i], a)
    negatives = s[image != image[i]].sum()
    terms.append(np.log(negatives + own * mine.sum()) - np.log(mine).mean())
  return np.mean(terms)


def between_views(z, image):
  u, terms = toys.unit(z.astype(np.float64)), []
  for i, a in np.ndindex(B, 2):
    s = np.exp(u[:, 1 - a] @ u[i, a] / TAU)
    terms.append(np.log(s[image != image[i]].sum() + s[i]) - np.log(s[i]))
  return np.mean(terms)


def over_devices(function, z, image, form):
  if form == "dense":
    return function(z, image)
  mesh = parallel.make_mesh()
  with parallel.use(mesh):
    return jax.jit(function)(*parallel.put((z, image), mesh))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("image", [TWICE, DIFFERENT], ids=["twice", "different"])
def test_losses_of_pairs_are_loops_over_the_views_of_other_images(image, form):
  options = {"implementation": form}
  unit = losses.l2_normalize
  for views in (2, 3):
    z = embeddings(views)
    got, metrics = over_devices(
      lambda z, i: losses.ntxent(z, TAU, i, tile=3, **options), z, image, form
    )
    np.testing.assert_allclose(got, ntxent(z, image), rtol=1e-5)
    got, _ = over_devices(
      lambda z, i: supcon.supcon(z, 0 * z[:, 0, :3], TAU, i, **options),  # no label
      z,
      image,
      form,
    )
    np.testing.assert_allclose(got, ntxent(z, image), rtol=1e-5)
  z = embeddings()
  for function, wanted in (
    (lambda z, i: dcl.dcl(z, TAU, None, i, **options), ntxent(z, image, own=False)),
    (
      lambda z, i: losses.infonce_between_views(unit(z), TAU, i, **options),
      between_views(z, image),
    ),
  ):
    np.testing.assert_allclose(over_devices(function, z, image, form)[0], wanted, rtol=1e-5)


def test_the_entropy_is_that_of_the_softmax_over_own_and_other_images():
  z = embeddings(3)
  u, entropies = toys.unit(z.astype(np.float64)), []
  for i, a in np.ndindex(B, 3):
    s = u @ u[i, a] / TAU
    s = np.concatenate([np.delete(s[i], a), s[TWICE != TWICE[i]].ravel()])
    p = np.exp(s) / np.exp(s).sum()
    entropies.append(-(p * np.log(p)).sum())
  _, metrics = losses.ntxent(z, TAU, TWICE, implementation="dense")
  np.testing.assert_allclose(metrics["contrastive_entropy"], np.mean(entropies), rtol=1e-5)


def matrix_losses():
  unit = losses.l2_normalize
  return {
    "ntxent": lambda z, i: losses.ntxent(z, TAU, i),
    "infonce": lambda z, i: losses.infonce_between_views(unit(z), TAU, i),
    "dcl": lambda z, i: dcl.dcl(z, TAU, None, i),
    "sogclr": lambda z, i: sogclr.sogclr(z, jnp.zeros(B), jnp.zeros(B, bool), TAU, 0.9, i),
    "siglip": lambda z, i: siglip.siglip(z, jnp.log(3.0), jnp.float32(-1.0), i),
    "margin": lambda z, i: margin.margin(z, 0.8, False, i),
    "nt_logistic": lambda z, i: nt_logistic.nt_logistic(z, TAU, None, i),
    "triplet, all": lambda z, i: triplet_lib.triplet(z, 0.5, "all", i),
    "triplet, hard": lambda z, i: triplet_lib.triplet(z, 0.5, "hard", i),
    "exemplar": lambda z, i: exemplar.semi_hard(unit(z), 0.5, i),
    "patches": lambda z, i: patches.patch_contrast(
      unit(jnp.stack([z, z[:, ::-1] + 0.1], axis=1)), TAU, i, cross_image=True
    ),
    "looc": lambda z, i: looc.looc(
      unit(z), unit(jnp.stack([z[:, ::-1], z + 0.1], axis=1)), None, TAU, i
    ),
  }


@pytest.mark.parametrize("name", matrix_losses())
def test_a_batch_of_one_image_has_no_negatives_and_a_finite_gradient(name):
  """The other places hold the same image: they must not move a row, nor be moved by it."""
  loss = matrix_losses()[name]
  z, same = jnp.asarray(embeddings()), jnp.zeros(B, jnp.int32)
  value, grad = jax.value_and_grad(lambda z: loss(z, same)[0])(z)
  assert np.isfinite(value) and np.all(np.isfinite(grad))
  # What the places say of each other is nothing: each gives the same gradient alone.
  other = z.at[1:].set(jnp.asarray(embeddings(seed=1))[1:])
  again = jax.grad(lambda z: loss(z, same)[0])(other)
  np.testing.assert_allclose(grad[0], again[0], rtol=1e-4, atol=1e-6)
  np.testing.assert_array_equal(*(loss(z, i)[0] for i in (None, jnp.arange(B))))
  assert abs(loss(z, same)[0] - loss(z, None)[0]) > 1e-3


# What compares the images of a batch with each other; all others do not look at `index` for it.
CONTRASTS = {
  "simclr": {},
  "infonce": {"head_width": 7},
  "dcl": {},
  "sogclr": {},
  "siglip": {},
  "supcon": {},
  "margin": {},
  "triplet": {"mining": "all"},
  "nt_logistic": {},
  "moco": {"queue_size": 0},
  "moco_v3": {"head_width": 7, "predictor_width": 7},
  "nnclr": {"head_width": 7, "predictor_width": 7, "queue_size": 2 * B},
  "looc": {"queue_size": 0},
  "exemplar": {"crops": 2},
}


@functools.cache
def loss_of(name):
  method = methods.get(name)(embedding_size=D, **CONTRASTS[name])
  net = method.network(toys.Backbone())
  params, stats = toys.start(net)
  memory = method.init_memory(net, {"params": params}, methods.Task(24, 3, B, 2), jax.random.key(0))
  views, label = toys.views(B, method.num_views), np.full(B, -1, np.int32)

  def loss(index):
    batch = {"views": views, "label": label, "index": index}
    return method.loss(net, params, stats, memory, batch, jax.random.key(1))[0]

  return loss


@pytest.mark.parametrize("name", CONTRASTS)
def test_a_method_knows_which_images_of_its_batch_are_one(name):
  loss = loss_of(name)
  different, others, twice = (loss(i) for i in (DIFFERENT, DIFFERENT + 9, DIFFERENT // 4))
  assert different == others, "numbers of different images do not matter"
  assert abs(twice - different) > 1e-4


def test_simclr_with_negatives_of_the_other_view_knows_it_too():
  method = methods.get("simclr")(embedding_size=D, negatives="other_view")
  net = method.network(toys.Backbone())
  params, stats = toys.start(net)
  batch = {"views": toys.views(B)}
  values = [
    method.loss(net, params, stats, {}, batch | {"index": i}, None)[0] for i in (DIFFERENT, TWICE)
  ]
  assert abs(values[0] - values[1]) > 1e-4


@pytest.mark.parametrize("devices", [1, 8])
def test_of_an_image_that_comes_twice_a_bank_keeps_the_last_row(devices):
  mesh = parallel.make_mesh(jax.devices()[:devices])
  rows = np.arange(B, dtype=np.float32)[:, None] * np.ones(3, np.float32)
  with parallel.use(mesh):
    bank = parallel.replicate(memory.bank(jax.random.key(0), 12, 3), mesh)
    after = jax.jit(memory.bank_update)(bank, *parallel.put((TWICE, rows), mesh))
  wanted = np.array(bank)
  for number, row in zip(TWICE, rows, strict=True):
    wanted[number] = row
  np.testing.assert_array_equal(after, wanted)
