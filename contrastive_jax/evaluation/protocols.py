"""What measures a representation: one function a protocol, called by the name in `eval_config`.

Each takes a task and the options of its section; what it returns goes into the record of a result,
`Scores` under "scores".
"""

import dataclasses
import pathlib
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh
from jaxtyping import PyTree

from contrastive_jax import keys
from contrastive_jax.data import Source, pipeline
from contrastive_jax.evaluation import (
  features,
  linear_probe,
  linear_rates,
  logistic,
  probe_batches,
  scores,
)
from contrastive_jax.evaluation import finetune as finetune_lib
from contrastive_jax.evaluation import images as eval_images
from contrastive_jax.evaluation import knn as knn_lib
from contrastive_jax.evaluation import picture as picture_lib
from contrastive_jax.evaluation import transformation as transformation_lib
from contrastive_jax.evaluation.progress import Progress


class Encoder(NamedTuple):
  """What is scored: a network of the run, or a baseline."""

  name: str  # "checkpoint", "target", "random_init" or "raw_pixels"
  function: features.Encoder
  variables: PyTree
  layers: tuple[str, ...]


class Task(NamedTuple):
  """One layer of one encoder, to be scored by each protocol; examples with a label only."""

  encoder: Encoder
  layer: str
  train: features.Features
  test: features.Features
  images: eval_images.Images
  mesh: Mesh
  seed: int
  prefix: pathlib.Path  # of files: WORKDIR/eval/NAME, or of another folder

  @property
  def arrays(self):
    """Features and labels of the training set, of the test set, and the number of classes."""
    x, y = self.train.rows(self.layer), self.test.rows(self.layer)
    return x, self.train.label, y, self.test.label, self.images.num_classes


def knn(task: Task, options: knn_lib.Options) -> dict[str, Any]:
  """Lets the training images vote on the test images."""
  progress = Progress(f"{_name('knn', task)}, training image")
  return {"scores": knn_lib.evaluate(*task.arrays, options, task.mesh, progress)}


def linear_sgd(task: Task, options: linear_probe.Options) -> dict[str, Any]:
  """Trains a linear classifier by SGD."""
  x, label, test_x, test_label, num_classes = task.arrays
  trying = Progress(f"rates of {_name('linear_sgd', task)}, step")
  rate, validation = linear_rates.choose(
    x, label, num_classes, options, task.mesh, seed=task.seed, progress=trying
  )
  options = dataclasses.replace(options, base_lr=rate, rates=())
  _warn_if_short("linear_sgd", options, len(task.images.train) if options.augment else len(x), 1)
  progress = Progress(f"{_name('linear_sgd', task)}, step")
  common = {"seed": task.seed, "progress": progress}
  if options.augment:
    encoder = task.encoder
    classifier = linear_probe.fit_augmented(
      encoder.function,
      task.layer,
      encoder.variables,
      task.images.train,
      num_classes,
      options,
      task.mesh,
      view=task.images.view,
      clean=x,
      pipeline_options=task.images.training_options,
      **common,
    )
  else:
    classifier = linear_probe.fit(x, label, num_classes, options, task.mesh, **common)
  train = scores.of_linear(*classifier, x, label, task.mesh)
  test = scores.of_linear(*classifier, test_x, test_label, task.mesh)
  return {
    "scores": test,
    "train_top1": train.top1,
    "rate": rate,
    "validation_top1": {f"{k:g}": v for k, v in validation.items()},
  }


def linear_lbfgs(task: Task, options: logistic.Options) -> dict[str, Any]:
  """Trains a linear classifier by L-BFGS."""
  x, label, test_x, test_label, num_classes = task.arrays
  progress = Progress(f"{_name('linear_lbfgs', task)}, fit")
  found = logistic.fit(x, label, num_classes, options, task.mesh, seed=task.seed, progress=progress)
  return {
    "scores": scores.of_linear(*found.classifier, test_x, test_label, task.mesh),
    "train_top1": scores.of_linear(*found.classifier, x, label, task.mesh).top1,
    "penalty": found.penalty,
    "validation_top1": {f"{k:g}": v for k, v in found.validation.items()},
  }


def finetune(task: Task, options: finetune_lib.Options) -> dict[str, Any]:
  """Trains the whole network with a linear classifier on top."""
  x, _, _, test_label, num_classes = task.arrays
  encoder = task.encoder
  _warn_if_short("finetune", options, len(task.images.train), task.mesh.size)
  variables, classifier = finetune_lib.fit(
    encoder.function,
    task.layer,
    encoder.variables,
    task.images.train,
    num_classes,
    options,
    task.mesh,
    num_features=x.shape[1],
    view=task.images.view,
    seed=task.seed,
    pipeline_options=task.images.training_options,
    progress=Progress(f"{_name('finetune', task)}, step"),
  )
  tuned = extract(encoder._replace(variables=variables), task.images.test, task.images, task.mesh)
  tuned = features.labelled(tuned, task.images.test_name)
  return {"scores": scores.of_linear(*classifier, tuned.rows(task.layer), test_label, task.mesh)}


def picture(task: Task, options: picture_lib.Options) -> dict[str, Any]:
  """Draws the features of the test images in a plane."""
  path = task.prefix.with_name(f"{task.prefix.name}_{task.encoder.name}_{task.layer}.png")
  x = task.test.rows(task.layer)
  features.check_finite(x, "features")  # all, not only those drawn
  chosen = picture_lib.chosen(len(x), options, task.seed)
  drawn = x.take(chosen)
  if jax.process_index() == 0:
    with Progress(f"{_name('picture', task)}, {options.method}").waiting():
      picture_lib.draw(
        drawn,
        task.test.label[chosen],
        path,
        options,
        label_names=task.images.label_names,
        title=f"{task.layer} of {task.encoder.name}",
        seed=task.seed,
      )
  return {"file": path.name}


def transformation(task: Task, options: transformation_lib.Options) -> dict[str, Any]:
  """Trains perceptrons to say which transformation was applied to an image, with or without label.

  A record has the share of each task under its name, and "top1" is their mean.
  """
  images, tasks = task.images, {}
  for name in options.which:
    found = []  # of one task at a time: features of a large set fill the memory
    for split, source in (("train", images.train), ("test", images.test)):
      key = keys.stream(task.seed, f"transformation {name} {split}")
      change = transformation_lib.change(name, images.view, key)
      found.append(extract(task.encoder, source, images, task.mesh, change))
    tasks[name] = transformation_lib.evaluate(
      name, task.layer, *found, options, task.mesh, seed=task.seed
    )
  top1 = {name: result["top1"] for name, result in tasks.items()}
  num_train, num_test = (len(part.label) for part in found)
  return {
    "num_train": num_train,
    "num_test": num_test,
    "top1": sum(top1.values()) / len(top1),
    **top1,
    "tasks": tasks,
  }


def extract(
  encoder: Encoder,
  source: Source,
  images: eval_images.Images,
  mesh: Mesh,
  change: Callable[[features.Batch], features.Batch] | None = None,
) -> features.Features:
  """Returns an encoder's features of all images of a source; `change` as in `features.collect`."""
  batches = pipeline.eval_batches(
    source,
    batch_size=images.batch_size,
    **pipeline.this_process(),
    **images.pipeline_options,
  )
  shown = Progress(f"features of {encoder.name}, batch").over(batches, len(batches))
  found = features.collect(
    encoder.function,
    encoder.variables,
    shown,
    view=images.view,
    mesh=mesh,
    size=len(source),
    change=change,
  )
  if len(found.index) + found.replaced != len(source):
    raise RuntimeError(f"{len(source)} images gave {len(found.index)} rows of features")
  if found.replaced:
    say(f"{found.replaced} unreadable image(s) of {len(source)} left out")
  return found


def _warn_if_short(protocol: str, options: Any, num_images: int, num_devices: int) -> None:
  """Says in a line, on process 0 alone, that a training is too short to trust its figure."""
  sized = probe_batches.sized(options, num_images, num_devices)
  line = probe_batches.too_few(sized, num_images, protocol)
  if line and jax.process_index() == 0:
    print(line, file=sys.stderr, flush=True)


def _name(protocol: str, task: Task) -> str:
  return f"{protocol} on {task.layer} of {task.encoder.name}"


def say(line: str) -> None:
  """Prints a line, on process 0 alone."""
  if jax.process_index() == 0:
    print(line, flush=True)
