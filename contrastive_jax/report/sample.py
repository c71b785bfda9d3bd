"""A sample of a run's images as its network sees them: features, views, neighbours, factors.

Images come in random order, so that what is there when the time is over is a sample, too.
"""

import itertools
import time
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PyTree
from ml_collections import ConfigDict

from contrastive_jax import augment, build, compiling, data, errors, parallel, run_images
from contrastive_jax.data import given as given_lib
from contrastive_jax.data import pipeline, subset
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import evaluate, features
from contrastive_jax.evaluation import images as eval_images
from contrastive_jax.methods import base
from contrastive_jax.step import first_views
from contrastive_jax.workdir import loading

_BATCH = 256
_PAIRS = 256  # images whose views are compared
_VIEWS = 6  # images whose views are shown


class Part(NamedTuple):
  """Some images of a split."""

  name: str
  source: data.Source
  index: Int[np.ndarray, " n"]  # positions in the source
  label: Int[np.ndarray, " n"]
  layers: dict[str, Float[np.ndarray, "n F"]]

  def image(self, row: int) -> np.ndarray:
    """Returns the image of a row, as it is."""
    return self.source[int(self.index[row])]["image"]


class Views(NamedTuple):
  """Images, their views, and what was drawn for each."""

  originals: list[np.ndarray]
  views: Float[np.ndarray, "n V H H 3"]  # normalised
  drawn: list[list[dict[str, dict[str, np.ndarray]]]]  # of each image, of each view, by operation
  recipe: augment.Recipe


class Sample(NamedTuple):
  """What a report is drawn from."""

  loaded: loading.Run
  train: Part
  test: Part | None  # None: there is no split to look at
  pairs: dict[str, Float[np.ndarray, "n 2 F"]]  # of two views of an image, by layer
  views: Views | None
  label_names: tuple[str, ...]
  cut_short: bool  # the time was over
  whose: str = ""  # of other weights than those that the run would be scored by


def take(
  config: ConfigDict,
  workdir: str,
  most: int,
  seconds: float,
  loaded: loading.Run | None = None,
  given: given_lib.Images | None = None,
) -> Sample:
  """Computes a sample of at most so many images of each split, in about so many seconds.

  Args:
    config: of an evaluation: network, checkpoint, sizes and data.
    workdir: of the run.
    most: training images; half as many test images.
    seconds: for features; compiling is not counted.
    loaded: weights of the run, if they are at hand.
    given: images of the source "given", by split; they stand for those of any other.

  Raises:
    UserError: there is no run, no checkpoint or no images, or splits number classes otherwise.
    ReadFailed: they cannot be read for now.
  """
  config, _ = eval_config.resolve(config)
  loaded = loaded or evaluate.load(workdir, config)
  run_images.check_rgb(loaded.config, "the page of a run")
  if given and not config.data.source:
    config.data.source = "given"
  train = eval_images.one_split(config, loaded.config, "train", given)
  test = _test(config, loaded, given)
  if test:
    eval_images.check_names(
      train.source.label_names, test.source.label_names, train.name, test.name
    )
  config.layers = _layers(config, loaded, train.view.size_px)
  encoder = evaluate.of_net(config, loaded)
  mesh = parallel.make_mesh(jax.local_devices())  # also of a run of several processes
  whole = True
  parts = []
  for split, count in ((train, most), (test, most // 2)):
    if split is None:
      parts.append(None)
      continue
    part, all_of_it = _part(split, encoder, loaded, mesh, count, seconds / 2)
    parts.append(part)
    whole = whole and all_of_it
  views, pairs = _seen(encoder, loaded, train, parts[0])
  names = tuple(train.source.label_names) or (tuple(test.source.label_names) if test else ())
  return Sample(loaded, *parts, pairs, views, names, not whole, whose(config))


def whose(config: ConfigDict) -> str:
  """Returns whose weights an evaluation looks at; "" for the online network of its run."""
  if config.init.path:
    return f"the weights of {config.init.path}"
  return "" if config.network == "online" else f"the {config.network} network"


def _test(
  config: ConfigDict, loaded: loading.Run, given: given_lib.Images | None
) -> eval_images.Split | None:
  try:
    return eval_images.one_split(config, loaded.config, "test", given)
  except (errors.UserError, errors.ReadFailed):
    return None


def _layers(config: ConfigDict, loaded: loading.Run, size_px: int) -> tuple[str, ...]:
  """Returns "h", and "z" if the network has such an embedding."""
  image = jax.ShapeDtypeStruct((1, 1, size_px, size_px, 3), jnp.float32)
  net = evaluate.of_net(config, loaded).net
  ends = jax.eval_shape(
    lambda p, s, x: base.forward(net, p, s, x, train=False)[0], loaded.params, loaded.stats, image
  )
  return tuple(name for name in ("h", "z") if name in ends)


def _part(
  split: eval_images.Split,
  encoder: features.OfNet,
  loaded: loading.Run,
  mesh: jax.sharding.Mesh,
  count: int,
  seconds: float,
) -> tuple[Part, bool]:
  """Returns a part, and whether all its images could be looked at in time."""
  order = np.random.default_rng(0).permutation(len(split.source))[:count]
  chosen = subset.Subset(split.source, order)
  batches = iter(
    pipeline.eval_batches(chosen, batch_size=min(_BATCH, len(chosen)), **split.pipeline_options)
  )
  variables = {"params": loaded.params, "stats": loaded.stats}
  found, begun = [], None
  for piece in _pieces(batches):
    found.append(features.collect(encoder, variables, piece, view=split.view, mesh=mesh))
    begun = begun or time.monotonic()  # after the first: it compiled
    if time.monotonic() - begun > seconds:
      break
  layers = {
    name: np.concatenate([piece.layers[name] for piece in found]) for name in found[0].layers
  }
  label, index = (np.concatenate([getattr(p, key) for p in found]) for key in ("label", "index"))
  seen = sum(len(piece.index) + piece.replaced for piece in found)
  source = data.formed(split.source, split.form)  # as the network sees it
  return Part(split.name, source, index, label, layers), seen == len(chosen)


def _pieces(batches: Iterator[pipeline.Batch]) -> Iterator[list[pipeline.Batch]]:
  while piece := list(itertools.islice(batches, 1)):
    yield piece


def _seen(
  encoder: features.OfNet, loaded: loading.Run, split: eval_images.Split, part: Part
) -> tuple[Views | None, dict[str, np.ndarray]]:
  """Returns views of some training images as the method sees them, and the features of pairs."""
  config = loaded.config
  method, recipe = build.method(config), build.recipe(config)
  chosen = subset.Subset(part.source, part.index[:_PAIRS])
  count = len(chosen)
  (batch,) = pipeline.eval_batches(chosen, batch_size=count, **split.pipeline_options)
  params, views = first_views.of(recipe, method.link_views, config.seed, batch)
  pairs = {}
  if views.shape[1] > 1:
    variables: PyTree = {"params": loaded.params, "stats": loaded.stats}
    ends = compiling.once(encoder)(variables, views[:, :2].reshape(-1, *views.shape[2:]))
    pairs = {name: np.asarray(end).reshape(count, 2, -1) for name, end in ends.items()}
  drawn = [
    [jax.tree.map(lambda leaf, i=i: leaf[i], of_view) for of_view in params]
    for i in range(min(count, _VIEWS))
  ]
  originals = [_original(batch, i) for i in range(len(drawn))]
  return Views(originals, views[: len(drawn)], drawn, recipe), pairs


def _original(batch: pipeline.Batch, row: int) -> np.ndarray:
  height, width = batch["extent"][row]
  return batch["image"][row][:height, :width]
