"""LARS and LARC, which adapt the rate of each layer, against loops written from their formulas."""

import math

import jax
import numpy as np
import optax
import pytest
from descent import changing_rate, problem, run
from nets import flat

from contrastive_jax import optim


def lars_oracle(params, gradients, rate, decay, momentum, eta, inside, excluded):
  """Float64 loop over You et al. (2017), with the rate inside or outside the momentum buffer."""
  params = {k: np.asarray(v, np.float64) for k, v in params.items()}
  buffer = {k: 0.0 for k in params}
  for step, gradient in enumerate(gradients):
    for k, w in params.items():
      g, t = np.asarray(gradient[k], np.float64), 1.0
      if k not in excluded:
        g = g + decay * w
        norms = math.sqrt((w**2).sum()), math.sqrt((g**2).sum())
        if norms[0] > 0 and norms[1] > 0:
          t = eta * norms[0] / norms[1]
      if inside:
        buffer[k] = momentum * buffer[k] + rate(step) * t * g
        params[k] = w - buffer[k]
      else:
        buffer[k] = momentum * buffer[k] + t * g
        params[k] = w - rate(step) * buffer[k]
  return params


@pytest.mark.parametrize(("name", "inside"), [("lars", True), ("lars_outside", False)])
def test_lars_follows_its_formula_while_the_rate_changes(name, inside):
  params, gradients = problem(12)
  settings = {"weight_decay": 0.01, "momentum": 0.9, "trust_coefficient": 0.02}
  got = flat(run(optim.build(name, changing_rate, **settings), params, gradients))
  excluded = {"conv/bias", "norm/scale", "norm/bias"}
  flat_gradients = [flat(g) for g in gradients]
  args = (flat(params), flat_gradients, changing_rate, 0.01, 0.9, 0.02)
  wanted = lars_oracle(*args, inside, excluded)
  other = lars_oracle(*args, not inside, excluded)
  for path, value in wanted.items():
    np.testing.assert_allclose(got[path], value, rtol=2e-5, atol=1e-5, err_msg=path)  # float32
    assert np.abs(value - other[path]).max() > 1e-2, "the two conventions must differ here"


def larc_oracle(params, gradients, rate, decay, momentum, eta, eps, clip, excluded):
  """Float64 loop over LARC: the decay is not in the norm of the gradient but beside it."""
  params = {k: np.asarray(v, np.float64) for k, v in params.items()}
  buffer = {k: 0.0 for k in params}
  for step, gradient in enumerate(gradients):
    for k, w in params.items():
      g = np.asarray(gradient[k], np.float64)
      of_w, of_g = math.sqrt((w**2).sum()), math.sqrt((g**2).sum())
      if k not in excluded and of_w > 0 and of_g > 0:
        t = eta * of_w / (of_g + decay * of_w + eps)
        if clip:
          t = min(t / rate(step), 1.0)
        g = t * (g + decay * w)
      buffer[k] = momentum * buffer[k] + g
      params[k] = w - rate(step) * buffer[k]
  return params


@pytest.mark.parametrize("excluded", [{"conv/bias", "norm/scale", "norm/bias"}, set()])
@pytest.mark.parametrize("clip", [False, True])
def test_larc_follows_its_formula_while_the_rate_changes(clip, excluded):
  params, gradients = problem(12)
  params["norm"]["bias"] *= 0  # starts unadapted
  settings = {"weight_decay": 0.3, "trust_coefficient": 0.2, "trust_eps": 0.5, "trust_clip": clip}
  exclude = {} if excluded else {"exclude": "none"}
  got = flat(run(optim.build("larc", changing_rate, **settings, **exclude), params, gradients))
  args = (
    flat(params),
    [flat(g) for g in gradients],
    changing_rate,
    0.3,
    0.9,
    0.2,
  )
  wanted = larc_oracle(*args, 0.5, clip, excluded)
  for path, value in wanted.items():
    np.testing.assert_allclose(got[path], value, rtol=2e-5, atol=1e-5, err_msg=path)  # float32
  others = (0.5, not clip), (0.0, clip)
  for other in (larc_oracle(*args, *settings, excluded) for settings in others):
    assert np.abs(wanted["conv/kernel"] - other["conv/kernel"]).max() > 1e-3


def test_larc_clips_by_the_rate_of_each_leaf_and_starts_at_a_rate_of_0():
  """At most the step of plain SGD, whose rate a rule has cut for one of the leaves."""
  rate = optim.schedule(1.0, 256, epochs=4, steps_per_epoch=1, warmup_epochs=1)
  params, gradients = problem(2)
  settings = {"momentum": 0.0, "exclude": "none", "lr_rules": (("^conv/", 0.01),)}
  larc = optim.build("larc", rate, trust_coefficient=10.0, trust_clip=True, **settings)
  sgd = optim.build("sgd", rate, **settings)
  a, b = run(larc, params, gradients), run(sgd, params, gradients)
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), a, b)


def test_larc_takes_a_decay_that_changes():
  rate = optim.schedule(0.1, 256, 4, 1, lr_schedule="constant")
  optimizer = optim.build(
    "larc", rate, 0.0, momentum=0.0, trust_coefficient=1.0, final_weight_decay=4.0
  )
  w, g = np.asarray([3.0, 0.0]), np.asarray([0.0, 4.0])
  got = run(optimizer, {"w": w.astype(np.float32)}, [{"w": g.astype(np.float32)}] * 4)["w"]
  for step in range(4):
    decay = 4 - 4 * (1 + math.cos(math.pi * step / 4)) / 2
    size = np.linalg.norm(w)
    w = w - 0.1 * size / (4 + decay * size) * (g + decay * w)
  np.testing.assert_allclose(got, w, rtol=1e-5)


def test_lars_is_the_one_of_optax():
  params, gradients = problem(5)
  mask = optim.builder.unmatched(optim.builder.BIAS_OR_SCALE)
  theirs = optax.lars(
    changing_rate, 0.01, mask, trust_coefficient=0.02, trust_ratio_mask=mask, momentum=0.9
  )
  ours = optim.build("lars", changing_rate, weight_decay=0.01, trust_coefficient=0.02)
  a, b = run(ours, params, gradients), run(theirs, params, gradients)
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), a, b)


@pytest.mark.parametrize("name", ["lars", "lars_outside", "larc"])
def test_a_zero_norm_means_no_adaptation(name):
  params = {"zero": np.zeros((2, 2), "f4"), "still": np.ones((2, 2), "f4")}
  gradient = {"zero": np.ones((2, 2), "f4"), "still": np.zeros((2, 2), "f4")}
  got = run(optim.build(name, 0.5), params, [gradient])
  np.testing.assert_allclose(got["zero"], -0.5)  # t = 1
  np.testing.assert_allclose(got["still"], 1.0)


def test_rules_act_inside_the_momentum_where_the_rate_does():
  params, gradients = problem(5)
  halved = lambda step: 0.5 * changing_rate(step)  # noqa: E731
  ruled = optim.build("lars", changing_rate, lr_rules=((".", 0.5),))
  a, b = (run(o, params, gradients) for o in (ruled, optim.build("lars", halved)))
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), a, b)
