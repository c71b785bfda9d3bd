"""Gradients of a network in the middle of a run, where its running means are no longer 0."""

import jax
import jax.numpy as jnp
import nets
import numpy as np
from jax import lax

EPS = 1e-5


def textbook(params, x):
  """`nets.tiny()` in training, of plain convolutions, means and variances."""

  def conv(x, name, stride, within):
    kernel = within[name]["kernel"]
    return lax.conv_general_dilated(
      x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )

  def norm(x, name, within):
    scale, bias = within[name]["scale"], within[name]["bias"]
    axes = (0, 1, 2)
    return (x - x.mean(axes)) / jnp.sqrt(x.var(axes) + EPS) * scale + bias

  def block(x, within, stride):
    y = jax.nn.relu(norm(conv(x, "conv1", stride, within), "norm1", within))
    y = norm(conv(y, "conv2", 1, within), "norm2", within)
    if "conv_skip" in within:
      x = norm(conv(x, "conv_skip", stride, within), "norm_skip", within)
    return jax.nn.relu(y + x)

  x = jax.nn.relu(norm(conv(x, "stem_conv", 2, params), "stem_norm", params))
  x = block(block(x, params["block1_1"], 1), params["block2_1"], 2)
  return x.mean((1, 2))


def test_gradients_at_a_trained_state_are_those_of_float64():
  rng = np.random.default_rng(0)
  x = rng.uniform(size=(40, 16, 16, 3)).astype(np.float32)
  weights = rng.normal(size=(40, 16)).astype(np.float32)
  network = nets.tiny(zero_gamma=False)
  variables = network.init(nets.KEY, x, False)
  params = jax.tree.map(
    lambda a: a + 0.1 * rng.normal(size=a.shape).astype(np.float32), variables["params"]
  )

  @jax.jit
  def step(params, stats, x):
    def loss(params, x):
      variables = {"params": params, "batch_stats": stats}
      y, new = network.apply(variables, x, True, mutable=["batch_stats"])
      return jnp.sum(y["h"] * weights), new["batch_stats"]

    return jax.grad(loss, (0, 1), has_aux=True)(params, x)

  stats = variables["batch_stats"]
  for _ in range(5):  # towards the batch's statistics
    _, stats = step(params, stats, x)
  got, _ = step(params, stats, x)
  with jax.enable_x64(True):
    params, images = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), (params, x))
    gradients = jax.grad(lambda *given: jnp.sum(textbook(*given) * weights), (0, 1))
    wanted = jax.device_get(jax.jit(gradients)(params, images))
  assert jax.tree.leaves(wanted)[0].dtype == np.float64
  assert min(float(abs(s).max()) for s in jax.tree.leaves(stats)) > 0.05
  off = jax.tree.map(lambda a, b: np.linalg.norm(a - b) / np.linalg.norm(b), got, wanted)
  assert max(jax.tree.leaves(off)) < 1e-5, off
