"""One training step as a pure function of the state and a host batch.

Imports: augment, compiling, errors, keys, limits, losses, methods, models, parallel.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from contrastive_jax import augment, methods, parallel
from contrastive_jax.models.network import Network
from contrastive_jax.step import collapse, gathering, guard, online
from contrastive_jax.step import inputs as inputs_lib
from contrastive_jax.step.state import TrainState

Step = Callable[[TrainState, dict[str, Array]], tuple[TrainState, dict[str, Array]]]


def make(
  method: methods.Method,
  net: Network,
  optimizer: optax.GradientTransformation,
  probe: online.Probe,
  recipe: augment.Recipe,
  *,
  seed: int,
  steps_per_epoch: int,
  total_steps: int,
  measure_every: int = 1,
) -> Step:
  """Returns `step(state, batch) -> (state, metrics)`, to be jitted under the mesh.

  What tells of a collapse costs a product of all columns of z with each other (8,192 squared for
  Barlow Twins): it is computed every `measure_every` steps, in the last of an epoch and in the last
  of all, and is NaN in others.
  """

  def step(state: TrainState, batch: dict[str, Array]) -> tuple[TrainState, dict[str, Array]]:
    epoch, in_parts = state.step // steps_per_epoch, net.micro_batches > 1
    inputs = inputs_lib.of(method, recipe, batch, seed=seed, epoch=epoch, late=in_parts)
    memory = gathering.at_head(state.memory, method.tables)  # state may be stored in parts

    def loss_fn(params):
      key = inputs_lib.method_key(seed, state.step)
      params = gathering.at_head(params)
      return method.loss(net, params, state.stats, memory, inputs, key)

    (loss, aux), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = method.constrain(optax.apply_updates(state.params, updates))
    progress = (state.step + 1) / total_steps
    new_probe, probe_metrics = probe.update(state.probe, aux.features["h"], batch["label"])
    new_probe, probe_skipped = guard.keep_probe_if_not_finite(state.probe, new_probe)
    metrics = {
      "loss": loss,
      "grad_norm": optax.tree.norm(grads),
      "param_norm": optax.tree.norm(state.params),
      "replaced": jnp.sum(batch["replaced"]),
      **aux.metrics,
      **probe_metrics,
      **probe_skipped,
    }
    if "z" in aux.features:  # where the targets come from the data nothing collapses
      n = state.step + 1
      due = (n % measure_every == 0) | (n % steps_per_epoch == 0) | (n == total_steps)
      figures = collapse.metrics_if(due, aux.features["z"], batch["index"])
      metrics |= {f"collapse_{name}": value for name, value in figures.items()}
    memory = method.update_memory(memory, gathering.at_head(params), aux.carry, progress)
    new = TrainState(
      step=state.step + 1,
      params=params,
      stats=aux.stats,
      opt_state=opt_state,
      memory=parallel.as_stored(memory, state.memory),
      probe=new_probe,
    )
    state, metrics["skipped"] = guard.keep_if_not_finite(state, new, loss, metrics["grad_norm"])
    return state, metrics

  return step
