"""Fine-tuning: a linear classifier on an endpoint, trained together with all that leads to it.

| protocol                   | optimizer     | base_lr | lr_scaling | batch_size | epochs | layer |
|----------------------------|---------------|---------|------------|------------|--------|-------|
| SimCLR, 1 % of the labels  | sgd, Nesterov | 0.05    | linear     | 4096       | 60     | h     |
| SimCLR, 10 %               | sgd, Nesterov | 0.05    | linear     | 4096       | 30     | h     |
| SimCLR v2, 1 %             | lars          | 0.005   | sqrt       | 1024       | 60     | z.1   |

No warm-up and no weight decay; random crops and flips. SimCLR v2 starts from the first layer of a
head of three: "z.1". Batch norm takes its statistics over the whole batch of single views.

Epochs of a small set are few steps: `min_steps` passes over it more often. It leaves the protocols
above as they are on the labels of ImageNet; `min_steps=0` does so everywhere.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import PyTree

from contrastive_jax import augment, errors, losses, optim, parallel, plural
from contrastive_jax.data import Source
from contrastive_jax.evaluation import features, probe_batches
from contrastive_jax.evaluation.linear_probe import Classifier
from contrastive_jax.options import option

_BATCH_SIZE = "finetune.batch_size"  # in errors: an evaluation has a batch_size of its own

Progress = Callable[[int, int, float], None]  # (step from 1, steps in all, its loss)


@dataclasses.dataclass(frozen=True)
class Options:
  """Settings of the optimiser; the defaults are SimCLR's for 10 % of the labels (section B.5)."""

  optimizer: str = option("sgd", "sgd, lars, adamw or another of the pre-training's")
  base_lr: float = option(0.05, "learning rate before lr_scaling; falls to 0 along a cosine")
  lr_scaling: str = option("linear", "linear, sqrt, none: times B/256, sqrt B, 1")
  classifier_lr: float = option(1.0, "multiplies the learning rate of the linear classifier")
  batch_size: int = option(256, "images in a global batch, or all if they are fewer")
  epochs: int = option(30, "passes over the training set, or more: see min_steps")
  min_steps: int = option(1000, "at least so many steps of 256 images, in whole epochs (0: any)")
  warmup_epochs: float = option(0.0, "epochs of linear warm-up from 0")
  momentum: float = option(0.9, "of sgd and lars")
  nesterov: bool = option(True, "Nesterov's form of momentum")
  weight_decay: float = option(0.0, "of all but biases and batch norm")

  def __post_init__(self):
    for name in ("batch_size", "epochs"):
      if getattr(self, name) < 1:
        raise errors.UserError(f"finetune.{name} {getattr(self, name)} is below 1; use 1 or more")
    if self.min_steps < 0:
      raise errors.UserError(
        f"finetune.min_steps {self.min_steps} is negative; use 0 for the epochs alone"
      )

  def check(self, num_images: int, num_devices: int) -> None:
    """Raises `UserError` if batches of so many images do not divide over the devices."""
    probe_batches.check(self, num_images, num_devices, _BATCH_SIZE)

  def describe(self) -> str:
    """Returns what a result depends on, in a few words."""
    return (
      f"{self.optimizer}, lr {self.base_lr:g} x {self.lr_scaling} of {self.batch_size}, "
      f"{plural.of(self.epochs, 'epoch')}, crop and flip"
      f"{f', at least {self.min_steps} steps' if self.min_steps else ''}"
    )


def fit(
  encoder: features.OfNet,
  layer: str,
  variables: PyTree,
  source: Source,
  num_classes: int,
  options: Options,
  mesh: Mesh,
  *,
  num_features: int,
  view: augment.Recipe,
  seed: int = 0,
  pipeline_options: dict[str, Any] | None = None,
  progress: Progress | None = None,
) -> tuple[PyTree, Classifier]:
  """Trains encoder and classifier; the classifier starts at zero.

  Args:
    encoder, variables: where to start; see `features.OfNet`.
    layer: of the encoder's layers, of `num_features` numbers.
    source: the training images; those without a label do not count.
    view: whose probe view the encoder sees.
    pipeline_options: of `pipeline.train_batches`.
    progress: called after every step.

  Returns:
    The encoder's new variables and the classifier, on the host.

  Raises:
    UserError: the batch does not divide over the devices; the loss diverged.
  """
  options = probe_batches.sized(options, len(source), mesh.size)
  steps_per_epoch, total, batches = probe_batches.make(
    source,
    batch_size=options.batch_size,
    epochs=options.epochs,
    seed=seed,
    mesh=mesh,
    key=_BATCH_SIZE,
    pipeline_options=pipeline_options,
  )
  encoder = dataclasses.replace(encoder, net=encoder.net.of_single_views())
  classifier = {
    "kernel": np.zeros((num_features, num_classes), np.float32),
    "bias": np.zeros(num_classes, np.float32),
  }
  params = {"encoder": variables["params"], "classifier": classifier}
  step_fn = functools.partial(_step, options, steps_per_epoch, encoder, layer, view)
  with parallel.use(mesh):
    params, stats = parallel.replicate((params, variables["stats"]), mesh)
    opt_state = jax.jit(_optimizer(options, steps_per_epoch).init)(params)
    state, pending = (params, stats, opt_state), None
    for step, (epoch_key, batch) in enumerate(batches):
      state, loss = step_fn(state, epoch_key, batch)
      _read(step, total, pending, options, progress)  # while the new one is under way
      pending = loss
    _read(total, total, pending, options, progress)
    params, stats = parallel.fetch(state[:2])
  classifier = params["classifier"]
  return {"params": params["encoder"], "stats": stats}, (classifier["kernel"], classifier["bias"])


def _read(step, total, loss, options, progress):
  """Looks at the loss of step number `step`, counted from 1; None before the first."""
  if loss is None:
    return
  loss = float(parallel.fetch(loss))
  if not np.isfinite(loss):
    raise errors.UserError(
      f"fine-tuning diverged at step {step} with finetune.base_lr {options.base_lr:g}; lower it"
    )
  if progress:
    progress(step, total, loss)


def _optimizer(options: Options, steps_per_epoch: int) -> optax.GradientTransformation:
  schedule = optim.schedule(
    base_lr=options.base_lr,
    batch_size=options.batch_size,
    epochs=options.epochs,
    steps_per_epoch=steps_per_epoch,
    lr_scaling=options.lr_scaling,
    warmup_epochs=options.warmup_epochs,
  )
  return optim.build(
    options.optimizer,
    schedule,
    weight_decay=options.weight_decay,
    momentum=options.momentum,
    nesterov=options.nesterov,
    lr_rules=(("^classifier/", options.classifier_lr, False),),
  )


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4), donate_argnums=5)
def _step(options, steps_per_epoch, encoder, layer, view, state, key, batch):
  params, stats, opt_state = state
  image = augment.probe_view(view, key, batch["image"], batch["extent"], batch["index"])

  def loss_fn(params):
    found, new = encoder.forward(params["encoder"], stats, image, train=True)
    logits = found[layer] @ params["classifier"]["kernel"] + params["classifier"]["bias"]
    return losses.cross_entropy(logits, batch["label"])[0], new

  (loss, stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
  optimizer = _optimizer(options, steps_per_epoch)
  updates, opt_state = optimizer.update(grads, opt_state, params)
  # XLA's forward pass of a gradient may make 0 of relu(NaN): the loss alone does not tell.
  loss = jnp.where(jnp.isfinite(optax.tree.norm(grads)), loss, jnp.nan)
  return (optax.apply_updates(params, updates), stats, opt_state), loss
