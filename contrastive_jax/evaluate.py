"""Evaluation of a frozen encoder: a run's checkpoint in, one line and one JSON record a result out.

  from contrastive_jax import eval_config, evaluate
  found = evaluate.run(eval_config.evaluation("knn"), "runs/first")

Features of every image are extracted once for each encoder (the run's and, if asked, baselines);
every protocol then scores every layer. The result is also in WORKDIR/eval/NAME.json.
"""

import dataclasses
import json
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import PyTree
from ml_collections import ConfigDict

from contrastive_jax import (
  agree,
  augment,
  build,
  checkpoint,
  eval_config,
  eval_images,
  features,
  finetune,
  hosts,
  keys,
  linear_probe,
  logistic,
  once,
  parallel,
  scores,
)
from contrastive_jax import config as config_lib
from contrastive_jax import knn as knn_lib
from contrastive_jax import picture as picture_lib
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.data import pipeline

_PROGRESS_EVERY_SECONDS = 60


class Encoder(NamedTuple):
  """What is scored: the run's network, or a baseline."""

  name: str  # "checkpoint", "random_init" or "raw_pixels"
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
  prefix: pathlib.Path  # of files: WORKDIR/eval/NAME

  @property
  def arrays(self):
    """Features and labels of the training set, of the test set, and the number of classes."""
    x, y = self.train.layers[self.layer], self.test.layers[self.layer]
    return x, self.train.label, y, self.test.label, self.images.num_classes


def run(
  config: ConfigDict | None, workdir: str, devices: list[jax.Device] | None = None
) -> dict[str, Any]:
  """Scores the checkpoint of `workdir` and writes WORKDIR/eval/NAME.json.

  Args:
    config: from a file in `configs/eval/`, or `eval_config.evaluation()`; None is the latter.
    workdir: of a training run.
    devices: all by default.

  Returns:
    What the file holds: settings, versions, counts, and `results`, a list of records with the keys
    protocol, encoder, layer, settings, and top1, top5, mean_per_class and per_class in [0, 1].

  Raises:
    UserError: config, workdir or data cannot work.
    PeerLost: another process is gone.
  """
  with hosts.losses_named():
    return _run(eval_config.evaluation() if config is None else config, workdir, devices)


def _run(config: ConfigDict, workdir: str, devices: list[jax.Device] | None) -> dict[str, Any]:
  config, options = eval_config.resolve(config)
  agree.check_equal(lambda: config_lib.flatten(config) | workdir_lib.versions())
  loaded = checkpoint.load_run(workdir, config.checkpoint_step)
  mesh = parallel.make_mesh(devices)
  images = eval_images.load(config, loaded.config)
  folder = pathlib.Path(workdir) / "eval"
  workdir_lib.make(str(folder))
  results = []
  for encoder in encoders(config, loaded, images.view):
    train, test = (_extract(encoder, s, images, mesh) for s in (images.train, images.test))
    if set(options) != {"picture"}:
      train = features.labelled(train, images.train_name)
      test = features.labelled(test, images.test_name)
    for layer in encoder.layers:
      task = Task(encoder, layer, train, test, images, mesh, config.seed, folder / config.name)
      for protocol, settings in options.items():
        if protocol == "finetune" and not isinstance(encoder.function, features.OfNet):
          continue  # pixels have no weights
        record = _record(task, protocol, settings, _PROTOCOLS[protocol](task, settings))
        results.append(record)
        _say(_line(record, settings))
  found = {
    "name": config.name,
    "checkpoint_step": loaded.step,
    "train": images.train_name,
    "test": images.test_name,
    "label_names": list(images.label_names),
    "results": results,
    "config": config.to_dict(),
    "versions": workdir_lib.versions(),
  }
  if jax.process_index() == 0:
    workdir_lib.write(folder / f"{config.name}.json", json.dumps(found, indent=2) + "\n")
  return found


def encoders(config: ConfigDict, loaded: checkpoint.Run, view: augment.Recipe) -> Iterator[Encoder]:
  """Returns the run's encoder and the baselines asked for."""
  net, layers = build.net(loaded.config), tuple(config.layers)
  features.check_layers(net, loaded.params, loaded.stats, layers, view.size_px)
  patches = (config.patch_grid, config.patch_fraction)
  of_net = features.OfNet(net, layers, config.max_features, *patches)
  variables = {"params": loaded.params, "stats": loaded.stats}
  yield Encoder("checkpoint", of_net, variables, layers)
  if "random_init" in config.baselines:
    image = jnp.zeros((1, view.size_px, view.size_px, 3))
    key = keys.stream(config.seed, "random_init")
    fresh = jax.device_get(once.jit(lambda: net.init(key, image, train=False))())
    variables = {"params": fresh["params"], "stats": fresh.get("batch_stats", {})}
    yield Encoder("random_init", of_net, variables, layers)
  if "raw_pixels" in config.baselines:
    yield Encoder("raw_pixels", features.OfPixels(config.max_features), {}, ("pixels",))


def _extract(encoder: Encoder, source, images: eval_images.Images, mesh) -> features.Features:
  batches = pipeline.eval_batches(
    source,
    batch_size=images.batch_size,
    **pipeline.this_process(),
    **images.pipeline_options,
  )
  found = features.collect(
    encoder.function, encoder.variables, batches, view=images.view, mesh=mesh
  )
  if len(found.index) + found.replaced != len(source):
    raise RuntimeError(f"{len(source)} images gave {len(found.index)} rows of features")
  if found.replaced:
    _say(f"{found.replaced} unreadable image(s) of {len(source)} left out")
  return found


def _knn(task: Task, options: knn_lib.Options) -> dict[str, Any]:
  return {"scores": knn_lib.evaluate(*task.arrays, options, task.mesh)}


def _linear_sgd(task: Task, options: linear_probe.Options) -> dict[str, Any]:
  x, label, test_x, test_label, num_classes = task.arrays
  common = {"seed": task.seed, "progress": _progress("linear_sgd")}
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
      pipeline_options=task.images.pipeline_options,
      **common,
    )
  else:
    classifier = linear_probe.fit(x, label, num_classes, options, task.mesh, **common)
  train = scores.of_linear(*classifier, x, label, task.mesh)
  test = scores.of_linear(*classifier, test_x, test_label, task.mesh)
  return {"scores": test, "train_top1": train.top1}


def _linear_lbfgs(task: Task, options: logistic.Options) -> dict[str, Any]:
  x, label, test_x, test_label, num_classes = task.arrays
  found = logistic.fit(x, label, num_classes, options, task.mesh, seed=task.seed)
  return {
    "scores": scores.of_linear(*found.classifier, test_x, test_label, task.mesh),
    "train_top1": scores.of_linear(*found.classifier, x, label, task.mesh).top1,
    "penalty": found.penalty,
    "validation_top1": {f"{k:g}": v for k, v in found.validation.items()},
  }


def _finetune(task: Task, options: finetune.Options) -> dict[str, Any]:
  x, _, _, test_label, num_classes = task.arrays
  encoder = task.encoder
  variables, classifier = finetune.fit(
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
    pipeline_options=task.images.pipeline_options,
    progress=_progress("finetune"),
  )
  tuned = _extract(encoder._replace(variables=variables), task.images.test, task.images, task.mesh)
  tuned = features.labelled(tuned, task.images.test_name)
  return {"scores": scores.of_linear(*classifier, tuned.layers[task.layer], test_label, task.mesh)}


def _picture(task: Task, options: picture_lib.Options) -> dict[str, Any]:
  path = task.prefix.with_name(f"{task.prefix.name}_{task.encoder.name}_{task.layer}.png")
  if jax.process_index() == 0:
    picture_lib.draw(
      task.test.layers[task.layer],
      task.test.label,
      path,
      options,
      label_names=task.images.label_names,
      title=f"{task.layer} of {task.encoder.name}",
      seed=task.seed,
    )
  return {"file": path.name}


_PROTOCOLS = {
  "knn": _knn,
  "linear_sgd": _linear_sgd,
  "linear_lbfgs": _linear_lbfgs,
  "finetune": _finetune,
  "picture": _picture,
}


def _record(task: Task, protocol: str, settings: Any, found: dict[str, Any]) -> dict[str, Any]:
  record = {
    "protocol": protocol,
    "encoder": task.encoder.name,
    "layer": task.layer,
    "num_features": int(np.shape(task.test.layers[task.layer])[1]),
    "num_train": len(task.train.label),
    "num_test": len(task.test.label),
    "settings": dataclasses.asdict(settings),
  }
  counted = found.pop("scores", None)
  if counted is not None:
    record |= {
      "top1": counted.top1,
      "top5": counted.top5,
      "mean_per_class": counted.mean_per_class,
      "per_class": list(counted.per_class),
    }
  return record | found


def _line(record: dict[str, Any], settings: Any) -> str:
  what = f"{record['protocol']:<12}  {record['encoder']:<11}  {record['layer']:<6}"
  if "file" in record:
    return f"{what}  {record['file']}  ({settings.describe()})"
  penalty = f", chosen {record['penalty']:g}" if "penalty" in record else ""
  return (
    f"{what}  top-1 {100 * record['top1']:5.2f} %  top-5 {100 * record['top5']:6.2f} %  "
    f"({settings.describe()}{penalty}; {record['num_features']} features, "
    f"{record['num_train']:,} train, {record['num_test']:,} test)"
  )


def _progress(protocol: str) -> linear_probe.Progress:
  """Returns what shows a line every minute: what takes less needs none."""
  last = time.monotonic()

  def show(step: int, total: int, loss: float) -> None:
    nonlocal last
    if time.monotonic() - last >= _PROGRESS_EVERY_SECONDS:
      last = time.monotonic()
      if jax.process_index() == 0:
        print(f"{protocol}  step {step}/{total}  loss {loss:.4f}", file=sys.stderr, flush=True)

  return show


def _say(line: str) -> None:
  if jax.process_index() == 0:
    print(line, flush=True)
