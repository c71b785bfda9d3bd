"""Fine-tuning moves what leads to the layer, learns, and is the same on any number of devices."""

import dataclasses

import jax
import numpy as np
import pytest

from contrastive_jax import augment, data, errors, parallel
from contrastive_jax.data import pipeline
from contrastive_jax.evaluation import features, finetune, scores
from contrastive_jax.methods import simclr
from contrastive_jax.models import resnet

SIZE_PX, NUM_IMAGES = 16, 64
VIEW = augment.recipe("crop_only", SIZE_PX)
SOURCE = data.build("shapes", split="train", size_px=SIZE_PX, num_train=NUM_IMAGES)
CLASSES = SOURCE.num_classes


@pytest.fixture(scope="module")
def start():
  """An encoder with statistics per view, which pre-training had, and its fresh variables."""
  backbone = resnet.resnet8(stem="cifar_s2", width=0.5, zero_gamma=False, bn_views=2, bn_groups=4)
  net = simclr.Method(head_layers=3, embedding_size=16).network(backbone)
  variables = jax.jit(lambda key: net.init(key, np.zeros((1, SIZE_PX, SIZE_PX, 3)), train=False))(
    jax.random.key(0)
  )
  variables = jax.device_get({"params": variables["params"], "stats": variables["batch_stats"]})
  return features.OfNet(net, ("h", "z.1")), variables


def fit(start, layer="h", num_devices=1, **options):
  options = {"batch_size": 32, "epochs": 1, "min_steps": 0, "base_lr": 0.8} | options
  encoder, variables = start
  width = 32  # of h, and of the head's hidden layers
  return finetune.fit(
    encoder,
    layer,
    variables,
    SOURCE,
    CLASSES,
    finetune.Options(**options),
    parallel.make_mesh(jax.devices()[:num_devices]),
    num_features=width,
    view=VIEW,
  )


def moved(before, after):
  """Names of the top-level parts of the parameters that changed."""
  return {
    name
    for name in before
    if any(
      not np.array_equal(a, b)
      for a, b in zip(jax.tree.leaves(before[name]), jax.tree.leaves(after[name]), strict=True)
    )
  }


def test_it_moves_what_leads_to_the_layer_and_leaves_its_start_alone(start):
  before = jax.tree.map(np.copy, start[1])
  # 30 single views do not split into the groups and views of the pre-training's batch norm.
  from_h, (kernel, bias) = fit(start, "h", batch_size=30)
  assert moved(before["params"], from_h["params"]) == {"backbone"}
  assert np.any(kernel) and np.any(bias)
  from_head, _ = fit(start, "z.1")
  head = from_head["params"]["z"]
  assert moved(before["params"]["z"], head) == {"dense1", "norm1"}
  assert moved(before["stats"], from_h["stats"]) >= {"backbone"}
  jax.tree.map(np.testing.assert_array_equal, before, start[1])


@pytest.mark.slow
def test_it_learns_its_training_images(start):
  variables, classifier = fit(start, epochs=40)
  mesh = parallel.make_mesh(jax.devices()[:1])
  batches = pipeline.eval_batches(SOURCE, batch_size=32, **pipeline.this_process())
  found = features.collect(start[0], variables, batches, view=VIEW, mesh=mesh)
  top1 = scores.of_linear(*classifier, found.layers["h"], found.label, mesh).top1
  assert top1 > 0.5, f"{top1} of its own {NUM_IMAGES} images, by guessing {1 / CLASSES}"


def test_it_trains_on_the_patches_that_are_scored(start):
  """Training sees all that scoring sees: what a step makes of the weights depends on the grid."""
  encoder, variables = start
  whole, _ = fit((encoder, variables))
  patches, _ = fit((dataclasses.replace(encoder, patch_grid=2), variables))
  equal = jax.tree.map(np.array_equal, whole["params"]["backbone"], patches["params"]["backbone"])
  assert not any(jax.tree.leaves(equal))


def test_what_is_trained_is_what_is_scored(start):
  encoder, variables = start
  images = np.random.default_rng(0).normal(size=(3, SIZE_PX, SIZE_PX, 3)).astype(np.float32)
  for grid in (0, 2):
    with_grid = dataclasses.replace(encoder, patch_grid=grid)
    scored = with_grid(variables, images)
    trained, _ = with_grid.forward(variables["params"], variables["stats"], images, train=False)
    jax.tree.map(np.testing.assert_array_equal, scored, trained)


def test_devices_do_not_change_the_result(start):
  one, eight = fit(start, base_lr=0.1), fit(start, base_lr=0.1, num_devices=8)
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(eight), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4 * max(np.abs(a).max(), 1e-2))


def test_a_run_that_is_not_finite_is_stopped(start):
  encoder, variables = start
  broken = jax.tree.map(lambda x: np.full_like(x, np.nan), variables)
  with pytest.raises(errors.UserError, match=r"diverged at step 1 with finetune.base_lr 0.8"):
    fit((encoder, broken))


def test_options_out_of_range_are_named():
  with pytest.raises(errors.UserError, match="finetune.epochs 0 is below 1"):
    finetune.Options(epochs=0)
  with pytest.raises(errors.UserError, match="finetune.min_steps -1 is negative"):
    finetune.Options(min_steps=-1)
