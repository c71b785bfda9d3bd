"""Which transformation was applied to an image, told from its features: what a layer keeps of it.

SimCLR's question (Chen et al., ICML 2020, Table 3): what h keeps and z drops. Each image is given
to one operation with parameters drawn for it, and a perceptron is trained on the features of the
training images to say which. Tasks, their classes, and the share of the most frequent one, which
is what a guess has:

| task     | classes                                      | chance |
|----------|----------------------------------------------|-------:|
| color    | in colour, grey (a fifth)                    |    0.8 |
| rotation | turned by 0, 90, 180 or 270 degrees          |   0.25 |
| noise    | as it was, with Gaussian noise added         |    0.5 |
| sobel    | as it was, the strength of its edges         |    0.5 |

The classes come from a key and the image's index, so no label is needed and devices do not matter.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import PRNGKeyArray

from contrastive_jax import augment, errors
from contrastive_jax.augment import color, filters, geometry
from contrastive_jax.evaluation import features, held_out, mlp, scores
from contrastive_jax.options import option


class Transformation(NamedTuple):
  """An operation, which of its parameters is the class, and the probability of each class."""

  operation: augment.Operation
  parameter: str
  shares: tuple[float, ...]


TASKS = {
  "color": Transformation(color.Grey(0.2), "on", (0.8, 0.2)),
  "rotation": Transformation(geometry.Rotate(1.0), "turns", (0.25,) * 4),
  "noise": Transformation(filters.Noise(0.5), "on", (0.5, 0.5)),
  "sobel": Transformation(filters.Sobel(0.5), "on", (0.5, 0.5)),
}


@dataclasses.dataclass(frozen=True)
class Options:
  """Tasks, and the perceptron with its optimiser, Adam; the paper does not give either's size."""

  which: tuple[str, ...] = option(
    ("color", "rotation", "noise", "sobel"), "tasks, of color, rotation, noise, sobel"
  )
  hidden_size: int = option(512, "width of the perceptron's hidden layers")
  hidden_layers: int = option(1, "of the perceptron")
  rates: tuple[float, ...] = option((1e-4, 1e-3, 1e-2), "learning rates to choose from; fall to 0")
  validation_fraction: float = option(0.2, "of the training set, held out to choose the rate")
  steps: int = option(2000, "of the optimiser")
  batch_size: int = option(256, "images in a global batch, or all if they are fewer")

  def __post_init__(self):
    if not self.which:
      raise errors.UserError(f"transformation.which is empty; use some of {', '.join(TASKS)}")
    for name in self.which:
      if name not in TASKS:
        raise errors.UserError(f'transformation.which has "{name}"; use some of {", ".join(TASKS)}')
    for name, limit in (("hidden_size", 1), ("hidden_layers", 0), ("steps", 1), ("batch_size", 1)):
      if getattr(self, name) < limit:
        raise errors.UserError(
          f"transformation.{name} {getattr(self, name)} is below {limit}; use {limit} or more"
        )
    if not self.rates:
      raise errors.UserError("transformation.rates is empty; use e.g. (1e-3,)")
    for rate in self.rates:
      if not rate > 0:
        raise errors.UserError(f"transformation.rates {rate} is not positive; use e.g. 1e-3")
    if not 0 < self.validation_fraction < 1:
      raise errors.UserError(
        f"transformation.validation_fraction {self.validation_fraction} is outside (0, 1); "
        "use e.g. 0.2"
      )

  def check(self, num_images: int, num_devices: int) -> None:
    """Raises `UserError` if so few images leave none to choose the rate on."""
    del num_devices
    if len(self.rates) > 1:
      held_out.split(num_images, self.validation_fraction, 0, "transformation", "rates=(1e-3,)")

  def describe(self) -> str:
    """Returns what a result depends on, in a few words."""
    rates = " or ".join(f"{rate:g}" for rate in self.rates)
    return (
      f"perceptron of {self.hidden_layers} x {self.hidden_size}, Adam at {rates}, "
      f"{self.steps} steps of {self.batch_size}"
    )


def change(
  task: str, view: augment.Recipe, key: PRNGKeyArray
) -> Callable[[features.Batch], features.Batch]:
  """Returns what transforms the test views of a batch; the class becomes their label.

  Args:
    task: of `TASKS`.
    view: whose test view is transformed.
    key: what is done to an image depends on this and its index alone.
  """
  return functools.partial(_change, task, view, key)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _change(task, view, key, batch):
  made = TASKS[task]
  rows = (batch[name] for name in ("image", "extent", "index"))
  image, params = augment.changed_view(view, made.operation, key, *rows)
  return batch | {"image": image, "label": params[made.parameter].astype(jnp.int32)}


def evaluate(
  task: str,
  layer: str,
  train: features.Features,
  test: features.Features,
  options: Options,
  mesh: Mesh,
  *,
  seed: int = 0,
) -> dict[str, Any]:
  """Trains on transformed training images and scores transformed test images.

  Args:
    task: of `TASKS`.
    layer: of the features.
    train, test: features of transformed images, with their classes for labels.
    options: of the perceptron.
    seed: of its start, the order of the images and the part held out.

  Returns:
    top1, per_class and train_top1 in [0, 1]; chance; rate, and validation_top1 of each that was
    tried.

  Raises:
    UserError: see `mlp.fit`.
  """
  count = len(TASKS[task].shares)
  found = mlp.fit(train.rows(layer), train.label, count, options, mesh, seed=seed)

  def scored(part):
    x, label = part.rows(layer), part.label
    return scores.of_classifier(mlp.logits, found.weights, x, label, count, mesh)

  result = scored(test)
  return {
    "top1": result.top1,
    "chance": max(TASKS[task].shares),
    "per_class": list(result.per_class),
    "train_top1": scored(train).top1,
    "rate": found.rate,
    "validation_top1": {f"{rate:g}": top1 for rate, top1 in found.validation.items()},
  }
