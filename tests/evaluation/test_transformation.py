"""Which transformation was applied: what is drawn, against NumPy, and what encoders keep of it."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import members
import numpy as np
import pytest
from scipy import ndimage

from contrastive_jax import augment, data, errors, parallel
from contrastive_jax.data import pipeline
from contrastive_jax.evaluation import features, protocols, transformation
from contrastive_jax.evaluation import images as eval_images

SIZE_PX, NUM_TRAIN, NUM_TEST = 8, 440, 400
VIEW = augment.recipe("crop_only", SIZE_PX)
LUMINANCE = np.array([0.299, 0.587, 0.114])
OPTIONS = transformation.Options(hidden_size=32, rates=(1e-2,), steps=200, batch_size=128)


def pixels(variables, x):
  return {"pixels": x.reshape(len(x), -1)}


def mean_over_turns(variables, x):
  turned = jnp.stack([jnp.rot90(x, turns, axes=(1, 2)) for turns in range(4)])
  # Sorted, so that sums are of equal numbers in an equal order.
  return {"pixels": jnp.sort(turned, axis=0).mean(0).reshape(len(x), -1)}


class Unlabelled:
  """Images of two colours, the lighter one at the top, that nobody has labelled."""

  num_classes, label_names, factors, native_size_px = 0, (), {}, SIZE_PX

  def __init__(self, seed, count):
    rng = np.random.default_rng(seed)
    top, bottom = rng.uniform(0.5, 0.9, (count, 3)), rng.uniform(0.1, 0.5, (count, 3))
    height = np.linspace(0, 1, SIZE_PX)[:, None, None]
    ramp = top[:, None, None] * (1 - height) + bottom[:, None, None] * height
    grain = rng.uniform(-0.05, 0.05, (count, SIZE_PX, SIZE_PX, 1))
    self.images = (255 * (ramp + grain)).astype(np.uint8)

  def __len__(self):
    return len(self.images)

  def __getitem__(self, index):
    return {"image": self.images[index], "label": -1, "index": index}


IMAGES = eval_images.Images(
  train=Unlabelled(0, NUM_TRAIN),
  test=Unlabelled(1, NUM_TEST),
  train_name="train",
  test_name="test",
  num_classes=0,
  label_names=(),
  view=VIEW,
  batch_size=100,
  pipeline_options={},
  order_name="feistel",
)


def mesh_of(num_devices):
  return parallel.make_mesh(jax.devices()[:num_devices])


def task(function, num_devices=1, seed=0):
  encoder = protocols.Encoder("checkpoint", function, {}, ("pixels",))
  mesh = mesh_of(num_devices)
  return protocols.Task(encoder, "pixels", None, None, IMAGES, mesh, seed, None)


@functools.cache
def transformed(name, num_devices=1, seed=0):
  """Views of the test images, transformed, and the classes; smaller batches on more devices."""
  change = transformation.change(name, VIEW, jax.random.key(seed))
  asked = task(pixels, num_devices)
  images = dataclasses.replace(IMAGES, batch_size=100 // num_devices)
  found = protocols.extract(asked.encoder, IMAGES.test, images, asked.mesh, change)
  return found.layers["pixels"].reshape(-1, SIZE_PX, SIZE_PX, 3), found.label


def plain():
  """Views of the test images in [0, 1], which are of the views' size."""
  return IMAGES.test.images.astype(np.float64) / 255


def grey(image):
  return np.repeat((image @ LUMINANCE)[..., None], 3, axis=-1)


def edges(image):
  found = [ndimage.sobel(image @ LUMINANCE, axis, mode="nearest") for axis in (0, 1)]
  strength = np.minimum(np.hypot(*found) / 4, 1)
  return np.repeat(strength[..., None], 3, axis=-1)


@pytest.mark.parametrize("name", transformation.TASKS)
def test_the_label_says_what_was_done_to_the_image(name):
  views, label = transformed(name)
  mean, std = np.asarray(VIEW.mean), np.asarray(VIEW.std)
  shown, before = views * std + mean, plain()
  if name == "noise":
    changed = np.abs(shown - before).max(axis=(1, 2, 3)) > 1e-5
    np.testing.assert_array_equal(changed, label == 1)
    added = (shown - before)[label == 1]
    assert added.std() == pytest.approx(0.1, abs=0.005)  # few are clipped
    assert len(np.unique(added[:, 0, 0, 0])) > 0.9 * len(added)  # each image has its own
    return
  expected = {
    "color": lambda image, number: grey(image) if number else image,
    "rotation": lambda image, number: np.rot90(image, number),
    "sobel": lambda image, number: edges(image) if number else image,
  }[name]
  for image, number, got in zip(before, label, shown, strict=True):
    np.testing.assert_allclose(got, expected(image, number), atol=1e-5)  # of float32


@pytest.mark.parametrize("name", transformation.TASKS)
def test_classes_have_their_shares_and_depend_on_seed_and_index_alone(name):
  one, two, other = transformed(name), transformed(name, num_devices=2), transformed(name, seed=1)
  np.testing.assert_array_equal(one[1], two[1])
  np.testing.assert_allclose(one[0], two[0], atol=1e-5)
  assert np.mean(one[1] == other[1]) < 0.9
  for number, share in enumerate(transformation.TASKS[name].shares):
    deviation = np.sqrt(share * (1 - share) / NUM_TEST)
    assert abs(np.mean(one[1] == number) - share) < 4 * deviation


def test_pixels_tell_what_was_done_and_one_number_a_task_is_recorded():
  record = protocols.transformation(task(pixels), OPTIONS)
  assert (record["num_train"], record["num_test"]) == (NUM_TRAIN, NUM_TEST)
  names = ("color", "rotation", "noise", "sobel")
  assert tuple(record["tasks"]) == names
  assert min(record[name] for name in ("color", "rotation", "sobel")) > 0.95
  assert record["noise"] > 0.6  # by pixels one by one
  assert record["top1"] == pytest.approx(np.mean([record[name] for name in names]))
  chances = [record["tasks"][name]["chance"] for name in names]
  assert chances == [0.8, 0.25, 0.5, 0.5]
  assert len(record["tasks"]["rotation"]["per_class"]) == 4


def test_an_encoder_that_rotations_leave_alone_is_at_chance():
  options = transformation.Options(("rotation",), hidden_size=32, rates=(1e-2,), steps=200)
  record = protocols.transformation(task(mean_over_turns), options)
  deviation = np.sqrt(0.25 * 0.75 / NUM_TEST)
  assert abs(record["rotation"] - 0.25) < 4 * deviation
  assert record["tasks"]["rotation"]["train_top1"] > 0.3  # it has tried


def test_devices_do_not_change_the_result():
  options = transformation.Options(("sobel",), hidden_size=8, rates=(1e-3,), steps=20)
  one, two = (protocols.transformation(task(pixels, n), options)["sobel"] for n in (1, 2))
  assert one == pytest.approx(two, abs=2 / NUM_TEST)  # sums in another order turn an image or two


_PROCESS = """
import json
from contrastive_jax import augment, data, parallel
from contrastive_jax.data import pipeline
from contrastive_jax.evaluation import features, transformation
source = data.build("shapes", split="test", size_px=8, num_test=21)
batches = pipeline.eval_batches(source, batch_size=6, **pipeline.this_process())
view, mesh = augment.recipe("crop_only", 8), parallel.make_mesh()
change = transformation.change("rotation", view, jax.random.key(0))
found = features.collect(
  features.OfPixels(), {}, batches, view=view, mesh=mesh, change=change
)
options = transformation.Options(hidden_size=4, rates=(1e-3, 1e-2), steps=2, batch_size=8)
scored = transformation.evaluate("rotation", "pixels", found, found, options, mesh)
out = {"label": found.label.tolist(), "scored": scored}
open(sys.argv[3] + sys.argv[2], "w").write(json.dumps(out))
"""


@pytest.mark.slow
def test_two_processes_draw_what_one_draws_and_agree_on_the_score(tmp_path):
  members.two(_PROCESS, str(tmp_path / "process"))
  one, two = (json.loads((tmp_path / f"process{i}").read_text()) for i in range(2))
  assert one == two
  source = data.build("shapes", split="test", size_px=8, num_test=21)
  batches = pipeline.eval_batches(source, batch_size=10)
  change = transformation.change("rotation", VIEW, jax.random.key(0))
  alone = features.collect(
    features.OfPixels(), {}, batches, view=VIEW, mesh=mesh_of(1), change=change
  )
  assert one["label"] == alone.label.tolist()


@pytest.mark.parametrize(
  "options, line",
  [
    ({"which": ()}, "transformation.which is empty; use some of color, rotation, noise, sobel"),
    ({"which": ("blur",)}, 'transformation.which has "blur"; use some of color'),
    ({"hidden_size": 0}, "transformation.hidden_size 0 is below 1; use 1 or more"),
    ({"hidden_layers": -1}, "transformation.hidden_layers -1 is below 0; use 0 or more"),
    ({"steps": 0}, "transformation.steps 0 is below 1; use 1 or more"),
    ({"rates": ()}, "transformation.rates is empty; use e.g. (1e-3,)"),
    ({"rates": (0.0,)}, "transformation.rates 0.0 is not positive; use e.g. 1e-3"),
    ({"validation_fraction": 1.0}, "transformation.validation_fraction 1.0 is outside (0, 1)"),
  ],
)
def test_options_out_of_range_are_named(options, line):
  with pytest.raises(errors.UserError) as caught:
    transformation.Options(**options)
  assert line in str(caught.value)
