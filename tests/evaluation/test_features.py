"""Every example once, in evaluation mode, on any number of devices and processes."""

import jax
import nets
import numpy as np
import pytest

from contrastive_jax import augment, errors, parallel
from contrastive_jax.augment import cells
from contrastive_jax.evaluation import features, pooling

SIZE = 6
VIEW = augment.recipe("simclr", size_px=SIZE)


@pytest.fixture(scope="module")
def net():
  """The net, its weights, and batch statistics that no batch has."""
  module = nets.Endpoints()
  variables = nets.random_variables(module, np.zeros((1, SIZE, SIZE, 3)))
  return module, variables["params"], variables["batch_stats"]


def _examples(n=24):
  """The first n of 24 examples."""
  rng = np.random.default_rng(0)
  examples = {
    "image": rng.integers(0, 256, (24, SIZE, SIZE, 3), np.uint8),
    "extent": np.full((24, 2), SIZE, np.int32),
    "label": rng.integers(0, 4, 24).astype(np.int32),
    "index": np.arange(24, dtype=np.int32),
    "mask": np.ones(24, bool),
    "replaced": np.zeros(24, np.int32),
  }
  return {k: v[:n] for k, v in examples.items()}


def _batches(examples, batch_size, pad=True):
  n = len(examples["image"])
  for start in range(0, n, batch_size):
    batch = {k: v[start : start + batch_size] for k, v in examples.items()}
    short = batch_size - len(batch["image"]) if pad else 0
    batch = {k: np.pad(v, [(0, short)] + [(0, 0)] * (v.ndim - 1)) for k, v in batch.items()}
    batch["index"][len(batch["index"]) - short :] = -1
    yield batch


@pytest.fixture(scope="module")
def direct(net):
  """The network on all 24 images at once, on one device, by Flax alone."""
  module, params, stats = net
  examples = _examples()

  @jax.jit
  def apply(image, extent):
    x = augment.test_view(VIEW, image, extent)
    return x, module.apply({"params": params, "batch_stats": stats}, x, train=False)

  pixels, ends = apply(examples["image"], examples["extent"])
  assert np.std(ends["h"], axis=0).min() > 0.01
  return {"pixels": np.asarray(pixels).reshape(24, -1)} | ends


@pytest.mark.parametrize(
  "n, batch_size, num_devices, pad",
  [(13, 5, 1, True), (13, 4, 8, True), (13, 4, 8, False), (24, 8, 8, True), (3, 8, 2, True)]
  + [(17, 17, 8, True), (1, 8, 8, False)],
)
def test_every_example_comes_exactly_once(net, direct, n, batch_size, num_devices, pad):
  examples = _examples(n)
  mesh = parallel.make_mesh(jax.devices()[:num_devices])
  batches = list(_batches(examples, batch_size, pad))
  found = features.extract(*net, batches, view=VIEW, layers=("h", "z"), mesh=mesh)
  np.testing.assert_array_equal(found.index, np.arange(n))
  np.testing.assert_array_equal(found.label, examples["label"])
  for layer in ("h", "z"):
    assert found.layers[layer].dtype == np.float32
    # The same float32 sums in another order.
    np.testing.assert_allclose(found.layers[layer], direct[layer][:n], rtol=1e-5, atol=1e-6)


def test_rows_come_in_the_order_of_the_source(net, direct):
  examples = _examples(13)
  order = np.random.default_rng(0).permutation(13)
  shuffled = {k: v[order] for k, v in examples.items()}
  mesh = parallel.make_mesh(jax.devices()[:2])
  found = features.extract(*net, _batches(shuffled, 4), view=VIEW, mesh=mesh)
  np.testing.assert_allclose(found.layers["h"], direct["h"][:13], rtol=1e-5, atol=1e-6)
  np.testing.assert_array_equal(found.label, examples["label"])


def test_one_program_for_all_batches_and_all_calls(net):
  mesh = parallel.make_mesh(jax.devices()[:4])
  before = features._encode._cache_size()
  for n in (13, 21):
    features.extract(
      *net, _batches(_examples(n), 9, pad=False), view=VIEW, layers=("z",), mesh=mesh
    )
  assert features._encode._cache_size() == before + 1


def test_stand_ins_of_unreadable_images_are_counted_and_dropped(net):
  examples = _examples(12)
  examples["replaced"][4] = 1
  examples["index"][4] = 5  # all of the slot is the neighbour's
  mesh = parallel.make_mesh(jax.devices()[:2])
  found = features.extract(*net, _batches(examples, 4), view=VIEW, mesh=mesh)
  assert found.replaced == 1
  np.testing.assert_array_equal(found.index, [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11])


def test_an_example_that_comes_twice_is_not_counted_twice(net):
  examples = _examples(8)
  examples["index"][3] = 2
  with pytest.raises(RuntimeError, match="1 examples came twice, the first with index 2"):
    features.extract(*net, _batches(examples, 4), view=VIEW, mesh=parallel.make_mesh())


def test_weights_and_statistics_are_left_as_they_are(net):
  module, params, stats = net
  before = jax.tree.map(np.copy, (params, stats))
  features.extract(*net, _batches(_examples(8), 4), view=VIEW, mesh=parallel.make_mesh())
  jax.tree.map(np.testing.assert_array_equal, before, (params, stats))


@pytest.mark.parametrize(("fraction", "rim"), [(cells.PATCH_OF_CELL, 1), (1.0, 0)])
def test_features_of_patches_are_the_mean_over_the_middles_of_the_cells(net, fraction, rim):
  module, params, stats = net
  x = np.random.default_rng(3).uniform(size=(4, 20, 20, 3)).astype(np.float32)
  encoder = features.OfNet(module, ("block1", "h"), patch_grid=2, patch_fraction=fraction)
  mesh = parallel.make_mesh(jax.devices()[:2])
  with parallel.use(mesh):
    variables = parallel.replicate({"params": params, "stats": stats}, mesh)
    found = jax.jit(encoder)(variables, parallel.put(x, mesh))
  expected = {"block1": [], "h": []}
  for row, column in ((0, 0), (0, 10), (10, 0), (10, 10)):
    inner = [slice(corner + rim, corner + 10 - rim) for corner in (row, column)]
    patch = x[:, inner[0], inner[1]]
    patch = patch - patch.mean((1, 2, 3), keepdims=True)
    patch = patch / patch.std((1, 2, 3), keepdims=True)
    ends = module.apply({"params": params, "batch_stats": stats}, patch, train=False)
    for name in expected:
      expected[name].append(np.asarray(ends[name]).reshape(4, -1))
  for name, parts in expected.items():
    np.testing.assert_allclose(found[name], np.mean(parts, axis=0), rtol=1e-4, atol=1e-5)


def _adaptive(x, side):
  """Adaptive average pooling, cell by cell."""
  n, h, w, c = x.shape
  out = np.zeros((n, side, side, c))
  for i in range(side):
    for j in range(side):
      rows = slice(i * h // side, -(-(i + 1) * h // side))
      columns = slice(j * w // side, -(-(j + 1) * w // side))
      out[:, i, j] = x[:, rows, columns].mean((1, 2))
  return out.reshape(n, -1)


@pytest.mark.parametrize("shape, limit, side", [((2, 7, 7, 3), 60, 4), ((2, 6, 6, 8), 33, 2)])
def test_maps_are_averaged_over_cells(shape, limit, side):
  x = np.random.default_rng(0).normal(size=shape)
  pooled = pooling.pool(jax.numpy.asarray(x, "float32"), limit)
  np.testing.assert_allclose(pooled, _adaptive(x, side), rtol=1e-5, atol=1e-6)  # float32 sums


@pytest.mark.parametrize(
  "side_px, channels, side",
  [(112, 64, 12), (56, 256, 6), (28, 512, 4), (14, 1024, 3), (7, 2048, 2)],
)
def test_the_stages_of_resnet50_get_vissls_grids(side_px, channels, side):
  shape = jax.ShapeDtypeStruct((1, side_px, side_px, channels), "float32")
  pooled = jax.eval_shape(lambda x: pooling.pool(x, pooling.MAX_FEATURES), shape)
  assert pooled.shape == (1, side * side * channels)


def test_a_map_is_never_finer_than_its_pixels_and_a_vector_stays():
  x = np.random.default_rng(0).normal(size=(2, 3, 3, 4)).astype(np.float32)
  np.testing.assert_allclose(pooling.pool(jax.numpy.asarray(x), 9216), x.reshape(2, -1), rtol=1e-6)
  np.testing.assert_array_equal(pooling.pool(jax.numpy.asarray(x[:, 0, 0]), 1), x[:, 0, 0])
  assert pooling.pool(jax.numpy.asarray(x), 1).shape == (2, 4)  # at least the mean of each channel


def test_raw_pixels_are_the_view_at_equal_length(direct):
  examples = _examples(5)
  encoder = features.OfPixels()
  mesh = parallel.make_mesh(jax.devices()[:2])
  found = features.collect(encoder, {}, _batches(examples, 4), view=VIEW, mesh=mesh)
  x = direct["pixels"][:5]
  expected = x / np.sqrt(np.mean(x * x, axis=1, keepdims=True))
  np.testing.assert_allclose(found.layers["pixels"], expected, rtol=1e-5)


def test_an_unknown_layer_lists_the_known_ones(net):
  with pytest.raises(errors.UserError) as caught:
    features.extract(*net, [], view=VIEW, layers=("h", "block9"), mesh=parallel.make_mesh())
  assert str(caught.value) == ('layer "block9" is unknown to this network; use one of block1, h, z')


def test_a_diverged_network_is_refused(net):
  module, params, stats = net
  broken = jax.tree.map(lambda x: x * np.float32("nan"), params)
  with pytest.raises(errors.UserError, match="layer h: 4 of 4 rows are not finite, number 0, 1"):
    features.extract(
      module, broken, stats, _batches(_examples(4), 4), view=VIEW, mesh=parallel.make_mesh()
    )


def test_no_images_are_refused(net):
  with pytest.raises(errors.UserError, match="there are 0 images"):
    features.extract(*net, [], view=VIEW, mesh=parallel.make_mesh())


def test_labels_are_needed_and_unlabelled_examples_left_out():
  layers = {"h": np.arange(6.0).reshape(3, 2)}
  index = np.arange(3)
  some = features.Features(layers, np.array([1, -1, 0]), index, 0)
  kept = features.labelled(some, 'split "test"')
  np.testing.assert_array_equal(kept.layers["h"], [[0, 1], [4, 5]])
  np.testing.assert_array_equal(kept.index, [0, 2])
  none = features.Features(layers, np.full(3, -1), index, 0)
  with pytest.raises(errors.UserError, match='split "test" has no labels'):
    features.labelled(none, 'split "test"')
