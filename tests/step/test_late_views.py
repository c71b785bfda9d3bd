"""A step in parts makes the views of a part inside it: the same views, in less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trial

from contrastive_jax import augment, methods, parallel
from contrastive_jax.models import resnet
from contrastive_jax.step import inputs as inputs_lib

BATCH, CANVAS_PX, VIEW_PX = 16, 24, 16
NET = resnet.ResNet((1,), resnet.BasicBlock, 8, stem="cifar_s2", zero_gamma=False, bn_groups=8)


def loss_of(name, late, num_devices):
  """Returns a method's loss, statistics and gradient, in two parts, of drawn views."""
  method = trial.small(name)
  net = method.network(NET).clone(micro_batches=2)
  extra = {"local_size_px": 8} if method.num_local_views else {}
  if name == "looc":
    extra["rotate"] = 1.0  # one of the operations that its views share
  recipe = augment.recipe(
    "simclr",
    size_px=VIEW_PX,
    num_views=method.num_views,
    local_views=method.num_local_views,
    **extra,
  )
  rng = np.random.default_rng(0)
  rows = {
    "image": rng.integers(0, 256, (BATCH, CANVAS_PX, CANVAS_PX, 3), np.uint8),
    "extent": rng.integers(CANVAS_PX // 2, CANVAS_PX + 1, (BATCH, 2), np.int32),
    "label": np.arange(BATCH, dtype=np.int32) % 4,
    "index": np.arange(BATCH, dtype=np.int32),
  }
  mesh = parallel.make_mesh(jax.devices()[:num_devices])
  with parallel.use(mesh):
    variables = jax.jit(lambda key: net.init(key, jnp.zeros((1, VIEW_PX, VIEW_PX, 3)), False))(
      jax.random.key(1)
    )
    task = methods.Task(BATCH, 4, BATCH, VIEW_PX)
    memory = method.init_memory(net, variables, task, jax.random.key(2))
    state = (variables["params"], variables.get("batch_stats", {}), memory)

    def loss(params, stats, memory, batch):
      inputs = inputs_lib.of(method, recipe, batch, seed=0, epoch=jnp.int32(1), late=late)
      value, aux = method.loss(net, params, stats, memory, inputs, jax.random.key(3))
      return value, aux.stats

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    return jax.device_get(step(*parallel.replicate(state, mesh), parallel.put(rows, mesh)))


# All views through one network; one view each through two; views of two sizes; pixels cut up.
@pytest.mark.parametrize(
  "name, num_devices",
  [("simclr", 2), ("moco", 1)]
  + [pytest.param(name, 1, marks=pytest.mark.thorough) for name in ("dino", "jigsaw", "looc")],
)
def test_late_views_are_the_views(name, num_devices):
  trial.assert_close(loss_of(name, False, 1), loss_of(name, True, num_devices))


def test_late_views_need_the_memory_of_a_part():
  recipe = augment.recipe("simclr", size_px=8, num_views=2)

  def temporaries(late):
    make = augment.late_views if late else augment.views

    def mean(image, extent, index):
      views = make(recipe, jax.random.key(0), 0, image, extent, index)
      parts = jax.tree.map(lambda x: parallel.split_rows(x, 8), views)
      return jax.lax.map(lambda part: augment.made(part).mean(), parts)

    image = jax.ShapeDtypeStruct((64, 96, 96, 3), jnp.uint8)
    extent, index = (jax.ShapeDtypeStruct(shape, jnp.int32) for shape in ((64, 2), (64,)))
    compiled = jax.jit(mean).lower(image, extent, index).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  assert temporaries(True) < temporaries(False) / 4


def test_of_late_views_slices_of_views_are_taken():
  recipe = augment.recipe("simclr", size_px=8, num_views=3)
  image = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
  batch = (jnp.asarray(image), jnp.full((2, 2), 8), jnp.arange(2))
  late = augment.late_views(recipe, jax.random.key(0), 0, *batch)
  whole = jax.jit(lambda: late.made())()
  assert late.shape == whole.shape == (2, 3, 8, 8, 3)
  turned = late[:, ::-1][:, :2]
  np.testing.assert_array_equal(jax.jit(lambda: turned.made())(), whole[:, ::-1][:, :2])
  with pytest.raises(TypeError, match="second axis"):
    late[:, 0]
