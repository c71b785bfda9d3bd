"""Random augmentation on the device: from a batch of bytes to a batch of views.

Everything works on one image under `vmap` and is split in two: sample the parameters of every
operation from a key, apply them to the image. The key of a view is folded from the seed, the epoch,
the example's index and the view's number, so what a view shows depends neither on the position in
the batch nor on the number of devices. The key of an operation is folded from its name, so a change
to one operation leaves the draws of the others alone.

Sharing an operation between views is a merge of two dicts between the two halves (`views` takes it
as `link`):

  params = augment.sample_views(recipe, key, extent)
  params = (params[0], params[1] | {"jitter": params[0]["jitter"]})
  views = augment.apply_views(recipe, params, image)

Imports: errors, options, parallel.
"""

import zlib
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt

from contrastive_jax import parallel
from contrastive_jax.augment import crop, resize
from contrastive_jax.augment.late import LateViews, made
from contrastive_jax.augment.options import Options
from contrastive_jax.augment.picture import grid
from contrastive_jax.augment.recipes import (
  NAMES,
  NORMALIZATIONS,
  Operation,
  Pipeline,
  Recipe,
  recipe,
)

__all__ = [
  "NAMES",
  "NORMALIZATIONS",
  "LateViews",
  "Link",
  "Operation",
  "Options",
  "Recipe",
  "apply_view",
  "apply_views",
  "changed_view",
  "grid",
  "late_views",
  "made",
  "probe_view",
  "recipe",
  "sample_views",
  "test_view",
  "to_float",
  "views",
]

Params = dict[str, dict[str, Array]]  # of one view: operation name -> its parameters
Link = Callable[[tuple[Params, ...]], tuple[Params, ...]]

_CENTRAL_PROPORTION = 0.875  # 224 of 256
_SMALL_PX = 64  # below this, images are shown whole: nothing is worth cutting off


def views(*args, **options) -> Float[Array, "B V H H C"]:
  """Returns the normalised random views of a batch, float32; arguments as of `late_views`."""
  return late_views(*args, **options).made()


def late_views(
  recipe: Recipe,
  seed_key: PRNGKeyArray,
  epoch: int | Int[Array, ""],
  image: UInt[Array, "B S S C"],
  extent: Int[Array, "B 2"],
  index: Int[Array, " B"],
  *,
  link: Link = lambda params: params,
) -> LateViews:
  """Returns the normalised random views of a batch, to be made where they are needed.

  Args:
    recipe: what to do.
    seed_key: the run's key.
    epoch: counts passes over the data; each pass shows new views.
    image: the image is in the top left corner; the rest is never looked at.
    extent: height and width of that corner.
    index: of each example in its source.
    link: makes drawn parameters of an image's views equal where a method wants them so.
  """
  epoch_key = jax.random.fold_in(seed_key, epoch)
  key = jax.vmap(lambda index: jax.random.fold_in(epoch_key, index))(index)

  def make(image, extent, key, numbers):
    params = link(sample_views(recipe, key, extent))
    return apply_views(recipe, [params[n] for n in numbers], to_float(image), numbers)

  return LateViews(image, extent, key, make, recipe.size_px, tuple(range(len(recipe.views))))


def sample_views(recipe: Recipe, key: PRNGKeyArray, extent: Int[Array, "2"]) -> tuple[Params, ...]:
  """Draws the parameters of every operation of every view of one image."""

  def one(pipeline, view):
    return _sample(pipeline, jax.random.fold_in(key, view), extent)

  if not _alike(recipe.views):
    return tuple(one(pipeline, view) for view, pipeline in enumerate(recipe.views))
  # One traced copy of the pipeline for all views: half the time to compile.
  count = len(recipe.views)
  stacked = jax.vmap(lambda view: one(recipe.views[0], view))(jnp.arange(count))
  return tuple(jax.tree.map(lambda x, v=view: x[v], stacked) for view in range(count))


def apply_views(
  recipe: Recipe,
  params: Sequence[Params],
  image: Float[Array, "S S C"],
  numbers: Sequence[int] | None = None,
) -> Float[Array, "V H H C"]:
  """Applies one dict of parameters per view to one image in [0, 1]; returns normalised views.

  `numbers` are those of the views, by default 0, 1, ...
  """
  if not _alike(recipe.views):
    numbers = range(len(params)) if numbers is None else numbers
    views = zip(numbers, params, strict=True)
    return jnp.stack([apply_view(recipe, number, p, image) for number, p in views])
  stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params)
  return jax.vmap(lambda p: apply_view(recipe, 0, p, image))(stacked)


def apply_view(
  recipe: Recipe, view: int, params: Params, image: Float[Array, "S S C"]
) -> Float[Array, "H H C"]:
  """Applies the pipeline of view number `view` to one image in [0, 1]; returns it normalised."""
  return _normalize(recipe, _apply(recipe.views[view], params, image))


def test_view(
  recipe: Recipe, image: UInt[Array, "B S S C"], extent: Int[Array, "B 2"]
) -> Float[Array, "B H H C"]:
  """Returns the normalised view for evaluation; nothing is drawn.

  From 64 px: the central square of 0.875 of the shorter side. Smaller views: the whole valid
  extent, unchanged bit for bit if its height and width are the view's.
  """

  def one(image, extent):
    return _normalize(recipe, _still(recipe, image, extent))

  return jax.vmap(one)(image, extent)


def changed_view(
  recipe: Recipe,
  operation: Operation,
  key: PRNGKeyArray,
  image: UInt[Array, "B S S C"],
  extent: Int[Array, "B 2"],
  index: Int[Array, " B"],
) -> tuple[Float[Array, "B H H C"], dict[str, Array]]:
  """Returns the view for evaluation with one operation applied, and that operation's parameters.

  The key of an example is folded from `key` and its `index`.
  """

  def one(image, extent, index):
    params = operation.sample(jax.random.fold_in(key, index), extent)
    changed = operation.apply(params, _still(recipe, image, extent))
    return _normalize(recipe, changed), params

  return jax.vmap(one)(image, extent, index)


def probe_view(
  recipe: Recipe,
  key: PRNGKeyArray,
  image: UInt[Array, "B S S C"],
  extent: Int[Array, "B 2"],
  index: Int[Array, " B"] | None = None,
) -> Float[Array, "B H H C"]:
  """Returns one normalised view for training a linear probe: crop (area 0.08 to 1) and flip.

  The key of an example is folded from `key` and its `index`, by default its position in the batch.
  """
  if index is None:
    index = parallel.constant_rows(extent, 0) + jnp.arange(len(extent), dtype=jnp.int32)

  def one(image, extent, index):
    params = _sample(recipe.probe, jax.random.fold_in(key, index), extent)
    return _normalize(recipe, _apply(recipe.probe, params, to_float(image)))

  return jax.vmap(one)(image, extent, index)


def to_float(image: UInt[Array, "*S"]) -> Float[Array, "*S"]:
  """Maps bytes to float32 in [0, 1]: byte * float32(1 / 255), which is 1 for 255; 16 bits likewise.

  Written as a product because XLA makes one of a division by a constant, but only when it compiles.
  """
  return image.astype(jnp.float32) * np.float32(1 / np.iinfo(image.dtype).max)


def _still(recipe: Recipe, image: UInt[Array, "S S C"], extent: Int[Array, "2"]):
  """Returns the view of one image for evaluation, in [0, 1]."""
  if recipe.size_px < _SMALL_PX:
    box = crop.whole_box(extent)
  else:
    box = crop.central_box(extent, _CENTRAL_PROPORTION)
  return resize.resize(to_float(image), box, recipe.size_px, recipe.interpolation, recipe.antialias)


def _sample(pipeline: Pipeline, key: PRNGKeyArray, extent: Int[Array, "2"]) -> Params:
  # All names in one call: each call of fold_in costs 0.3 s to compile.
  names = jnp.asarray([zlib.crc32(name.encode()) for name, _ in pipeline], jnp.uint32)
  keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, names)
  return {name: operation.sample(keys[i], extent) for i, (name, operation) in enumerate(pipeline)}


def _apply(pipeline: Pipeline, params: Params, image):
  for name, operation in pipeline:
    image = operation.apply(params[name], image)
  return image


def _normalize(recipe: Recipe, image):
  mean, std = (jnp.asarray(x, jnp.float32) for x in (recipe.mean, recipe.std))
  return (image - mean) / std


def _alike(pipelines: tuple[Pipeline, ...]) -> bool:
  return all(pipeline == pipelines[0] for pipeline in pipelines)
