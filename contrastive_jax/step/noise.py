"""The gradient noise scale of a loss, also where its terms share their negatives.

McCandlish et al. (2018, section 2.2 and appendix A.1) take the gradient of a batch for a mean of
independent terms: its mean G is the same at every batch size, its covariance falls as 1/b, and the
squared norms at two sizes tell both. In a contrastive loss a term depends on the other images of
its batch, so the mean gradient G_b depends on b itself, and squared norms of two sizes mix noise
with this drift. So a batch of B is cut into k parts, and each part's gradient is taken with
negatives of its own part alone: k independent gradients g_1..g_k of batches of b = B / k, for which

  signal = mean over i != j of <g_i, g_j>      has mean |G_b|^2,
  trace  = mean over i of |g_i|^2  -  signal   has mean tr Cov(g_b),

both exactly, whatever the loss. b trace / signal is the number of images at which noise and signal
are equal, if the covariance falls as 1/b, as it does in leading order for any smooth function of
the batch's distribution. What the drift is, the gradient g_B of the whole batch tells: on that
assumption |g_B|^2 - trace/k has the mean |G_B|^2, and <mean of g_i, g_B> - trace/k nearly the mean
<G_b, G_B>, as both see the same images. A drift_norm and a drift_cosine of 1 say that b and B
descend one loss, and that two norms would have told the same.

What it does not tell: noise of batches above B whose loss is another one, and anything of a method
whose negatives come from a memory, since the memory is taken as it is.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from contrastive_jax import augment, errors, methods, parallel
from contrastive_jax.models.network import Network
from contrastive_jax.step import gathering
from contrastive_jax.step import inputs as inputs_lib
from contrastive_jax.step.state import TrainState

Measure = Callable[[TrainState, dict[str, Array]], dict[str, Array]]


def check(parts: int, batch_size: int, bn_groups: int, num_devices: int) -> None:
  """Raises `UserError` unless a batch can be cut into so many parts on each device."""
  if parts == 0:
    return
  if parts < 2:
    raise errors.UserError(
      f"monitor.noise_parts {parts} is below 2; use 2 or more parts, or 0 to measure no noise"
    )
  if batch_size % (parts * bn_groups * num_devices) or batch_size < 2 * parts:
    raise errors.UserError(
      f"monitor.noise_parts {parts}: batch_size {batch_size} is not divisible into so many parts "
      f"of at least two images, each of {bn_groups} batch-norm group(s) on {num_devices} "
      "device(s); use --config.monitor.noise_parts=2, or 0 to measure no noise"
    )


def make(
  method: methods.Method,
  net: Network,
  recipe: augment.Recipe,
  parts: int,
  *,
  seed: int,
  steps_per_epoch: int,
) -> Measure:
  """Returns `measure(state, batch) -> figures` of the state before a step on that batch.

  It takes the time of two steps. Figures are the keys of `summary`.
  """

  def measure(state: TrainState, batch: dict[str, Array]) -> dict[str, Array]:
    inputs = inputs_lib.of(method, recipe, batch, seed=seed, epoch=state.step // steps_per_epoch)
    params = gathering.at_head(state.params)
    memory = gathering.at_head(state.memory, method.tables)
    key = inputs_lib.method_key(seed, state.step)

    def gradient(net, inputs):
      def loss(params):
        return method.loss(net, params, state.stats, memory, inputs, key)[0]

      return jax.grad(loss)(params)

    cut = jax.tree.map(lambda x: parallel.split_rows(x, parts, strided=True), inputs)

    def add(total, part):
      gradients, squares = total
      found = gradient(net.clone(micro_batches=1), part)
      return (optax.tree.add(gradients, found), squares + optax.tree.norm(found, squared=True)), ()

    nothing = (optax.tree.zeros_like(params), jnp.zeros(()))
    (total, squares), _ = jax.lax.scan(add, nothing, cut)
    return summary(total, squares, gradient(net, inputs), parts, len(batch["index"]))

  return measure


def summary(
  total: PyTree[Array], squares: Array, whole: PyTree[Array], parts: int, batch_size: int
) -> dict[str, Array]:
  """Returns the figures from the gradients of k parts and of the whole batch.

  Args:
    total: sum of the parts' gradients.
    squares: sum of their squared norms.
    whole: gradient of the whole batch.
    parts: k.
    batch_size: images of the whole batch.

  Returns:
    noise_signal, noise_trace: see the module; their means over steps may be divided by each other,
      which one step's may not: a signal can be below 0. The trace is in units of one image's, b
      times that of g_b, so that noise_trace / noise_signal is a number of images.
    noise_whole, noise_cross: estimates of |G_B|^2 and <G_b, G_B>.
  """
  k = parts
  square_of_total = optax.tree.norm(total, squared=True)
  signal = (square_of_total - squares) / (k * (k - 1))
  trace = squares / k - signal
  return {
    "noise_signal": signal,
    "noise_trace": trace * (batch_size // k),
    "noise_whole": optax.tree.norm(whole, squared=True) - trace / k,
    "noise_cross": optax.tree.vdot(total, whole) / k - trace / k,
  }
