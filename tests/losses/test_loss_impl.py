"""What a method's `loss_impl` asks for reaches its similarities and leaves loss and gradient."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from contrastive_jax import errors, methods, parallel
from contrastive_jax.losses import sigmoid, similarity

B, CLASSES, NUM_IMAGES = 16, 3, 24
SMALL = {
  "simclr": {},
  "siglip": {},
  "supcon": {},
  "dcl": {},
  "sogclr": {},
  "infonce": {"head_width": 7},
  "moco": {"queue_size": 2 * B},
  "moco_v3": {"head_width": 7, "predictor_width": 7},
  "nnclr": {"head_width": 7, "predictor_width": 7, "queue_size": 2 * B},
  "instdisc": {"num_noise": 0},
  "looc": {"queue_size": 2 * B},
}


@pytest.fixture
def asked(monkeypatch):
  """The implementations that were asked for; tiles of 5, so that there is more than one."""
  found = []

  def watch(module, name):
    original = getattr(module, name)

    def watched(*args, implementation="auto", **options):
      found.append(implementation)
      return original(*args, implementation=implementation, **options | {"tile": 5})

    monkeypatch.setattr(module, name, watched)

  watch(similarity, "row_stats")
  watch(sigmoid, "row_sums")
  return found


@functools.cache
def problem(name):
  method = methods.get(name)(embedding_size=8, **SMALL[name])
  net = method.network(toys.Backbone())
  params, stats = toys.start(net)
  task = methods.Task(NUM_IMAGES, CLASSES, B, 2)
  memory = method.init_memory(net, {"params": params}, task, jax.random.key(0))
  batch = {
    "views": toys.views(B, method.num_views),
    "label": np.arange(B, dtype=np.int32) % (CLASSES + 1) - 1,  # some have none
    "index": np.arange(B, dtype=np.int32)[::-1] + 5,
  }
  return method, net, (params, stats, memory), batch


def loss_and_gradient(name, implementation):
  method, net, state, batch = problem(name)
  method = dataclasses.replace(method, loss_impl=implementation)
  mesh = parallel.make_mesh()  # 8 devices
  with parallel.use(mesh):

    def loss(params, stats, memory, batch):
      return method.loss(net, params, stats, memory, batch, jax.random.key(1))[0]

    step = jax.jit(jax.value_and_grad(loss))
    return jax.device_get(step(*parallel.replicate(state, mesh), parallel.put(batch, mesh)))


@pytest.mark.parametrize("name", SMALL)
def test_every_form_gives_the_loss_and_gradient_of_the_dense_one(name, asked):
  value, grads = loss_and_gradient(name, "dense")
  assert any(jnp.abs(g).max() > 1e-3 for g in jax.tree.leaves(grads))
  for implementation in ("tiled", "ring"):
    del asked[:]
    other, other_grads = loss_and_gradient(name, implementation)
    assert set(asked) == {implementation}
    np.testing.assert_allclose(other, value, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(other_grads), jax.tree.leaves(grads), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_an_unknown_form_is_refused_before_anything_runs(name):
  words = '^method.loss_impl "foo" is unknown; use auto, dense, tiled, ring$'
  with pytest.raises(errors.UserError, match=words):
    methods.get(name)(loss_impl="foo")
