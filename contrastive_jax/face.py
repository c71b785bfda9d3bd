"""The public interface: what a notebook needs, by short names.

Each function imports the rest of the package when it is called: a config costs no JAX.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from contrastive_jax import config as config_lib
from contrastive_jax import config_files, metric_lines, options, unread
from contrastive_jax.buckets import address, reads
from contrastive_jax.config import Config
from contrastive_jax.errors import UserError
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation.config import EvaluationConfig
from contrastive_jax.evaluation.unread import of_evaluation

if TYPE_CHECKING:
  import jax
  import numpy as np

  from contrastive_jax.step.state import TrainState

__all__ = ["Config", "EvaluationConfig", "UserError"]


@dataclasses.dataclass(frozen=True, repr=False)
class Training:
  """What `train` returns; it prints its metrics.

  Attributes:
    workdir: directory of the run.
    metrics: the last value of every metric, by name.
    state: weights, statistics, optimiser and memory, as they are on the devices.
  """

  workdir: str
  metrics: dict[str, float]
  state: TrainState

  @property
  def history(self) -> list[dict[str, float]]:
    """The metrics of every logged step, in order, earlier parts of a resumed run included."""
    name = "metrics.jsonl"
    if address.is_bucket(self.workdir):
      content = reads.content(address.parsed(self.workdir, "workdir"), name) or b""
      return list(filter(None, map(metric_lines.parsed, content.splitlines())))
    return list(filter(None, metric_lines.read(pathlib.Path(self.workdir) / name)))

  def __repr__(self) -> str:
    return options.rows({k: f"{v:.6g}" for k, v in sorted(self.metrics.items())})


@dataclasses.dataclass(frozen=True, repr=False)
class Run:
  """What is left of a training run: enough to take features.

  Attributes:
    workdir: directory of the run.
    config: what it was trained with.
    step: of the checkpoint.
    params, stats: weights and batch-norm statistics, as numpy.
  """

  workdir: str
  config: Config
  step: int
  params: Any
  stats: Any

  def __repr__(self) -> str:
    return f"step {self.step} of {self.workdir}\n{self.config}"


class Scores(dict):
  """What an evaluation found, as its JSON file holds it; it prints a line a result."""

  def __repr__(self) -> str:
    lines = []
    for record in self["results"]:
      what = f"{record['protocol']:<12}  {record['encoder']:<11}  {record['layer']:<6}"
      scored = "top1" in record
      found = f"top-1 {100 * record['top1']:5.2f} %" if scored else record["file"]
      lines.append(f"{what}  {found}")
    return "\n".join(lines)


def config_names() -> list[str]:
  """Returns the names that `pretrain_config` knows."""
  return config_files.names()


def pretrain_config(name: str = "shapes/quickstart", **changes: Any) -> Config:
  """Returns the config of a named experiment, some of its keys changed.

  Args:
    name: an experiment that comes with the package (`config_names()`), with :ARGUMENT if it takes
      one, e.g. "cifar10/simclr:cpu", or the path of a config file.
    **changes: new values by key, e.g. `epochs=5`; of a section, `**{"optimizer.base_lr": 0.1}`.

  Raises:
    UserError: there is no such config, or no such key in it.
  """
  config = config_files.load(name)
  config_lib.check_kind(config)
  return _changed(config, changes, unread.of_run)


def evaluation_config(*protocols: str, **changes: Any) -> EvaluationConfig:
  """Returns the config of an evaluation, some of its keys changed.

  Args:
    *protocols: what is measured, of "knn", "linear_sgd", "linear_lbfgs", "finetune", "picture",
      "transformation".
    **changes: new values by key, e.g. `layers=("h", "z")` or `**{"knn.k": 5}`.

  Raises:
    UserError: there is no such key.
  """
  return _changed(eval_config.evaluation(*protocols), changes, of_evaluation)


def describe(config: Config | EvaluationConfig) -> str:
  """Returns every key of a config with its type, value and one line about it."""
  schema = eval_config if "protocols" in config else config_lib
  return options.table(schema.describe(config))


def train(
  config: Config,
  workdir: str | os.PathLike,
  devices: Sequence[jax.Device] | None = None,
  images: Any = None,
) -> Training:
  """Trains to the end, or goes on with the run in `workdir` from its last checkpoint.

  Args:
    config: from `pretrain_config`.
    workdir: directory of config, metrics and checkpoints, made if missing; or gs://BUCKET/PATH,
      s3://BUCKET/PATH, as everywhere below.
    devices: all by default.
    images: in place of those that `config` names, any object with `len()` and `[i]` that gives an
      image or (image, label, ...), or a pair (images, labels) of arrays, see `data.given`; or
      {split: object}. It is read by several threads, `data.num_threads`. To go on, or to
      evaluate, it has to be given again.

  Raises:
    UserError: something in config, data or workdir cannot work; nothing was overwritten.
  """
  from contrastive_jax.data import given
  from contrastive_jax.training import trainer

  workdir = _workdir(workdir)
  by_split = None
  if images is not None:
    config = config.copy_and_resolve_references()
    config.data.source = "given"
    by_split = given.by_split(images, config.data.split)
  result = trainer.train(config, workdir, devices and list(devices), by_split)
  return Training(workdir, result.metrics, result.state)


def evaluate(
  run: str | os.PathLike | Run | Training | None,
  *asked: str | EvaluationConfig,
  devices: Sequence[jax.Device] | None = None,
  out: str | os.PathLike | None = None,
  images: Any = None,
) -> Scores:
  """Scores the frozen encoder of a run on its labelled images.

  Args:
    run: its workdir, or what `train` or `load` returned; None for the weights of `init.path`.
    *asked: names of protocols, "knn" if none is given; or one config of `evaluation_config`.
    devices: all by default.
    out: folder of what is written; None: WORKDIR/eval.
    images: {split: object} in place of those that run or config name, see `train`: the splits
      "train", whose images vote or train probes, and "test", or as `data.split` and
      `data.eval_split` name them.

  Returns:
    Also written to WORKDIR/eval/NAME.json (`["file"]`, another where that is of another
    evaluation); `["results"]` is a list of records with protocol,
    encoder, layer, and top1, top5, mean_per_class and per_class in [0, 1].

  Raises:
    UserError: config, workdir or data cannot work.
  """
  from contrastive_jax.data import given
  from contrastive_jax.evaluation import evaluate

  if len(asked) == 1 and not isinstance(asked[0], str):
    config = asked[0]
  else:
    config = eval_config.evaluation(*(asked or ("knn",)))
  out = out and address.checked(out, "out")
  workdir = None if run is None else _workdir(run)
  by_split = None if images is None else given.by_split(images, "train")
  return Scores(evaluate.run(config, workdir, devices and list(devices), out, by_split))


def load(workdir: str | os.PathLike, step: int | str | None = None) -> Run:
  """Returns a run's config, weights and statistics.

  Args:
    workdir: of the run.
    step: of the checkpoint; "best": that of the highest kNN; None: the newest that is intact.

  Raises:
    UserError: `workdir` is no run, or has no intact checkpoint of that step.
  """
  from contrastive_jax.workdir import loading

  workdir = _workdir(workdir)
  found = loading.load_run(workdir, step)
  return Run(workdir, found.config, found.step, found.params, found.stats)


def features(
  run: str | os.PathLike | Run | Training,
  images: np.ndarray | str | os.PathLike | Sequence,
  layer: str = "h",
  batch_size: int = 256,
  devices: Sequence[jax.Device] | None = None,
) -> np.ndarray:
  """Returns the features of any images: float32 [n, F], in their order.

  They are seen as in an evaluation: the recipe's view for tests, in the size that was trained, and
  with the run's channels and range of values.

  Args:
    run: its workdir, or what `train` or `load` returned.
    images: uint8 [n, h, w, 3]; or a list of files, of arrays [h, w, 3], or of both; or a folder,
      whose images are taken in the order of their paths; or any object as `train` takes it.
    layer: "h" (the representation), "z" (the embedding), "z.1", "block1", ...
    batch_size: images in a forward pass.
    devices: all by default.

  Raises:
    UserError: there are no images, one cannot be read, or there is no such layer.
  """
  from contrastive_jax import build, parallel
  from contrastive_jax.data import given, pipeline
  from contrastive_jax.data.decoding import PIXELS
  from contrastive_jax.evaluation import features

  if not isinstance(run, Run):
    run = load(_workdir(run))
  source = given.source(images, with_labels=False)
  options = pipeline.this_process() | {key: run.config.data[key] for key in PIXELS}
  found = features.extract(
    build.net(run.config),
    run.params,
    run.stats,
    pipeline.eval_batches(source, batch_size=batch_size, **options),
    view=build.recipe(run.config),
    layers=(layer,),
    mesh=parallel.make_mesh(devices and list(devices)),
  )
  given.check_all_read(source, found.index)
  return found.rows(layer).whole()


def write_report(
  run: str | os.PathLike | Run | Training,
  config: EvaluationConfig | None = None,
  *,
  out: str | os.PathLike | None = None,
  projections: Sequence[str] = ("pca",),
  sample: int = 2000,
  seconds: float = 60.0,
  images: Any = None,
) -> str:
  """Draws the page of a run, which shows whether it worked, and returns its path.

  The command `train` does so at its end; `train` here does not.

  Args:
    run: its workdir, or what `train` or `load` returned.
    config: of `evaluation_config`: network, checkpoint, images; None: the newest weights, as
      trained.
    out: folder of the page; None: WORKDIR/report.
    projections: of "pca", "tsne" (needs scikit-learn) and "umap" (needs umap-learn).
    sample: training images that are looked at, at most; half as many of the test set.
    seconds: for their features, about.
    images: {split: object} in place of those that the run names, see `evaluate`.

  Raises:
    UserError: there is no run, or a value cannot work.
  """
  from contrastive_jax.data import given
  from contrastive_jax.report import write

  out = out and address.checked(out, "out")
  by_split = None if images is None else given.by_split(images, "train")
  return write.write(
    _workdir(run),
    config,
    out=out,
    projections=tuple(projections),
    images=sample,
    seconds=seconds,
    given=by_split,
  )


def _workdir(run: str | os.PathLike | Run | Training) -> str:
  return run.workdir if isinstance(run, Run | Training) else address.checked(run, "workdir")


def _changed(
  config: Any, changes: dict[str, Any], unread_in: Callable[[Any], dict[str, str]]
) -> Any:
  """Sets keys of a config, those of sections by dotted names; all are to be read by something."""
  config = config_lib.changed(config, changes)
  unread.check(changes, unread_in(config))
  return config
