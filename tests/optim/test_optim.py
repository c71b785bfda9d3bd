"""Optimisers against torch and their formulas: decay, clipping, accumulation, rules."""

import dataclasses
import functools
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from descent import changing_rate, problem, random_tree, run
from nets import flat

from contrastive_jax import errors, models, optim
from contrastive_jax.models import heads, network

TORCH = {
  "sgd": ("SGD", {"momentum": 0.9}, {"momentum": 0.9}),
  "sgd_nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}, {"momentum": 0.9, "nesterov": True}),
  "adam": ("Adam", {"betas": (0.9, 0.99)}, {"b2": 0.99}),
  "adamw": ("AdamW", {"betas": (0.9, 0.99)}, {"b2": 0.99}),
}


@pytest.mark.parametrize("case", TORCH)
def test_equals_torch_when_everything_decays(case):
  torch = pytest.importorskip("torch")
  theirs_name, theirs_options, ours_options = TORCH[case]
  params, gradients = problem(12)
  optimizer = optim.build(
    case.split("_")[0],
    changing_rate,
    weight_decay=0.05,
    decay_exclude="none",
    **ours_options,
  )
  got = flat(run(optimizer, params, gradients))
  leaves = {k: torch.nn.Parameter(torch.tensor(v)) for k, v in flat(params).items()}
  theirs = getattr(torch.optim, theirs_name)(
    leaves.values(), lr=1.0, weight_decay=0.05, **theirs_options
  )
  for step, gradient in enumerate(gradients):
    theirs.param_groups[0]["lr"] = changing_rate(step)
    for k, g in flat(gradient).items():
      leaves[k].grad = torch.tensor(g)
    theirs.step()
  for k, v in leaves.items():
    np.testing.assert_allclose(got[k], v.detach().numpy(), rtol=2e-5, atol=2e-5, err_msg=k)


def test_lamb_rescales_kernels_to_their_norm_and_leaves_the_rest_to_adam():
  params, gradient = random_tree(0), random_tree(1)
  step = jax.tree.map(np.subtract, run(optim.build("lamb", 0.1), params, [gradient]), params)
  kernel = params["conv"]["kernel"]
  assert np.linalg.norm(step["conv"]["kernel"]) == pytest.approx(
    0.1 * np.linalg.norm(kernel), rel=1e-5
  )
  # the first Adam step of a leaf is the sign of its gradient
  sign = np.sign(gradient["norm"]["bias"])
  np.testing.assert_allclose(step["norm"]["bias"], -0.1 * sign, rtol=1e-4)


def small_network():
  heads_ = (
    network.Head("z", heads.MLP((8,), 4, hidden_bias=True)),
    network.Head("p", heads.MLP((8,), 4, out_bias=True), "z"),
  )
  net = network.Network(models.backbone("resnet8", stem="cifar_s2"), heads_)
  return jax.eval_shape(
    lambda: net.init(jax.random.key(0), jnp.zeros((2, 16, 16, 3)), True)["params"]
  )


def test_biases_and_batch_norm_of_a_real_network_are_excluded():
  params = flat(small_network())
  chosen = flat(optim.builder.unmatched(optim.builder.BIAS_OR_SCALE)(small_network()))
  assert {k for k, adapted in chosen.items() if adapted} == {
    k for k, leaf in params.items() if leaf.ndim > 1
  }
  assert sum(chosen.values()) > 10
  assert all(flat(optim.builder.unmatched("none")(small_network())).values())


@pytest.mark.parametrize(
  ("decay_exclude", "decayed"),
  [("same", {"conv/kernel"}), ("none", None), ("^norm/", {"conv/kernel", "conv/bias"})],
)
def test_decay_reaches_exactly_the_leaves_it_is_given(decay_exclude, decayed):
  params = random_tree(0)
  zero = jax.tree.map(np.zeros_like, params)
  optimizer = optim.build("sgd", 1.0, weight_decay=0.1, decay_exclude=decay_exclude)
  got = flat(run(optimizer, params, [zero]))
  for path, value in flat(params).items():
    shrunk = decayed is None or path in decayed
    np.testing.assert_allclose(got[path], value * (0.9 if shrunk else 1.0), rtol=1e-6)


def test_clipping_bounds_the_norm_of_the_whole_gradient():
  params, gradient = random_tree(0), random_tree(1)
  step = jax.tree.map(
    np.subtract, params, run(optim.build("sgd", 1.0, clip_norm=0.5), params, [gradient])
  )
  norm = math.sqrt(sum(float((x.astype(np.float64) ** 2).sum()) for x in jax.tree.leaves(step)))
  assert norm == pytest.approx(0.5, rel=1e-4)


def test_plain_accumulation_is_an_update_by_the_mean_gradient_at_the_rate_of_its_first_batch():
  params, gradients = problem(5)
  got = run(
    optim.build("sgd", changing_rate, momentum=0.0, plain_accumulation=2), params, gradients
  )
  for step in (0, 2):  # the fifth waits for a sixth
    both = gradients[step : step + 2]
    half = changing_rate(step) / 2
    params = jax.tree.map(lambda p, a, b, half=half: p - half * (a + b), params, *both)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, params)


def test_each_array_can_be_clipped_by_itself():
  params = jax.tree.map(np.zeros_like, random_tree(0))
  gradient = random_tree(1) | {"short": np.asarray([0.3, 0.4], np.float32)}
  params["short"] = np.zeros(2, np.float32)
  settings = {"momentum": 0.0, "clip_norm": 1.5, "clip_each": True}
  got = run(optim.build("sgd", 1.0, **settings), params, [gradient])
  for update, g in zip(jax.tree.leaves(got), jax.tree.leaves(gradient), strict=True):
    wanted = -g * min(1.0, 1.5 / np.linalg.norm(g))
    np.testing.assert_allclose(update, wanted, rtol=1e-4)


def test_weight_decay_goes_to_its_end_along_a_cosine():
  rate = optim.schedule(1.0, 256, 4, 1, lr_schedule="constant")
  params = {"kernel": np.ones(3, np.float32)}
  build = functools.partial(optim.build, "sgd", rate, momentum=0.0, final_weight_decay=0.4)
  zeros = [{"kernel": np.zeros(3, np.float32)}] * 6
  kept = 1.0
  for step in range(6):
    kept *= 1 - (0.4 - 0.36 * (1 + math.cos(math.pi * min(step / 4, 1))) / 2)
  np.testing.assert_allclose(run(build(0.04), params, zeros)["kernel"], kept, rtol=1e-5)
  # An update after every second batch: those of steps 0, 2 and 4.
  kept = (1 - 0.04) * (1 - 0.22) * (1 - 0.4)
  got = run(build(0.04, plain_accumulation=2), params, zeros)["kernel"]
  np.testing.assert_allclose(got, kept, rtol=1e-5)


def test_rules_give_leaves_their_own_rate():
  rate = optim.schedule(0.4, 256, epochs=2, steps_per_epoch=5)
  rules = (("^conv/kernel$", 1.0, True), optim.LrRule("bias$", 0.25))
  params, ones = random_tree(0), jax.tree.map(np.ones_like, random_tree(0))
  optimizer = optim.build("sgd", rate, momentum=0.0, lr_rules=rules)
  got, start = flat(run(optimizer, params, [ones] * 10)), flat(params)
  total = sum(float(rate(step)) for step in range(10))
  wanted = {"conv/kernel": 10 * 0.4, "conv/bias": total / 4, "norm/bias": total / 4}
  wanted["norm/scale"] = total
  for path, way in wanted.items():
    np.testing.assert_allclose(start[path] - got[path], way, rtol=1e-5, err_msg=path)


def test_config_options_are_the_parameters_of_schedule_and_build():
  derived = {"batch_size", "epochs", "steps_per_epoch", "learning_rate", "frozen"}
  functions = (optim.schedule, optim.build)
  known = {name for f in functions for name in inspect.signature(f).parameters}
  fields = {f.name: f.default for f in dataclasses.fields(optim.Options)}
  assert set(fields) == known - derived
  same = inspect.signature(optim.build).parameters
  shared = {"exclude", "decay_exclude", "momentum", "trust_coefficient", "trust_eps", "trust_clip"}
  for name in shared | {"b1", "b2", "eps"}:
    assert fields[name] == same[name].default


BAD_OPTIMISERS = [
  ({"name": "larz"}, "lars, lars_outside, larc, sgd, adam, adamw, lamb"),
  ({"name": "dataclasses"}, "unknown"),
  ({"weight_decay": -1}, "weight_decay -1"),
  ({"momentum": 1.0}, "momentum 1.0 must be 0 or more and less than 1"),
  ({"trust_coefficient": -1}, "trust_coefficient"),
  ({"clip_norm": float("nan")}, "clip_norm"),
  ({"exclude": "("}, "no regular expression"),
  ({"decay_exclude": ""}, "'none'"),
  ({"final_weight_decay": -0.4}, "final_weight_decay -0.4 must be 0 or more"),
  ({"final_weight_decay": 0.4}, "optim.schedule"),
  ({"plain_accumulation": 0}, "plain_accumulation 0 must be 1 or more"),
  ({"lr_rules": (("p/", -1.0),)}, "multiplier -1.0"),
  ({"learning_rate": changing_rate, "lr_rules": (("p/", 1.0, True),)}, "optim.schedule"),
]


@pytest.mark.parametrize(("change", "message"), BAD_OPTIMISERS)
def test_an_optimiser_that_cannot_work_is_refused(change, message):
  with pytest.raises(errors.UserError, match=message):
    optim.build(**{"name": "sgd", "learning_rate": 0.1, **change})


def test_a_rule_for_no_parameter_is_refused():
  optimizer = optim.build("sgd", 0.1, lr_rules=(("^predictor/", 1.0),))
  with pytest.raises(errors.UserError, match="matches no parameter.*conv/bias"):
    optimizer.init(random_tree(0))
