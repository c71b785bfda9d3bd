"""SigLIP's loss between views against the paper's Algorithm 1 in float64, and its two numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from contrastive_jax import errors, optim, parallel
from contrastive_jax.methods import siglip

B, D = 8, 5
TWICE = np.asarray([7, 3, 7, 1, 3, 7, 0, 9], np.int32)
DIFFERENT = np.arange(B, dtype=np.int32)[::-1] + 2


def embeddings():
  return np.random.default_rng(0).normal(size=(B, 2, D)).astype(np.float32)


def algorithm_1(z, log_scale, bias, image):
  """The matrix of logits, labels of 1 on its diagonal and -1 elsewhere, the sum over B."""
  x, y = (toys.unit(z.astype(np.float64))[:, view] for view in (0, 1))
  logits = np.exp(log_scale) * x @ y.T + bias
  labels = 2 * np.eye(B) - 1
  log_sigmoid = -np.log1p(np.exp(-labels * logits))
  own = np.eye(B, dtype=bool)
  return -np.sum(log_sigmoid[own | (image[:, None] != image)]) / B


def value_and_gradient(z, image, devices, form):
  def f(z, log_scale, bias, image):
    return siglip.siglip(z, log_scale, bias, image, implementation=form)

  step = jax.jit(jax.value_and_grad(f, argnums=(0, 1, 2), has_aux=True))
  mesh = parallel.make_mesh(jax.devices()[:devices])
  with parallel.use(mesh):
    z, image = parallel.put((z, image), mesh)
    return jax.device_get(step(z, jnp.float32(0.7), jnp.float32(-0.8), image))


@pytest.mark.parametrize("devices, form", [(1, "dense"), (1, "tiled"), (2, "ring"), (8, "ring")])
@pytest.mark.parametrize("image", [DIFFERENT, TWICE], ids=["different", "twice"])
def test_value_and_gradient_are_those_of_algorithm_1(image, devices, form):
  z = embeddings()
  (value, metrics), grads = value_and_gradient(z, image, devices, form)
  point = [z.astype(np.float64), 0.7, -0.8]
  np.testing.assert_allclose(value, algorithm_1(*point, image), rtol=1e-5)
  np.testing.assert_allclose(metrics["positive_loss"] + metrics["negative_loss"], value, rtol=1e-6)

  def difference(argument, index):
    step = np.zeros(np.shape(point[argument]))
    step[index] = 1e-6
    up, down = (
      algorithm_1(*[p + sign * step if i == argument else p for i, p in enumerate(point)], image)
      for sign in (1, -1)
    )
    return (up - down) / 2e-6

  for argument, index in ((1, ()), (2, ()), (0, (0, 0, 1)), (0, (2, 1, 3)), (0, (7, 1, 0))):
    np.testing.assert_allclose(grads[argument][index], difference(argument, index), atol=2e-5)


def test_scale_and_bias_start_as_the_papers_and_are_learnt_without_decay():
  net = siglip.Method(head_width=7, embedding_size=D).network(toys.Backbone())
  variables = net.init(jax.random.key(0), jnp.zeros((1, 2, 2, 3)), train=False)
  pair = variables["params"]["pair"]
  np.testing.assert_allclose([pair["scale"], pair["bias"]], [np.log(10), -10], rtol=1e-6)
  decayed = optim.builder.unmatched(optim.builder.BIAS_OR_SCALE)({"pair": pair})
  assert decayed == {"pair": {"scale": False, "bias": False}}


def test_a_step_reads_its_own_numbers_and_tells_them():
  method = siglip.Method(head_width=7, embedding_size=D)
  net = method.network(toys.Backbone())
  params, stats = toys.start(net)
  batch = {"views": toys.views(B), "index": jnp.asarray(TWICE)}
  params["pair"] = {"scale": jnp.float32(0.4), "bias": jnp.float32(-2.0)}
  loss, aux = method.loss(net, params, stats, {}, batch, None)
  wanted = algorithm_1(np.asarray(aux.features["z"]), 0.4, -2.0, TWICE)
  np.testing.assert_allclose(loss, wanted, rtol=1e-5)
  np.testing.assert_allclose(aux.metrics["scale"], np.exp(0.4), rtol=1e-6)


def test_a_scale_that_is_not_positive_is_refused():
  with pytest.raises(errors.UserError, match="scale 0 is outside 0.001 to 1000; the paper has 10"):
    siglip.Method(scale=0)
