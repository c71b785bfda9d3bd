"""Batch norm: statistics over the named subsets of rows, whatever the number of devices."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import errors, parallel
from contrastive_jax.models import norm

EPS = 1e-5
GROUPS_AND_VIEWS = [(1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (1, 2), (2, 2), (4, 2), (8, 2)]


def subsets_of(rows, groups, views):
  """Row numbers of each subset, written as loops over examples (rows are example-major)."""
  examples = rows // views
  per_group = examples // groups
  return [
    [e * views + v for e in range(g * per_group, (g + 1) * per_group)]
    for g in range(groups)
    for v in range(views)
  ]


def oracle(x, scale, bias, dy, groups, views):
  """Float64 batch norm and its gradients, subset by subset, from the closed form."""
  x, scale, bias, dy = (np.asarray(a, np.float64) for a in (x, scale, bias, dy))
  y, dx = np.empty_like(x), np.empty_like(x)
  dscale, dbias, means, variances = 0.0, 0.0, [], []
  axes = tuple(range(x.ndim - 1))
  for rows in subsets_of(len(x), groups, views):
    mean, var = x[rows].mean(axes), x[rows].var(axes)
    inv = 1 / np.sqrt(var + EPS)
    xhat = (x[rows] - mean) * inv
    y[rows] = xhat * scale + bias
    d = dy[rows] * scale
    dx[rows] = inv * (d - d.mean(axes) - xhat * (d * xhat).mean(axes))
    dscale, dbias = dscale + (dy[rows] * xhat).sum(axes), dbias + dy[rows].sum(axes)
    means.append(mean)
    variances.append(var)
  return y, dx, dscale, dbias, np.mean(means, 0), np.mean(variances, 0)


def inputs(shape=(32, 3, 3, 5), seed=0):
  """x whose rows differ in mean and size, so that every choice of subset gives other numbers."""
  rng = np.random.default_rng(seed)
  rows = (len(shape) - 1) * [1]
  x = rng.normal(size=shape) * rng.uniform(0.5, 2, (shape[0], *rows)) + rng.normal(size=shape[-1])
  x += np.linspace(-1, 1, shape[0]).reshape(-1, *rows)
  scale, bias = rng.uniform(0.5, 2, shape[-1]), rng.normal(size=shape[-1])
  dy = rng.normal(size=shape)
  return [a.astype(np.float32) for a in (x, scale, bias, dy)]


def run(module, x, scale, bias, dy, mean=None, var=None):
  """Output, gradients (x, scale, bias) and new statistics of a training call."""
  channels = x.shape[-1]
  stats = {
    "mean": jnp.zeros(channels) if mean is None else mean,
    "var": jnp.ones(channels) if var is None else var,
  }

  @jax.jit
  def step(x, scale, bias, dy):
    def loss(x, scale, bias):
      variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": stats}
      y, new = module.apply(variables, x, True, mutable=["batch_stats"])
      return jnp.sum(y * dy), (y, new["batch_stats"])

    grads, (y, new) = jax.grad(loss, (0, 1, 2), has_aux=True)(x, scale, bias)
    return y, *grads, new["mean"], new["var"]

  compiled = step.lower(x, scale, bias, dy).compile()
  return compiled, compiled(x, scale, bias, dy)


@pytest.mark.parametrize(("groups", "views"), GROUPS_AND_VIEWS)
def test_each_subset_is_normalised_by_its_own_statistics(groups, views):
  args = inputs()
  _, got = run(norm.BatchNorm(groups, views), *args)
  y, dx, dscale, dbias, mean, var = oracle(*args, groups, views)
  # float32 sums over at most 288 numbers, against float64
  for name, a, b in zip(("y", "dx", "dscale", "dbias"), got, (y, dx, dscale, dbias), strict=False):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5, err_msg=name)
  np.testing.assert_allclose(got[4], 0.1 * mean, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(got[5], 0.9 + 0.1 * var, rtol=1e-5)


@pytest.mark.parametrize(("groups", "views"), GROUPS_AND_VIEWS)
def test_eight_devices_agree_with_one(groups, views):
  args = inputs()
  module = norm.BatchNorm(groups, views)
  _, alone = run(module, *args)
  mesh = parallel.make_mesh()
  with parallel.use(mesh):
    x, dy = parallel.put(args[0], mesh), parallel.put(args[3], mesh)
    scale, bias = parallel.replicate(args[1:3], mesh)
    zeros, ones = parallel.replicate((np.zeros(5, "f4"), np.ones(5, "f4")), mesh)
    compiled, together = run(module, x, scale, bias, dy, zeros, ones)
    assert together[0].sharding.spec[0] == x.sharding.spec[0], "rows stay on their devices"
    hlo = compiled.as_text()
  for a, b in zip(alone, together, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)  # order of float32 sums
  moved = re.findall(r"(all-gather|all-to-all|collective-permute)\(", hlo)
  assert not moved, "only sums of statistics may travel between devices"


def test_views_are_normalised_as_if_the_network_ran_once_per_view():
  x, scale, bias, dy = inputs((16, 2, 2, 5))
  _, (both, *_) = run(norm.BatchNorm(views=2), x, scale, bias, dy)
  for view in range(2):
    _, (one, *_) = run(norm.BatchNorm(), x[view::2], scale, bias, dy[view::2])
    np.testing.assert_allclose(both[view::2], one, rtol=1e-5, atol=1e-6)


def test_groups_keep_the_views_of_an_example_together():
  x, scale, bias, dy = inputs((16, 2, 2, 5))
  _, (grouped, *_) = run(norm.BatchNorm(groups=4), x, scale, bias, dy)
  _, (alone, *_) = run(norm.BatchNorm(), x[4:8], scale, bias, dy[4:8])  # examples 2, 3 of 2 views
  np.testing.assert_allclose(grouped[4:8], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(32, 5), (16, 3, 3, 5)])
def test_equals_torch_over_several_steps(shape):
  torch = pytest.importorskip("torch")
  x, scale, bias, dy = inputs(shape)
  theirs = torch.nn.BatchNorm1d(5) if len(shape) == 2 else torch.nn.BatchNorm2d(5)
  theirs.weight.data, theirs.bias.data = torch.tensor(scale), torch.tensor(bias)
  to_torch = (0, 1) if len(shape) == 2 else (0, 3, 1, 2)
  back = (0, 1) if len(shape) == 2 else (0, 2, 3, 1)
  mean, var = jnp.zeros(5), jnp.ones(5)
  for step in range(3):
    batch = x * (1 + step) + step
    _, got = run(norm.BatchNorm(), batch, scale, bias, dy, mean, var)
    mean, var = got[4:]
    tx = torch.tensor(batch.transpose(to_torch), requires_grad=True)
    ty = theirs(tx)
    ty.backward(torch.tensor(dy.transpose(to_torch)))
    np.testing.assert_allclose(got[0], ty.detach().numpy().transpose(back), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got[1], tx.grad.numpy().transpose(back), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean, theirs.running_mean.numpy(), rtol=1e-5, atol=1e-6)
  theirs.eval()
  ours = norm.BatchNorm()
  # torch keeps the unbiased variance, so evaluation is compared at equal statistics
  stats = {"mean": jnp.asarray(theirs.running_mean.numpy()), "var": theirs.running_var.numpy()}
  y = ours.apply({"params": {"scale": scale, "bias": bias}, "batch_stats": stats}, x, False)
  ty = theirs(torch.tensor(x.transpose(to_torch))).detach().numpy().transpose(back)
  np.testing.assert_allclose(y, ty, rtol=1e-5, atol=1e-5)


def test_evaluation_ignores_the_batch_and_keeps_the_statistics():
  x, scale, bias, _ = inputs()
  variables = {
    "params": {"scale": scale, "bias": bias},
    "batch_stats": {"mean": np.full(5, 0.5, "f4"), "var": np.full(5, 4.0, "f4")},
  }
  y, new = norm.BatchNorm(groups=7).apply(variables, x, False, mutable=["batch_stats"])
  np.testing.assert_allclose(y, (x - 0.5) / np.sqrt(4 + EPS) * scale + bias, rtol=1e-5, atol=1e-6)
  np.testing.assert_array_equal(new["batch_stats"]["mean"], variables["batch_stats"]["mean"])


def test_a_mean_far_above_the_deviation_costs_no_precision():
  rng = np.random.default_rng(0)
  x = (3000 + rng.normal(size=(256, 4))).astype(np.float32)
  ones, zeros = np.ones(4, "f4"), np.zeros(4, "f4")
  near = jnp.full(4, 2990.0)  # what a few steps of running mean have reached
  _, (y, *_) = run(norm.BatchNorm(), x, ones, zeros, x, near, jnp.ones(4))
  wanted = oracle(x, ones, zeros, x, 1, 1)[0]
  # x itself is known to 3000·2^-24 ≈ 2e-4; E[x²]-E[x]² without a shift is off by more than 0.05
  np.testing.assert_allclose(y, wanted, atol=1e-3)


def test_the_backward_pass_keeps_one_array_of_the_size_of_the_batch():
  x, *_ = inputs((64, 3, 3, 5))
  module = norm.BatchNorm()
  variables = module.init(jax.random.key(0), x, False)

  def call(params, x):
    stats = variables["batch_stats"]
    return module.apply({"params": params, "batch_stats": stats}, x, True, mutable=["batch_stats"])

  _, gradient, _ = jax.vjp(call, variables["params"], x, has_aux=True)
  kept = [leaf for leaf in jax.tree.leaves(gradient) if leaf.size == x.size]
  assert len({leaf.unsafe_buffer_pointer() for leaf in kept}) == 1


def test_bfloat16_activations_have_float32_statistics():
  x, *_ = inputs((4096, 3))
  module = norm.BatchNorm(dtype=jnp.bfloat16)
  low = jnp.asarray(x, jnp.bfloat16)
  variables = module.init(jax.random.key(0), low, False)
  y, new = module.apply(variables, low, True, mutable=["batch_stats"])
  assert y.dtype == jnp.bfloat16
  assert new["batch_stats"]["var"].dtype == jnp.float32
  wanted = 0.9 + 0.1 * np.asarray(low, np.float64).var(0)
  np.testing.assert_allclose(new["batch_stats"]["var"], wanted, rtol=1e-5)


def test_parameters_follow_the_options():
  x = np.zeros((4, 3), np.float32)
  plain = norm.BatchNorm(use_scale=False, use_bias=False).init(jax.random.key(0), x, True)
  assert "params" not in plain
  assert set(plain["batch_stats"]) == {"mean", "var"}
  scale = norm.BatchNorm(use_bias=False).init(jax.random.key(0), x, True)
  assert set(scale["params"]) == {"scale"}


def test_without_mutable_statistics_the_batch_still_normalises():
  x, scale, bias, dy = inputs()
  variables = {
    "params": {"scale": scale, "bias": bias},
    "batch_stats": {"mean": np.zeros(5, "f4"), "var": np.ones(5, "f4")},
  }
  y = norm.BatchNorm().apply(variables, x, True)
  np.testing.assert_allclose(y, oracle(x, scale, bias, dy, 1, 1)[0], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("groups", "views"), [(3, 1), (16, 2), (0, 1), (1, -1)])
def test_rows_that_do_not_split_are_refused(groups, views):
  x, scale, bias, dy = inputs((16, 5))
  with pytest.raises(errors.UserError, match="batch norm"):
    run(norm.BatchNorm(groups, views), x, scale, bias, dy)


@pytest.mark.parametrize(("groups", "views"), [(2, 1), (4, 1), (4, 2)])
def test_shuffled_groups_take_every_so_manyth_example(groups, views):
  x, scale, bias, dy = inputs()
  _, (y, *_) = run(norm.BatchNorm(groups, views, shuffled=True), x, scale, bias, dy)
  examples = len(x) // views
  for group in range(groups):
    for view in range(views):
      rows = [e * views + view for e in range(examples) if e % groups == group]
      mean, var = x[rows].mean((0, 1, 2), np.float64), x[rows].astype(np.float64).var((0, 1, 2))
      wanted = (x[rows] - mean) / np.sqrt(var + EPS) * scale + bias
      np.testing.assert_allclose(np.asarray(y)[rows], wanted, rtol=2e-5, atol=2e-5)


def test_blocks_and_shuffled_groups_never_share_their_company():
  """MoCo's query and key of an image: the sets of images they are normalised with differ."""
  examples, groups = 64, 8
  x = jnp.zeros((examples, 1))
  blocks, shuffled = (norm.subset_membership(x, groups, 1, s) for s in (False, True))
  of_query, of_key = np.asarray(blocks @ blocks.T), np.asarray(shuffled @ shuffled.T)
  assert (of_query.sum(1) == examples // groups).all() and (of_key.sum(1) == 8).all()
  assert ((of_query * of_key).sum(1) == 1).all(), "an image and itself, nobody else"
