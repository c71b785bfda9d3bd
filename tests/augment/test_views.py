"""Views of a batch: what they depend on, what they do not, sharing, devices, evaluation views."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from contrastive_jax import augment, parallel
from contrastive_jax.augment.crop import central_box
from contrastive_jax.augment.resize import resize

_SIZE_PX = 16
_COLLECTIVES = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")


def _batch(count=16, host_px=24, seed=0):
  """Images of random extents in the corner of a square; the rest is zero."""
  rng = np.random.default_rng(seed)
  image = rng.integers(0, 256, (count, host_px, host_px, 3)).astype(np.uint8)
  extent = rng.integers(host_px // 2, host_px + 1, (count, 2)).astype(np.int32)
  inside = np.arange(host_px) < extent[..., None]
  image *= (inside[:, 0, :, None] & inside[:, 1, None, :])[..., None]
  return image, extent, np.arange(count, dtype=np.int32)


def _pillow_resize(image, size_px, kernel):
  """Resizes each channel as 32-bit floats in [0, 1], without Pillow's rounding to whole levels."""
  planes = [
    Image.fromarray(image[..., c] / np.float32(255)).resize((size_px, size_px), kernel)
    for c in range(3)
  ]
  return np.clip(np.stack([np.asarray(plane) for plane in planes], axis=-1), 0, 1)


# Every operation there is.
_EVERYTHING = augment.recipe(
  "moco_v2", _SIZE_PX, solarize=0.5, rotate=0.5, sobel=0.5, noise=0.5, cutout=0.5
)
# Two different pipelines, cheap to compile.
_ASYMMETRIC = augment.recipe("byol", _SIZE_PX, color_strength=0, family="torchvision")
_PLAIN = augment.recipe("crop_only", _SIZE_PX)


def _jitted(recipe):
  return jax.jit(lambda key, epoch, *batch: augment.views(recipe, key, epoch, *batch))


@pytest.fixture(scope="module")
def plain():
  return _jitted(_PLAIN)


@pytest.fixture(scope="module")
def everything():
  return _jitted(_EVERYTHING)


@pytest.fixture(scope="module")
def probe():
  return jax.jit(lambda key, *batch: augment.probe_view(_PLAIN, key, *batch))


def test_views_have_the_documented_shape_type_and_range(everything):
  views = everything(jax.random.key(0), 0, *_batch())
  assert views.shape == (16, 2, _SIZE_PX, _SIZE_PX, 3) and views.dtype == jnp.float32
  pixels = np.asarray(views) * _EVERYTHING.std + _EVERYTHING.mean
  # To undo the normalisation costs a rounding or two.
  assert -1e-6 <= pixels.min() < 0.1 and 0.9 < pixels.max() <= 1 + 1e-6


def test_views_are_fixed_by_seed_epoch_index_and_view_number(plain):
  image, extent, index = _batch(4)
  key = jax.random.key(0)
  base = np.asarray(plain(key, 0, image, extent, index))
  np.testing.assert_array_equal(plain(key, 0, image, extent, index), base)
  others = {
    "seed": plain(jax.random.key(1), 0, image, extent, index),
    "epoch": plain(key, 1, image, extent, index),
    "index": plain(key, 0, image, extent, index + 4),
    "view": base[:, ::-1],
  }
  for name, other in others.items():
    different = np.abs(np.asarray(other) - base).max(axis=(1, 2, 3, 4))
    assert (different > 0.01).all(), name


def test_views_follow_the_documented_chain_of_keys(plain):
  """The key of view v is fold_in(fold_in(fold_in(seed, epoch), index), v)."""
  image, extent, index = _batch(4)
  got = plain(jax.random.key(7), 5, image, extent, index)
  key = jax.random.key(7)
  for data in (5, int(index[2])):
    key = jax.random.fold_in(key, data)

  @jax.jit
  def by_hand(key, extent, image):
    params = augment.sample_views(_PLAIN, key, extent)
    return [augment.apply_view(_PLAIN, view, params[view], image) for view in range(2)]

  want = by_hand(key, extent[2], augment.to_float(image[2]))
  np.testing.assert_allclose(got[2], np.stack(want), atol=1e-6)


def test_views_do_not_depend_on_the_position_in_the_batch(everything):
  image, extent, index = _batch()
  order = np.random.default_rng(1).permutation(16)
  base = np.asarray(everything(jax.random.key(0), 2, image, extent, index))
  moved = everything(jax.random.key(0), 2, image[order], extent[order], index[order])
  np.testing.assert_array_equal(moved, base[order])


def test_the_padding_around_an_image_is_never_looked_at(everything, probe):
  image, extent, index = _batch()
  inside = np.arange(24) < extent[..., None]
  outside = ~(inside[:, 0, :, None] & inside[:, 1, None, :])
  poisoned = np.where(outside[..., None], np.uint8(255), image)
  assert (poisoned != image).any()
  key = jax.random.key(0)
  want = everything(key, 0, image, extent, index)
  np.testing.assert_array_equal(everything(key, 0, poisoned, extent, index), want)
  for recipe in (_PLAIN, augment.recipe("crop_only", 64)):
    test_view = jax.jit(lambda x, e, recipe=recipe: augment.test_view(recipe, x, e))
    np.testing.assert_array_equal(test_view(poisoned, extent), test_view(image, extent))
  want = probe(key, image, extent, index)
  np.testing.assert_array_equal(probe(key, poisoned, extent, index), want)


def test_eight_devices_give_the_views_of_one_and_move_no_image(everything, probe):
  image, extent, index = _batch()
  key = jax.random.key(0)
  want = (everything(key, 3, image, extent, index), probe(key, image, extent, index))
  mesh = parallel.make_mesh()
  assert mesh.size == 8

  @jax.jit
  def both(key, epoch, image, extent, index):
    views = augment.views(_EVERYTHING, key, epoch, image, extent, index)
    return views, augment.probe_view(_PLAIN, key, image, extent)  # index: the position, by default

  with parallel.use(mesh):
    batch = parallel.put((image, extent, index), mesh)
    compiled = both.lower(key, 3, *batch).compile()
    got = compiled(key, 3, *batch)
  text = compiled.as_text()
  assert not [name for name in _COLLECTIVES if name in text]
  for a, b in zip(got, want, strict=True):
    assert len({shard.index[0].start for shard in a.addressable_shards}) == 8
    # Two images a device instead of 16: XLA orders a few sums differently.
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-5)


@pytest.mark.parametrize("name", augment.NAMES)
def test_every_recipe_traces_on_an_explicit_mesh_and_keeps_the_batch_sharded(name):
  recipe = augment.recipe(name, _SIZE_PX, num_views=3)
  mesh = parallel.make_mesh()
  with parallel.use(mesh):
    image, extent, index = parallel.put(_batch(), mesh)
    views, test = jax.eval_shape(
      lambda: (
        augment.views(recipe, jax.random.key(0), 0, image, extent, index),
        augment.test_view(recipe, image, extent),
      )
    )
  assert views.shape == (16, 3, _SIZE_PX, _SIZE_PX, 3)
  assert test.shape == (16, _SIZE_PX, _SIZE_PX, 3)
  assert views.sharding.spec[0] == test.sharding.spec[0] == index.sharding.spec[0]


def test_one_operations_draw_can_be_shared_between_views():
  """Merging two dicts between sampling and applying shares the flip and leaves the crops apart."""
  recipe = augment.recipe("crop_only", _SIZE_PX, num_views=2)
  image = np.random.default_rng(0).random((_SIZE_PX, _SIZE_PX, 3)).astype(np.float32)

  @jax.jit
  @jax.vmap
  def sample(key):
    extent = jnp.full(2, _SIZE_PX)
    query, other = augment.sample_views(recipe, key, extent)
    merged = other | {"flip": query["flip"]}
    return query, other, merged, augment.apply_views(recipe, (query, merged), jnp.asarray(image))

  query, other, merged, views = sample(jax.random.split(jax.random.key(0), 64))
  np.testing.assert_array_equal(merged["flip"]["on"], query["flip"]["on"])
  assert (np.asarray(other["flip"]["on"]) != np.asarray(query["flip"]["on"])).any()
  for name in ("top", "left", "height", "width"):
    np.testing.assert_array_equal(merged["crop"][name], other["crop"][name])
  params = jax.tree.map(lambda x: x[5], merged)
  want = augment.apply_view(recipe, 1, params, jnp.asarray(image))
  np.testing.assert_allclose(views[5, 1], want, atol=1e-6)


def test_equal_and_different_pipelines_give_equal_views():
  """Views of one pipeline take a shorter way through the program; it must not show."""
  pipeline = _ASYMMETRIC.views[0]
  alike = dataclasses.replace(_ASYMMETRIC, views=(pipeline, pipeline))
  image, extent, index = _batch(8)
  a = _jitted(alike)(jax.random.key(0), 0, image, extent, index)
  b = _jitted(_ASYMMETRIC)(jax.random.key(0), 0, image, extent, index)
  np.testing.assert_allclose(a[:, 0], b[:, 0], atol=1e-5)
  assert np.abs(a[:, 1] - b[:, 1]).max() > 0.01  # blurred always, and one time in ten


def test_a_change_to_one_operation_leaves_the_draws_of_the_others_alone():
  key, extent = jax.random.key(3), jnp.asarray([32, 32])
  base, without_flip, with_more = (
    jax.jit(lambda key, r=recipe: augment.sample_views(r, key, extent)[0])(key)
    for recipe in (
      _PLAIN,
      augment.recipe("crop_only", flip=False),
      augment.recipe("crop_only", rotate=0.5, solarize=0.5),
    )
  )
  assert set(base) == {"crop", "flip"}
  jax.tree.map(np.testing.assert_array_equal, without_flip["crop"], base["crop"])
  jax.tree.map(np.testing.assert_array_equal, {k: with_more[k] for k in base}, base)


def test_the_views_of_recipe_none_are_the_image():
  image, _, index = _batch(4, host_px=_SIZE_PX)
  extent = np.full((4, 2), _SIZE_PX, np.int32)
  views = _jitted(augment.recipe("none", _SIZE_PX))(jax.random.key(0), 0, image, extent, index)
  for view in range(2):
    np.testing.assert_array_equal(views[:, view], augment.to_float(image))


def test_small_test_view_is_the_whole_image_and_exact_at_its_own_size():
  image, extent, _ = _batch(4, host_px=32)
  full = np.full((4, 2), 32, np.int32)
  recipe = augment.recipe("simclr_cifar", 32)
  view = jax.jit(lambda x, e: augment.test_view(recipe, x, e))
  np.testing.assert_array_equal(view(image, full), augment.to_float(image))
  got = np.asarray(view(image, extent))
  height, width = extent[1]
  want = _pillow_resize(image[1, :height, :width], 32, Image.Resampling.BICUBIC)
  np.testing.assert_allclose(got[1], want, atol=3e-6)  # both compute in float32


def test_large_test_view_is_the_central_square_of_seven_eighths():
  image, _, _ = _batch(2, host_px=128)
  extent = np.asarray([[128, 96], [80, 128]], np.int32)
  recipe = augment.recipe("moco_v2", 64)
  got = np.asarray(jax.jit(lambda x, e: augment.test_view(recipe, x, e))(image, extent))
  for i, (top, left, side) in enumerate([(22, 6, 84), (5, 29, 70)]):
    square = image[i, top : top + side, left : left + side]
    want = _pillow_resize(square, 64, Image.Resampling.BILINEAR)
    want = (want - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    np.testing.assert_allclose(got[i], want, atol=2e-5)  # 3e-6 over the standard deviation


def test_test_view_is_resized_as_the_recipe_resizes_crops():
  image, _, _ = _batch(2, host_px=128)
  extent = np.full((2, 2), 128, np.int32)
  box = central_box(jnp.asarray([128, 128]), 0.875)
  for antialias in (False, True):
    recipe = augment.recipe("simclr", 64, antialias=antialias)
    got = augment.test_view(recipe, image, extent)
    want = resize(augment.to_float(image[0]), box, 64, "bicubic", antialias)
    np.testing.assert_allclose(got[0], want, atol=1e-6)


def test_probe_view_crops_and_flips_and_depends_on_the_key_and_the_index(probe):
  recipe = augment.recipe("moco_v2", 32, min_area=0.5, grey_p=1.0)
  assert [name for name, _ in recipe.probe] == ["crop", "flip"]
  crop, flip = (operation for _, operation in recipe.probe)
  assert (crop.min_area, crop.max_area, flip.p) == (0.08, 1.0, 0.5)
  image, extent, index = _batch()
  base = np.asarray(probe(jax.random.key(0), image, extent, index))
  assert base.shape == (16, _SIZE_PX, _SIZE_PX, 3)
  for other in (
    probe(jax.random.key(1), image, extent, index),
    probe(jax.random.key(0), image, extent, index + 16),
  ):
    assert (np.abs(np.asarray(other) - base).max(axis=(1, 2, 3)) > 0.01).all()


def test_color_strength_0_keeps_every_channel_apart():
  """An image with red alone stays red in all views."""
  image = np.zeros((32, 16, 16, 3), np.uint8)
  image[..., 0] = np.random.default_rng(0).integers(100, 256, (32, 16, 16))
  extent, index = np.full((32, 2), 16, np.int32), np.arange(32, dtype=np.int32)
  recipe = augment.recipe("simclr_cifar", _SIZE_PX, color_strength=0)
  views = np.asarray(_jitted(recipe)(jax.random.key(0), 0, image, extent, index))
  assert views[..., 0].min() > 0 and (views[..., 1:] == 0).all()


def test_grid_lays_out_examples_in_rows_and_views_in_columns():
  rng = np.random.default_rng(0)
  pixels = rng.integers(0, 256, (3, 2, 8, 8, 3)).astype(np.uint8)
  recipe = augment.recipe("moco_v2", 8)
  views = (pixels / 255 - np.asarray(recipe.mean)) / np.asarray(recipe.std)
  picture = augment.grid(views.astype(np.float32), recipe, gap_px=1)
  assert picture.shape == (3 * 9 - 1, 2 * 9 - 1, 3) and picture.dtype == np.uint8
  np.testing.assert_array_equal(picture[18:26, 9:17], pixels[2, 1])
  assert (picture[8] == 255).all() and (picture[:, 8] == 255).all()
  np.testing.assert_array_equal(augment.grid(pixels[:1, :1] / 255), pixels[0, 0])
