"""Pretext tasks and generative baselines: the right target for the right picture."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import augment, errors, losses, methods
from contrastive_jax.augment import cells
from contrastive_jax.methods import (
  _puzzle,
  autoencoder,
  base,
  context_encoder,
  exemplar,
  jigsaw,
  relative_patch,
  rotation,
)
from contrastive_jax.models import resnet
from contrastive_jax.models.decoder import Decoder


def images(*shape, seed=0):
  return np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)


def batch_of(views):
  return {"views": jnp.asarray(views), "index": jnp.arange(len(views)), "label": None}


def loss_of(method, batch, monkeypatch, ends, heads=None):
  """The loss if the network's endpoints are `ends(views)` and a head's output `heads[name](x)`."""
  seen = []

  def forward(net, params, stats, views, train=True):
    seen.append(views)
    return ends(views), stats

  monkeypatch.setattr(base, "forward", forward)
  monkeypatch.setattr(
    base, "apply_head", lambda net, name, params, stats, x: (heads[name](x), stats)
  )
  loss, aux = method.loss(None, {}, {}, {}, batch, jax.random.key(3))
  return float(loss), aux, seen


def test_rotation_shows_each_view_in_four_turns():
  views = images(2, 3, 6, 6, 3)
  got = rotation.rotations(jnp.asarray(views))
  for b, v, k in itertools.product(range(2), range(3), range(4)):
    np.testing.assert_array_equal(got[b, 4 * v + k], np.rot90(views[b, v], k))


def test_rotation_names_the_turn(monkeypatch):
  views = np.zeros((3, 2, 6, 6, 3), np.float32)
  views[:, :, 0, 0] = 1  # the bright corner goes top left, bottom left, bottom right, top right

  def ends(views):
    corners = [views[:, :, i, j, 0] for i, j in ((0, 0), (-1, 0), (-1, -1), (0, -1))]
    logits = 50 * jnp.stack(corners, axis=-1)
    return {"h": logits, "rotation": logits}

  loss, aux, _ = loss_of(rotation.Method(), batch_of(views), monkeypatch, ends)
  assert aux.metrics["pretext_accuracy"] == 1 and loss < 1e-6
  assert "z" not in aux.features


@pytest.mark.parametrize(("size_px", "side"), [(255, 64), (32, 8)])
def test_patches_lie_inside_their_cells_and_are_standardised(size_px, side):
  image = images(3, size_px, size_px, 3)
  index = jnp.array([5, 9, 700])
  patches = np.asarray(jax.jit(cells.cut)(jax.random.key(0), index, image))
  assert patches.shape == (3, 9, side, side, 3) and cells.patch_px(size_px, 3) == side
  cell, places = size_px // 3, set()
  for b, g in itertools.product(range(3), range(9)):
    row, column = np.array(divmod(g, 3)) * cell
    found = []
    for i, j in itertools.product(range(cell - side + 1), repeat=2):
      cut = image[b, row + i : row + i + side, column + j : column + j + side].astype(np.float64)
      probe = (cut[:2, :2] - cut.mean()) / cut.std()  # few pixels: quick
      if np.allclose(probe, patches[b, g, :2, :2], atol=1e-3):
        np.testing.assert_allclose((cut - cut.mean()) / cut.std(), patches[b, g], atol=1e-3)
        found.append((i, j))
    assert len(found) == 1
    places.add(found[0])
  assert len(places) > 1


def test_places_depend_on_the_image_and_not_on_its_position_in_the_batch():
  image = images(4, 32, 32, 3)
  cut = jax.jit(cells.cut)
  whole = cut(jax.random.key(1), jnp.arange(4), image)
  part = cut(jax.random.key(1), jnp.array([2]), image[2:3])
  np.testing.assert_allclose(whole[2], part[0], atol=1e-5)


def test_relative_patch_pairs_the_centre_with_the_neighbour_it_names(monkeypatch):
  def ends(patches):  # the embedding of a patch is its place in the grid
    z = jnp.broadcast_to(jnp.eye(9), (len(patches), 9, 9))
    return {"h": z, "z": z}

  def hidden(pair):
    np.testing.assert_array_equal(np.asarray(pair[..., :9].argmax(-1)), 4)
    return jnp.delete(pair[..., 9:], 4, axis=-1)

  views = images(2, 1, 32, 32, 3)
  outputs = {"hidden": hidden, "answer": lambda x: 50 * x}
  method = relative_patch.Method(head_width=8, dropout=0.0)
  loss, aux, _ = loss_of(method, batch_of(views), monkeypatch, ends, outputs)
  assert aux.metrics["pretext_accuracy"] == 1 and loss < 1e-6


def test_relative_patch_compares_the_two_patches():
  """A linear layer on both would add what each says by itself; here their mix matters."""
  net = relative_patch.Method(embedding_size=4, head_width=16).network(resnet.resnet8())
  init = functools.partial(net.init, train=False)
  variables = jax.eval_shape(init, jax.random.key(0), jnp.zeros((2, 16, 16, 3)))
  variables = jax.tree.map(lambda x: jax.random.normal(jax.random.key(x.size), x.shape), variables)

  c, n = (jnp.asarray(images(2, 8, 4, seed=seed)) for seed in (1, 2))
  # All four in one batch, so that batch norm does the same to each and cannot mix them.
  pairs = [jnp.concatenate([c[i], n[j]], axis=-1) for i in (0, 1) for j in (0, 1)]
  args = (jnp.stack(pairs, axis=1), jnp.arange(8), jax.random.key(1), 0.0)
  logits, _ = _puzzle.solve(net, variables["params"], variables["batch_stats"], *args)
  mix = logits[:, 0] - logits[:, 1] - logits[:, 2] + logits[:, 3]
  assert jnp.abs(mix).max() > 0.1


def test_permutations_are_far_from_each_other():
  chosen = jigsaw.permutations(100)
  assert chosen.shape == (100, 9) and np.array_equal(chosen[0], np.arange(9))
  assert all(sorted(p) == list(range(9)) for p in chosen.tolist())
  distance = (chosen[:, None] != chosen[None]).sum(-1)[np.triu_indices(100, 1)]
  random = np.array([np.random.default_rng(i).permutation(9) for i in range(100)])
  of_random = (random[:, None] != random[None]).sum(-1)[np.triu_indices(100, 1)]
  assert distance.min() >= 6 > of_random.min()
  np.testing.assert_array_equal(jigsaw.permutations(10), chosen[:10])


def test_jigsaw_shows_the_order_it_asks_for(monkeypatch):
  method = jigsaw.Method(num_permutations=50, shuffles=5, head_width=450, dropout=0.5)
  table = jnp.asarray(jigsaw.permutations(50))
  dropped = []

  def ends(patches):
    z = jnp.broadcast_to(jnp.eye(9), (len(patches), 9, 9))
    return {"h": z, "z": z}

  def hidden(joined):  # 9 agreeing units for each permutation
    order = joined.reshape(*joined.shape[:2], 9, 9).argmax(-1)
    agree = (order[..., None, :] == table).all(-1)
    return jnp.repeat(agree.astype(jnp.float32), 9, axis=-1)

  def permutation(x):
    dropped.append(float((x == 0).mean()))
    return 50 * x.reshape(*x.shape[:2], 50, 9).sum(-1)

  views = images(16, 1, 32, 32, 3)
  _, aux, _ = loss_of(
    method,
    batch_of(views),
    monkeypatch,
    ends,
    {"hidden": hidden, "answer": permutation},
  )
  assert aux.metrics["pretext_accuracy"] > 0.95  # all nine units are dropped once in 512
  assert dropped[0] > 0.98


def test_side_by_side_takes_embeddings_in_order():
  z = images(2, 9, 4)
  order = np.stack([np.random.default_rng(i).permutation(9) for i in range(6)]).reshape(2, 3, 9)
  got = jigsaw.side_by_side(jnp.asarray(z), jnp.asarray(order))
  for b, s in itertools.product(range(2), range(3)):
    np.testing.assert_allclose(got[b, s], z[b][order[b, s]].reshape(-1))


def test_exemplar_is_the_semi_hard_triplet_loss_of_a_loop():
  rng = np.random.default_rng(0)
  u = rng.normal(size=(5, 3, 4)) + 1.5 * rng.normal(size=(5, 1, 4))
  u /= np.linalg.norm(u, axis=-1, keepdims=True)

  def distance(a, b):
    return ((a - b) ** 2).sum()

  terms, kinds = [], set()
  for b, v, w in itertools.product(range(5), range(3), range(3)):
    if v == w:
      continue
    positive = distance(u[b, v], u[b, w])
    foreign = [distance(u[b, v], u[c, x]) for c in range(5) if c != b for x in range(3)]
    beyond = [d for d in foreign if d > positive]
    kinds.add(bool(beyond))
    negative = min(beyond) if beyond else max(foreign)
    terms.append(max(positive - negative + 0.5, 0))
  loss, active = exemplar.semi_hard(jnp.asarray(u, jnp.float32), 0.5)
  np.testing.assert_allclose(loss, np.mean(terms), rtol=1e-5)
  np.testing.assert_allclose(active, np.mean(np.array(terms) > 0), rtol=1e-6)
  same = losses.l2_normalize(jnp.ones((4, 2, 3)))
  np.testing.assert_allclose(exemplar.semi_hard(same, 0.5)[0], 0.5, atol=1e-5)  # all one point


def test_autoencoder_compares_with_the_view_itself(monkeypatch):
  views = images(3, 2, 16, 16, 3)
  method = autoencoder.Method(resolution=16)

  def ends(x):
    return {"h": x.mean((2, 3)), "picture": x + 0.5}

  loss, _, _ = loss_of(method, batch_of(views), monkeypatch, ends)
  np.testing.assert_allclose(loss, 0.25, rtol=1e-5)


def test_shrinking_by_half_keeps_the_mean():
  views = images(1, 1, 64, 64, 3)
  small = autoencoder.shrunk(jnp.asarray(views), 32)
  np.testing.assert_allclose(small.mean(), views.mean(), rtol=1e-3)


def test_context_encoder_never_sees_the_hole_and_is_scored_on_it_alone(monkeypatch):
  views = images(2, 1, 16, 16, 3)
  other = views.copy()
  other[:, :, 4:12, 4:12] = images(2, 1, 8, 8, 3, seed=7)
  method = context_encoder.Method(resolution=16)

  def paints(picture):
    return lambda x: {"h": x.mean((2, 3)), "picture": jnp.asarray(picture)}

  right_in_hole = views + 1.0
  right_in_hole[:, :, 4:12, 4:12] = views[:, :, 4:12, 4:12]
  loss, _, seen = loss_of(method, batch_of(views), monkeypatch, paints(right_in_hole))
  assert loss == 0
  _, _, seen_other = loss_of(method, batch_of(other), monkeypatch, paints(views))
  np.testing.assert_array_equal(seen[0], seen_other[0])
  np.testing.assert_array_equal(seen[0][:, :, 0], views[:, :, 0])
  loss, _, _ = loss_of(method, batch_of(views), monkeypatch, paints(views + 0.5))
  np.testing.assert_allclose(loss, 0.25, rtol=1e-5)


def test_a_hole_anywhere_keeps_its_size_and_moves_with_the_image():
  method = context_encoder.Method(hole=0.375, place="anywhere")
  middle = method.middle(jax.random.key(0), jnp.arange(4000), 1)
  for size_px in (8, 16):
    holes = context_encoder.square(size_px, method.hole, middle)
    np.testing.assert_array_equal(holes.sum((2, 3, 4)), (size_px * method.hole) ** 2)
    assert (holes.sum((0, 1)) > 0).all()  # every pixel is hidden once
  few = method.middle(jax.random.key(0), jnp.array([7]), 1)
  np.testing.assert_array_equal(few[0], middle[7])


@pytest.mark.parametrize("resolution", [4, 8, 32])
def test_decoder_paints_the_resolution(resolution):
  decoder = Decoder(resolution, 16)
  (picture, _), _ = decoder.init_with_output(jax.random.key(0), jnp.ones((2, 5)), train=False)
  assert picture.shape == (2, resolution, resolution, 3)


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: Decoder(24), "resolution 24 is not 4 times a power of two"),
    (lambda: methods.get("context_encoder")(hole=1.0), "hole 1.0 is out of range"),
    (lambda: methods.get("context_encoder")(place="x"), "place 'x' is unknown; use centre or"),
    (lambda: methods.get("jigsaw")(num_permutations=1), "num_permutations 1 is out of range"),
    (lambda: methods.get("jigsaw")(dropout=1.0), "dropout 1.0 is out of range"),
  ],
)
def test_bad_values_are_named(make, message):
  with pytest.raises(errors.UserError, match=message):
    make()


def test_exemplar_asks_for_its_views():
  assert exemplar.Method().num_views == 8
  assert len(augment.recipe("crop_only", num_views=exemplar.Method().num_views).views) == 8
