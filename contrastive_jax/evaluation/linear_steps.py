"""Steps of SGD on a linear classifier of features; options are `linear_probe.Options`.

Its kernel lies with a class a row: the gradient is then a product of a CPU's quick form, which that
of a kernel with a class a column is not. A step takes its batch out of several where it stands, so
that they need not be copied one after the other; where all rows are on the devices, batches are
their numbers.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from contrastive_jax import losses, parallel

Weights = dict[str, np.ndarray]  # kernel [C, F], bias [C]


def start(num_features: int, num_classes: int, options: Any, seed: int) -> Weights:
  """Returns a classifier before its first step."""
  # NumPy's generator: jax.random.normal takes seconds to compile for each new shape.
  noise = np.random.default_rng(seed).standard_normal((num_features, num_classes))
  kernel = np.ascontiguousarray((options.init_std * noise).astype(np.float32).T)
  return {"kernel": kernel, "bias": np.zeros(num_classes, np.float32)}


def optimizer(options: Any, steps_per_epoch: int) -> optax.GradientTransformation:
  """Returns SGD with the schedule of `linear_probe.Options`."""
  peak = options.base_lr * options.batch_size / 256
  if options.schedule == "cosine":
    schedule = optax.cosine_decay_schedule(peak, options.epochs * steps_per_epoch)
  else:
    falls = {epoch * steps_per_epoch: 0.1 for epoch in options.step_epochs}
    schedule = optax.piecewise_constant_schedule(peak, falls)
  return optax.chain(
    optax.add_decayed_weights(options.weight_decay, mask={"kernel": True, "bias": False}),
    optax.sgd(schedule, options.momentum or None, options.nesterov),
  )


def update(options, steps_per_epoch, classifier, state, x, label, relative=1):
  """Takes a step at `relative` times the rate, in which SGD's update is linear."""

  def loss_fn(classifier):
    logits = x @ classifier["kernel"].T + classifier["bias"]
    return losses.cross_entropy(logits, label)[0]

  loss, grads = jax.value_and_grad(loss_fn)(classifier)
  updates, state = optimizer(options, steps_per_epoch).update(grads, state, classifier)
  updates = jax.tree.map(lambda update: relative * update, updates)
  return optax.apply_updates(classifier, updates), state, loss


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def steps(options, steps_per_epoch, classifier, state, rows, x, label):
  """Takes a step on each of the batches x [B, steps, F], or of the `rows` [n, F], x [B, steps]."""

  def one(carry, number):
    batch = _batch(number, rows, x, label)
    classifier, state, loss = update(options, steps_per_epoch, *carry, *batch)
    return (classifier, state), loss

  (classifier, state), loss = jax.lax.scan(one, (classifier, state), jnp.arange(x.shape[1]))
  return classifier, state, loss


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def steps_of_rates(options, steps_per_epoch, classifiers, states, relative, rows, x, label):
  """Takes a step on each of the batches, see `steps`, at each of the rates."""

  def one(carry, number):
    batch = _batch(number, rows, x, label)
    step = functools.partial(update, options, steps_per_epoch)
    stepped = jax.vmap(lambda c, s, r: step(c, s, *batch, r)[:2])(*carry, relative)
    return stepped, None

  return jax.lax.scan(one, (classifiers, states), jnp.arange(x.shape[1]))[0]


def _batch(number, rows, x, label):
  x, label = (jax.lax.dynamic_index_in_dim(a, number, 1, keepdims=False) for a in (x, label))
  return (x if rows is None else parallel.look_up(rows, x)), label
