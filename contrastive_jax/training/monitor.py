"""kNN accuracy of the representation while training goes on, on images held out of the training.

The images that an evaluation reports take no part, so that a checkpoint chosen here is no choice
among them.
"""

import dataclasses
import logging
from collections.abc import Callable, Iterator

import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from contrastive_jax import augment, data, errors, plural, run_images
from contrastive_jax.data import pipeline, subset
from contrastive_jax.data.labels import tell_of_one_class
from contrastive_jax.evaluation import features, knn
from contrastive_jax.models.network import Network


@dataclasses.dataclass(frozen=True)
class Monitor:
  """Scores an encoder by weighted kNN on h: the training images vote on those held out."""

  net: Network
  recipe: augment.Recipe
  mesh: Mesh
  options: ConfigDict  # the section `monitor`
  num_classes: int = 0
  bank: pipeline.Batches | None = None  # None: nothing to score with
  queries: pipeline.Batches | None = None

  @classmethod
  def create(
    cls,
    config: ConfigDict,
    train: data.Source,
    held_out: data.Source | None,
    net: Network,
    recipe: augment.Recipe,
    mesh: Mesh,
    list_unreadable: str | None = None,
  ) -> "Monitor":
    """Without labels, with nothing held out, or with an empty bank the monitor is silent.

    Unreadable images are listed in a file, see `data.unreadable`.
    """
    options = config.monitor
    monitor = cls(net, recipe, mesh, options)
    if train.num_classes and held_out is None and config.data.held_out is None:
      logging.getLogger(__name__).warning(
        "warning: no kNN while training: a tenth of %s is none to hold out; "
        "--config.data.held_out sets how many are",
        plural.of(len(train), "image"),
      )
    if not (held_out and train.num_classes and options.max_train and options.max_test):
      return monitor
    _tell_of_one_class(train, f'data.split "{config.data.split}"')
    most = min(len(train), options.max_train)
    if options.k > most:
      raise errors.UserError(
        f"monitor.k {options.k} exceeds the bank of {plural.of(most, 'image')}; "
        f"set --config.monitor.k={most} or less"
      )
    train = subset.evenly(subset.labelled(train), options.max_train)
    bank, queries = (
      pipeline.eval_batches(
        source,
        batch_size=options.batch_size,
        key="monitor.batch_size",
        list_unreadable=list_unreadable,
        **pipeline.this_process(),
        **run_images.pipeline_options(config),
      )
      for source in (train, subset.evenly(held_out, options.max_test))
    )
    return dataclasses.replace(monitor, num_classes=train.num_classes, bank=bank, queries=queries)

  def score(self, params, stats, poll: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Returns {"knn_top1", "knn_top5"} in [0, 1], or {} if there is nothing to score with.

    Images without a label neither vote nor count; with fewer than k that vote, or none to score,
    a warning says so. `poll` is called before every batch; what it raises ends the scoring.
    """
    if self.bank is None:
      return {}
    bank, queries = (
      self._extract(params, stats, _polled(b, poll)) for b in (self.bank, self.queries)
    )
    if len(bank.label) < self.options.k or not len(queries.label):
      logging.getLogger(__name__).warning(
        "no kNN: %s (monitor.k %d) and %s have a label",
        plural.of(len(bank.label), "training image"),
        self.options.k,
        plural.of(len(queries.label), "held-out image"),
      )
      return {}
    if not np.isin(queries.label, bank.label).any():
      logging.getLogger(__name__).warning(
        "no kNN: none of the classes of the %s is among those of the %s",
        plural.of(len(queries.label), "held-out image"),
        plural.of(len(bank.label), "training image that votes", "training images that vote"),
      )
      return {}
    scores = knn.accuracy(
      bank.rows("h"),
      bank.label,
      queries.rows("h"),
      queries.label,
      self.num_classes,
      k=self.options.k,
      temperature=self.options.temperature,
    )
    return {f"knn_{name}": float(scores[name]) for name in ("top1", "top5")}

  def describe(self, scores: dict[str, float]) -> str:
    """Returns the score with what it depends on."""
    return (
      f"kNN {100 * scores['knn_top1']:.1f} % "
      f"of images held out (k {self.options.k}, tau {self.options.temperature}, cosine, on h)"
    )

  def _extract(self, params, stats, batches: Iterator[pipeline.Batch]) -> features.Features:
    return features.with_label(
      features.extract(
        self.net, params, stats, batches, view=self.recipe, layers=("h",), mesh=self.mesh
      )
    )


def _tell_of_one_class(train: data.Source, images: str) -> None:
  """Says if kNN will say nothing, as far as that is known before an image is read."""
  found = subset.labels_of(train)
  known = np.arange(train.num_classes) if found is None else np.unique(found[found >= 0])
  tell_of_one_class(known, train.label_names, images)


def _polled(batches: pipeline.Batches, poll: Callable[[], None]) -> Iterator[pipeline.Batch]:
  for batch in batches:
    poll()
    yield batch
