"""A linear classifier on the stopped representation, trained inside the pre-training step.

It costs one small matrix product and follows the quality of h without touching the encoder; its
accuracy runs behind that of a probe trained on the finished encoder.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from contrastive_jax import losses


@dataclasses.dataclass(frozen=True)
class Probe:
  """Softmax regression on h by Adam; `num_classes` 0 makes every function a no-op."""

  num_classes: int
  learning_rate: float = 1e-3

  def init(self, num_features: int) -> PyTree:
    """Returns zero weights and the optimiser's state, {} without classes."""
    if not self.num_classes:
      return {}
    params = {
      "kernel": jnp.zeros((num_features, self.num_classes)),
      "bias": jnp.zeros(self.num_classes),
    }
    return {"params": params, "opt_state": self._optimizer().init(params)}

  def update(
    self, state: PyTree, h: Float[Array, "B V F"], label: Int[Array, " B"]
  ) -> tuple[PyTree, dict[str, Array]]:
    """Takes one step on all views; returns the new state and its metrics before the step."""
    if not self.num_classes:
      return state, {}
    features = jax.lax.stop_gradient(h.reshape(-1, h.shape[-1])).astype(jnp.float32)
    labels = jnp.broadcast_to(label[:, None], h.shape[:2]).reshape(-1)

    def loss_fn(params):
      return losses.cross_entropy(features @ params["kernel"] + params["bias"], labels)

    (loss, accuracy), grads = jax.value_and_grad(loss_fn, has_aux=True)(state["params"])
    updates, opt_state = self._optimizer().update(grads, state["opt_state"])
    params = optax.apply_updates(state["params"], updates)
    metrics = {"online_loss": loss, "online_accuracy": accuracy}
    return {"params": params, "opt_state": opt_state}, metrics

  def _optimizer(self) -> optax.GradientTransformation:
    return optax.adam(self.learning_rate)
