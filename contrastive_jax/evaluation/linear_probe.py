"""Linear probe: a linear classifier on frozen features, trained by SGD.

| protocol         | base_lr | batch_size | epochs | schedule       | nesterov | weight_decay |
|------------------|---------|------------|--------|----------------|----------|--------------|
| SimCLR (B.6)     | 0.1     | 4096       | 90     | cosine         | yes      | 0 or 1e-6    |
| MoCo v1, v2      | 30      | 256        | 100    | step at 60, 80 | no       | 0            |
| MoCo v3 (ResNet) | 0.1     | 1024       | 90     | cosine         | no       | 0            |
| BYOL             | 0.2     | 1024       | 80     | cosine         | yes      | 0            |
| Barlow Twins     | 0.3     | 256        | 100    | cosine         | no       | 1e-6         |
| VICReg           | 0.02    | 256        | 100    | cosine         | no       | 1e-6         |

All train on random crops and flips (`augment=True`), on features as they are (`standardize=False`)
and with the one rate (`rates=()`). Without augmentation, the features are computed once and a probe
takes seconds. A good rate depends on the scale of the features, which differs between methods
(hence MoCo's 30); `standardize` takes that scale out, and `rates` are tried on held-out training
images (`linear_rates`), since what is left depends on the set and on its size.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PyTree

from contrastive_jax import augment as augment_lib
from contrastive_jax import errors, parallel, plural
from contrastive_jax.data import Source, order, pipeline
from contrastive_jax.evaluation import features, held_out, linear_steps, probe_batches
from contrastive_jax.evaluation import rows as rows_lib
from contrastive_jax.evaluation.own_rows import OwnRows, moments
from contrastive_jax.options import option

SCHEDULES = ("cosine", "step")
_BATCH_SIZE = "linear_sgd.batch_size"  # in errors: an evaluation has a batch_size of its own
_ON_DEVICES_BYTES = 2**30  # of float32 that every device holds, on CPUs all of them together

Classifier = tuple[Float[np.ndarray, "F C"], Float[np.ndarray, " C"]]  # kernel, bias
Progress = Callable[[int, int, float], None]  # (step from 1, steps in all, its loss)


@dataclasses.dataclass(frozen=True)
class Options:
  """Settings of the optimiser: SimCLR's for a batch of 256, made sound for any set.

  SimCLR's own are `rates=()`, `min_steps=0`, `standardize=False`, `augment=True`.
  """

  base_lr: float = option(0.1, "learning rate if rates is empty; scaled by batch_size / 256")
  rates: tuple[float, ...] = option((0.1, 0.3, 1.0), "learning rates to choose from in its place")
  validation_fraction: float = option(0.2, "of the training set, held out to choose the rate")
  batch_size: int = option(256, "images in a global batch, or all if they are fewer")
  epochs: int = option(90, "passes over the training set, or more: see min_steps")
  min_steps: int = option(1000, "at least so many steps of 256 images, in whole epochs (0: any)")
  schedule: str = option("cosine", "cosine (to 0), or step (times 0.1 at step_epochs)")
  step_epochs: tuple[int, ...] = option((60, 80), "where the schedule `step` falls")
  momentum: float = option(0.9, "of SGD")
  nesterov: bool = option(True, "Nesterov's form of momentum")
  weight_decay: float = option(0.0, "of the kernel, not of the bias")
  init_std: float = option(0.0, "of the kernel at the start (0: it starts at zero)")
  standardize: bool = option(True, "give each feature mean 0 and variance 1 over the training set")
  augment: bool = option(False, "train on random crops and flips, through the encoder each time")

  def __post_init__(self):
    for name in ("batch_size", "epochs"):
      if getattr(self, name) < 1:
        raise errors.UserError(f"linear_sgd.{name} {getattr(self, name)} is below 1; use 1 or more")
    for name, rate in (("base_lr", self.base_lr), *(("rates", rate) for rate in self.rates)):
      if not rate > 0:
        raise errors.UserError(f"linear_sgd.{name} {rate} is not positive; use e.g. 0.1")
    if not 0 < self.validation_fraction < 1:
      raise errors.UserError(
        f"linear_sgd.validation_fraction {self.validation_fraction} is outside (0, 1); use e.g. 0.2"
      )
    for name in ("weight_decay", "init_std", "min_steps"):
      if not getattr(self, name) >= 0:
        raise errors.UserError(
          f"linear_sgd.{name} {getattr(self, name)} is negative; use 0 or more"
        )
    if not 0 <= self.momentum < 1:
      raise errors.UserError(f"linear_sgd.momentum {self.momentum} is outside [0, 1); use e.g. 0.9")
    if self.schedule not in SCHEDULES:
      raise errors.UserError(
        f'linear_sgd.schedule "{self.schedule}" is unknown; use {" or ".join(SCHEDULES)}'
      )

  def check(self, num_images: int, num_devices: int) -> None:
    """Raises `UserError` if the probe cannot be trained on so many images."""
    del num_devices  # what a batch lacks to a multiple of them is filled up
    if len(self.rates) > 1:
      held_out.split(num_images, self.validation_fraction, 0, "linear_sgd", "rates=()")
    if self.augment:
      probe_batches.check(self, num_images, 1, _BATCH_SIZE)

  def describe(self) -> str:
    """Returns what a result depends on, in a few words."""
    rates = " or ".join(f"{rate:g}" for rate in self.rates or (self.base_lr,))
    return (
      f"lr {rates} x {self.batch_size}/256, {plural.of(self.epochs, 'epoch')}, "
      f"{self.schedule}"
      f"{', crop and flip' if self.augment else ', no augmentation'}"
      f"{', standardised' if self.standardize else ''}"
      f"{f', at least {self.min_steps} steps' if self.min_steps else ''}"
    )


def fit(
  x: Float[np.ndarray, "n F"] | OwnRows,
  label: Int[np.ndarray, " n"],
  num_classes: int,
  options: Options,
  mesh: Mesh,
  *,
  seed: int = 0,
  progress: Progress | None = None,
) -> Classifier:
  """Trains on features that are there already, with `base_lr`.

  Raises:
    UserError: the batch exceeds the set; a feature is not finite; the probe diverged.
  """
  features.check_finite(x, "features")
  x = OwnRows.of(x)
  options = probe_batches.sized(options, len(x))
  steps_per_epoch, total, batches, (mean, std) = batches_of(x, label, options, mesh, seed)
  start = linear_steps.start(x.shape[1], num_classes, options, seed)
  step_fn = functools.partial(linear_steps.steps, options, steps_per_epoch)
  return fold(*_train(step_fn, start, batches, total, options, mesh, progress), mean, std)


def batches_of(x, label, options, mesh, seed, among=None):
  """Returns steps in an epoch and in all, batches of finite features, mean and deviation.

  The batches are what `linear_steps.steps` takes, of standardised features, if the options ask for
  it, of the rows `among`, or of all. A single process puts few features on all devices and batches
  are their numbers. Else each process brings those of its own; what it lacks to what the one with
  the most brings, and to a multiple of the devices, is filled with rows without a label, which do
  not count: any batch goes on any devices, with one result.
  """
  count = len(x) if among is None else len(among)
  mean, std = standardization(x, among) if options.standardize else as_they_are(x.shape[1])
  steps_per_epoch = pipeline.steps_per_epoch(count, options.batch_size, _BATCH_SIZE)
  total = steps_per_epoch * options.epochs
  positions = functools.partial(
    pipeline.positions,
    num_images=count,
    batch_size=options.batch_size,
    seed=seed,
    name=order.BEFORE,  # scores stay what they were; rows of features are far larger than the order
  )

  def prepare(rows):
    rows = rows - mean
    rows /= std  # in place, without another copy of them
    return rows

  rows, copies = None, mesh.size if parallel.platform() == "cpu" else 1
  if x.owner is None and copies * 4 * x.own.size <= _ON_DEVICES_BYTES:
    prepared = rows_lib.aligned(x.own.shape, np.float32)  # which a CPU device takes as it is
    for first, piece in zip(range(0, len(x), rows_lib.PIECE), x.pieces(), strict=True):
      prepared[first : first + len(piece)] = prepare(piece)
    rows = parallel.replicate(prepared, mesh)
    del prepared
    x = OwnRows(np.arange(len(x), dtype=np.int32)[:, None])
    prepare = lambda numbers: numbers[..., 0]  # noqa: E731
  at_once = probe_batches.at_once(total, options.batch_size, x.shape[1])

  def batches():
    for first in range(0, total, at_once):
      steps = range(first, min(first + at_once, total))
      chosen = np.stack([positions(step) for step in steps], axis=1)  # [B, steps]
      chosen = chosen if among is None else among[chosen]
      put = x.put(chosen, mesh, ((label, -1),), prepare)
      yield rows, put.rows, *put.columns

  return steps_per_epoch, total, batches(), (mean, std)


def fit_augmented(
  encoder: features.Encoder,
  layer: str,
  variables: PyTree,
  source: Source,
  num_classes: int,
  options: Options,
  mesh: Mesh,
  *,
  view: augment_lib.Recipe,
  clean: Float[np.ndarray, "n F"] | OwnRows,
  seed: int = 0,
  pipeline_options: dict | None = None,
  progress: Progress | None = None,
) -> Classifier:
  """Trains on features of random crops and flips, new ones in every epoch.

  Args:
    encoder, variables: frozen; see `features.collect`.
    layer: of the encoder's layers.
    source: the training images.
    view: whose probe view the encoder sees.
    clean: the layer's features of `source` without augmentation, for `standardize`.
    pipeline_options: of `pipeline.train_batches`.
    progress: called after every step.

  Raises:
    UserError: as `fit`.
  """
  features.check_finite(clean, "features without augmentation")
  options = probe_batches.sized(options, len(source))
  num_features = clean.shape[1]
  mean, std = standardization(clean) if options.standardize else as_they_are(num_features)
  steps_per_epoch, total, batches = probe_batches.make(
    source,
    batch_size=options.batch_size,
    epochs=options.epochs,
    seed=seed,
    mesh=mesh,
    key=_BATCH_SIZE,
    fill=True,  # the encoder is frozen: no row depends on another
    pipeline_options=pipeline_options,
  )
  frozen = parallel.replicate((variables, mean, std), mesh)
  inputs = ((frozen, *batch) for batch in batches)
  start = linear_steps.start(num_features, num_classes, options, seed)
  step_fn = functools.partial(_augmented_step, options, steps_per_epoch, encoder, layer, view)
  return fold(*_train(step_fn, start, inputs, total, options, mesh, progress), mean, std)


def standardization(
  x: Float[np.ndarray, "n F"] | OwnRows, among: Int[np.ndarray, " m"] | None = None
) -> tuple[Float[np.ndarray, " F"], Float[np.ndarray, " F"]]:
  """Returns mean and standard deviation of each feature; 1 for a feature that is constant.

  They are those of the rows `among`, or of all.
  """
  mean, std = moments(OwnRows.of(x), among)
  std = np.where(std > 1e-6 * np.maximum(1.0, np.abs(mean)), std, 1.0)
  return mean.astype(np.float32), std.astype(np.float32)


def as_they_are(num_features: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns the mean and standard deviation that change nothing."""
  return np.zeros(num_features, np.float32), np.ones(num_features, np.float32)


def fold(kernel, bias, mean, std) -> Classifier:
  """Returns the classifier of plain features that equals this one of standardised features."""
  kernel = kernel.astype(np.float64) / std[:, None]
  return kernel.astype(np.float32), (bias - mean @ kernel).astype(np.float32)


def _train(
  step_fn: Callable,
  start: PyTree,
  batches: Iterator[tuple],
  total: int,
  options: Options,
  mesh: Mesh,
  progress: Progress | None,
) -> Classifier:
  """Runs `step_fn(classifier, optimiser state, *batch)`, which also returns its steps' losses."""
  with parallel.use(mesh):
    classifier = parallel.replicate(start, mesh)
    state = parallel.replicate(linear_steps.optimizer(options, 1).init(start), mesh)
    done, pending = 0, ()
    for batch in batches:
      classifier, state, loss = step_fn(classifier, state, *batch)
      done += _read(done, total, pending, options, progress)  # while the new ones are under way
      pending = loss
    _read(done, total, pending, options, progress)
    classifier = parallel.fetch(classifier)
  return classifier["kernel"].T, classifier["bias"]


def _read(done, total, loss, options, progress):
  """Looks at the losses of the steps that follow `done`; returns how many they are."""
  values = np.asarray(parallel.fetch(loss)).tolist()
  for step, value in enumerate(values, start=done + 1):
    if not np.isfinite(value):
      raise errors.UserError(
        f"the linear probe diverged at step {step} with linear_sgd.base_lr {options.base_lr:g}; "
        "lower it, or set linear_sgd.standardize=True"
      )
    if progress:
      progress(step, total, value)
  return len(values)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4), donate_argnums=(5, 6))
def _augmented_step(
  options, steps_per_epoch, encoder, layer, view, classifier, state, frozen, key, batch
):
  variables, mean, std = frozen
  image = augment_lib.probe_view(view, key, batch["image"], batch["extent"], batch["index"])
  x: Array = (encoder(variables, image)[layer] - mean) / std
  new = linear_steps.update(options, steps_per_epoch, classifier, state, x, batch["label"])
  return *new[:2], new[2][None]
