"""Local views: their figures, what they depend on, and that the global views do not notice them."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image

from contrastive_jax import augment, build, config, errors, keys, methods, parallel
from contrastive_jax import step as step_lib
from contrastive_jax.methods import base
from contrastive_jax.step import online
from contrastive_jax.step.state import TrainState
from contrastive_jax.training import preview

SIZE_PX, B = 16, 16


@pytest.mark.parametrize(
  "name, count, area, local_area, blur_p",
  [("swav", 6, (0.14, 1.0), (0.05, 0.14), 0.5), ("dino", 8, (0.4, 1.0), (0.05, 0.4), 0.5)],
)
def test_the_published_figures(name, count, area, local_area, blur_p):
  recipe = augment.recipe(name, 224, local_views=count)
  assert (recipe.size_px, recipe.local.size_px, len(recipe.local.views)) == (224, 96, count)
  first = dict(recipe.views[0])
  assert (first["crop"].min_area, first["crop"].max_area) == area
  for pipeline in recipe.local.views:
    local = dict(pipeline)
    assert (local["crop"].min_area, local["crop"].max_area) == local_area
    assert (local["crop"].size_px, local["blur"].p) == (96, blur_p)
    assert "solarize" not in local
    assert {k: local[k] for k in ("flip", "jitter", "grey")} == {
      k: first[k] for k in ("flip", "jitter", "grey")
    }
  assert (recipe.local.mean, recipe.local.interpolation) == (recipe.mean, recipe.interpolation)
  assert dict(recipe.probe)["crop"].max_area == 1.0


def test_options_reach_the_views_they_name():
  recipe = augment.recipe(
    "simclr_cifar",
    32,
    max_area=0.9,
    blur=0.3,
    local_views=2,
    local_size_px=12,
    local_min_area=0.02,
    local_max_area=0.3,
  )
  crop, local = dict(recipe.views[0])["crop"], dict(recipe.local.views[0])["crop"]
  assert (crop.size_px, crop.min_area, crop.max_area, crop.min_covered) == (32, 0.08, 0.9, 0.1)
  assert (local.size_px, local.min_area, local.max_area, local.min_covered) == (12, 0.02, 0.3, 0.02)
  assert dict(recipe.local.views[0])["blur"].p == 0.3
  assert augment.recipe("simclr_cifar", 32).local is None
  assert augment.recipe("simclr_cifar", 32, local_views=1).local.size_px == 14  # 32 · 96/224


@pytest.mark.parametrize(
  "name, options, message",
  [
    ("none", {"local_views": 2}, "local_views 2: recipe 'none' does not crop"),
    ("swav", {"local_views": -1}, "local_views -1 is not a positive integer"),
    ("swav", {"local_views": 1, "local_size_px": 0}, "local_size_px 0 is not a positive integer"),
    ("swav", {"local_size_px": 8}, "there are no local views"),
    ("swav", {"max_area": 0.1}, "min_area 0.14 is above augment.max_area 0.1"),
    ("swav", {"local_views": 1, "local_min_area": 0.5}, "local_min_area 0.5 is above"),
    ("swav", {"max_area": 1.5}, "max_area 1.5 is not a fraction"),
  ],
)
def test_bad_input_is_refused_in_one_line(name, options, message):
  with pytest.raises(errors.UserError) as caught:
    augment.recipe(name, **options)
  assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["swav", "simclr"])  # of both samplers
def test_drawn_crops_have_the_areas_asked_for(name):
  recipe = augment.recipe(name, 64, max_area=0.6, local_views=1)

  def areas(recipe):
    def one(key):
      box = augment.sample_views(recipe, key, jnp.asarray([200, 200]))[0]["crop"]
      return box["height"] * box["width"] / 200**2

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 500)))

  large, small = areas(recipe), areas(recipe.local)
  slack = 0.01  # sides are whole pixels
  assert small.min() >= 0.05 - slack and small.max() <= 0.14 + slack and np.ptp(small) > 0.05
  assert large.max() <= 0.6 + slack and np.ptp(large) > 0.3


def test_the_picture_of_views_shows_the_local_ones_beside_the_others(tmp_path):
  recipe = augment.recipe("crop_only", 8, local_views=3, local_size_px=4)
  rng = np.random.default_rng(0)
  batch = {
    "image": rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8),
    "extent": np.full((2, 2), 8, np.int32),
    "index": np.arange(2, dtype=np.int32),
  }
  mine = tmp_path / "mine.png"
  mine.write_text("mine")
  (tmp_path / "views.png").symlink_to(mine)
  path = preview.save(str(tmp_path), Show(), recipe, batch, seed=0)
  assert mine.read_text() == "mine" and not path.is_symlink()
  shown = np.asarray(Image.open(path))
  assert shown.shape == (2 * 10 - 2, (2 + 3) * 10 - 2, 3)
  local = augment.views(recipe.local, keys.stream(0, "local_views"), 0, *batch.values())
  small = augment.grid(local, recipe, gap_px=0)
  for row, column in ((0, 0), (1, 2)):
    large = shown[10 * row :, 10 * (2 + column) :][:8, :8]
    wanted = small[4 * row :, 4 * column :][:4, :4]
    # Compiled with another view beside it, a byte may round the other way.
    np.testing.assert_allclose(large, wanted.repeat(2, 0).repeat(2, 1), atol=1)


MEMORY = {"views": jnp.zeros(()), "local": jnp.zeros(())}  # a step fills it


@dataclasses.dataclass(frozen=True)
class Show(base.Method):
  """A method without a network whose features are the pixels of its views."""

  num_local_views = 3

  def loss(self, net, params, stats, memory, batch, key):
    flat = {k: v.reshape(*v.shape[:2], -1) for k, v in batch.items() if "views" in k}
    local = flat.get("local_views", flat["views"])
    aux = base.Aux(stats, {}, {"h": flat["views"], "z": local}, carry=(flat["views"], local))
    return jnp.sum(params), aux

  def update_memory(self, memory, params, carry, progress):
    return dict(zip(memory, (parallel.gather(x) for x in carry), strict=True))


def shown(recipe, mesh):
  step = step_lib.make(
    Show(),
    types.SimpleNamespace(micro_batches=1),
    optax.sgd(0.1),
    online.Probe(0),
    recipe,
    seed=0,
    steps_per_epoch=1,
    total_steps=9,
  )
  rng = np.random.default_rng(0)
  batch = {
    "image": rng.integers(0, 256, (B, 24, 24, 3), dtype=np.uint8),
    "extent": np.full((B, 2), 24, np.int32),
    "label": np.zeros(B, np.int32),
    "index": np.arange(B, dtype=np.int32),
    "replaced": np.zeros(B, np.int32),
  }
  state = TrainState(
    jnp.zeros((), jnp.int32), jnp.zeros(()), {}, optax.sgd(0.1).init(0.0), MEMORY, {}
  )
  with parallel.use(mesh):
    state, _ = jax.jit(step)(parallel.replicate(state, mesh), parallel.put(batch, mesh))
  return [np.asarray(x).reshape(*x.shape[:2], -1, 3) for x in state.memory.values()]


def test_a_step_shows_local_views_that_differ_and_leaves_the_global_ones_as_they_are():
  one, eight = parallel.make_mesh(jax.devices()[:1]), parallel.make_mesh()
  views, local = shown(augment.recipe("crop_only", SIZE_PX, local_views=3), one)
  assert local.shape == (B, 3, 7 * 7, 3)
  assert all(np.abs(local[:, 0] - local[:, i]).max() > 0.1 for i in (1, 2))
  without, _ = shown(augment.recipe("crop_only", SIZE_PX), one)
  np.testing.assert_array_equal(views, without)
  divided = shown(augment.recipe("crop_only", SIZE_PX, local_views=3), eight)
  for a, b in zip((views, local), divided, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_local_views_share_no_draw_with_the_global_ones():
  """Made of the same crops, a local view would otherwise be the global view of its number."""
  alike = dict(local_size_px=SIZE_PX, local_min_area=0.1, local_max_area=1.0)
  recipe = augment.recipe("crop_only", SIZE_PX, min_area=0.1, local_views=2, **alike)
  views, local = shown(recipe, parallel.make_mesh(jax.devices()[:1]))
  assert (np.abs(views - local).max(axis=(2, 3)) > 0.01).all()


def test_the_run_has_as_many_local_views_as_its_method_needs():
  c = config.pretrain("simclr")
  assert build.recipe(c).local is None and methods.get("simclr")().num_local_views == 0
  c.augment.local_views = 2
  with pytest.raises(errors.UserError, match='local_views 2: method "simclr" needs 0'):
    build.recipe(c)
