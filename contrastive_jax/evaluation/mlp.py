"""A multilayer perceptron on frozen features, trained by Adam.

It finds what features say in any form, which a linear probe does not. A large perceptron on few
examples learns them by heart, so rates are tried side by side and the one that is best on a part
held out is kept; that part is not trained on.

Options are `transformation.Options`: hidden_size, hidden_layers, rates, steps, batch_size and
validation_fraction.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from contrastive_jax import errors, losses, parallel
from contrastive_jax.data import order, pipeline
from contrastive_jax.evaluation import features, held_out, linear_probe, probe_batches, scores
from contrastive_jax.evaluation.own_rows import OwnRows

Weights = list[dict[str, np.ndarray]]  # of each layer: kernel [in, out], bias [out]


class Fit(NamedTuple):
  """A classifier of plain features and how its rate was found."""

  weights: Weights
  rate: float
  validation: dict[float, float]  # held-out top-1 of each rate; {} if there is only one


def logits(weights: Weights, x: Float[Array, "n F"]) -> Float[Array, "n C"]:
  """Returns what the perceptron says: ReLU after each layer but the last."""
  for number, layer in enumerate(weights):
    x = jnp.maximum(x, 0) if number else x
    x = jnp.matmul(x, layer["kernel"], precision=jax.lax.Precision.HIGHEST) + layer["bias"]
  return x


def fit(
  x: Float[np.ndarray, "n F"] | OwnRows,
  label: Int[np.ndarray, " n"],
  num_classes: int,
  options: Any,
  mesh: Mesh,
  *,
  seed: int = 0,
) -> Fit:
  """Trains at each of the rates on standardised features and returns the best; of equals the first.

  Raises:
    UserError: a feature is not finite; too few examples to hold any out; the batch does not divide
      over the devices; all diverged.
  """
  features.check_finite(x, "features")
  x = OwnRows.of(x)
  fitted, unseen = np.arange(len(x)), np.arange(0)
  if len(options.rates) > 1:
    fitted, unseen = held_out.split(
      len(x), options.validation_fraction, seed, "transformation", "rates=(1e-3,)"
    )
  mean, std = linear_probe.standardization(x, fitted)
  trained = _train(x, label, fitted, (mean, std), num_classes, options, mesh, seed)
  found, classifiers = {}, {}
  for number, rate in enumerate(options.rates):
    first, *rest = jax.tree.map(lambda leaf, i=number: leaf[i], trained)
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves([first, *rest])):
      continue  # it diverged
    kernel, bias = linear_probe.fold(first["kernel"], first["bias"], mean, std)
    classifiers[rate] = [{"kernel": kernel, "bias": bias}, *rest]
    if len(unseen):
      found[rate] = top1(classifiers[rate], x, label, num_classes, mesh, unseen)
  if not classifiers:
    rates = ", ".join(f"{rate:g}" for rate in options.rates)
    raise errors.UserError(f"the perceptron diverged with transformation.rates {rates}; lower them")
  best = max(found, key=found.get) if found else next(iter(classifiers))
  return Fit(classifiers[best], best, found)


def top1(weights: Weights, x, label, num_classes: int, mesh: Mesh, among=None) -> float:
  """Returns the share of the examples, of all or of those `among`, whose class comes first."""
  return scores.of_classifier(logits, weights, x, label, num_classes, mesh, among).top1


def start(num_features: int, num_classes: int, options: Any, seed: int) -> Weights:
  """Returns a perceptron before its first step: He's normal kernels, biases of zero."""
  # NumPy's generator: jax.random.normal takes seconds to compile for each new shape.
  generator = np.random.default_rng(seed)
  sizes = (num_features, *(options.hidden_size,) * options.hidden_layers, num_classes)
  made = []
  for fan_in, fan_out in zip(sizes, sizes[1:], strict=False):
    kernel = generator.standard_normal((fan_in, fan_out)) * np.sqrt(2 / fan_in)
    made.append({"kernel": kernel.astype(np.float32), "bias": np.zeros(fan_out, np.float32)})
  return made


def _train(x, label, among, standard, num_classes, options, mesh, seed) -> Weights:
  """Returns the perceptrons after all steps on the rows `among`, standardised.

  Each leaf has the rates as its first axis.
  """
  mean, std = standard
  whole = len(among) // mesh.size * mesh.size
  batch_size = min(options.batch_size, whole or options.batch_size)
  parallel.check_batch_size(batch_size, mesh.size, "transformation.batch_size")
  positions = functools.partial(
    pipeline.positions,
    num_images=len(among),
    batch_size=batch_size,
    seed=seed,
    name=order.BEFORE,  # scores stay what they were
  )
  at_once = probe_batches.at_once(options.steps, batch_size, x.shape[1])
  weights = start(x.shape[1], num_classes, options, seed)
  weights = jax.tree.map(lambda leaf: np.stack([leaf] * len(options.rates)), weights)
  with parallel.use(mesh):
    rates = parallel.replicate(np.asarray(options.rates, np.float32), mesh)
    state = parallel.replicate(jax.vmap(_optimizer(options.steps).init)(weights), mesh)
    weights = parallel.replicate(weights, mesh)
    for first in range(0, options.steps, at_once):
      steps = range(first, min(first + at_once, options.steps))
      chosen = np.stack([positions(step) for step in steps], axis=1)  # [B, steps]
      put = x.put(among[chosen], mesh, ((label, -1),), lambda rows: (rows - mean) / std)
      batch = put.rows, *put.columns
      weights, state = _steps(options.steps, weights, state, rates, *batch)
    return parallel.fetch(weights)


def _optimizer(steps: int) -> optax.GradientTransformation:
  """Returns Adam at rate 1, which falls to 0 along a cosine."""
  return optax.adam(optax.cosine_decay_schedule(1.0, steps))


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def _steps(total, weights, state, rates, x, label):
  """Takes a step on each of the batches x [B, steps, F] at each of the rates."""

  def one(carry, batch):
    def step(weights, state, rate):
      def loss_fn(weights):
        return losses.cross_entropy(logits(weights, batch[0]), batch[1])[0]

      updates, state = _optimizer(total).update(jax.grad(loss_fn)(weights), state)
      updates = jax.tree.map(lambda update: rate * update, updates)  # Adam's is linear in the rate
      return optax.apply_updates(weights, updates), state

    return jax.vmap(step)(*carry, rates), None

  return jax.lax.scan(one, (weights, state), (jnp.moveaxis(x, 1, 0), label.T))[0]
