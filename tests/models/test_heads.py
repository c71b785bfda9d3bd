"""Heads and the network that they make with a backbone."""

import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest
from flax import linen as nn

from contrastive_jax import errors, models, parallel
from contrastive_jax.models import heads, network, norm


def simclr_network(backbone, **options):
  head = heads.simclr(**options, **norm.options(backbone))
  return network.Network(backbone, (network.Head("z", head),))


def head_shapes(head, features=2048):
  x = jnp.zeros((4, features))
  return jax.eval_shape(lambda: head.init_with_output(nets.KEY, x, True))


def bn(width):
  return 2 * width


# Parameters of each published head on 2048 features, layer by layer.
HEADS = {
  "SimCLR code, 3 layers": (
    heads.simclr("mlp", layers=3),
    2 * (2048 * 2048 + bn(2048)) + 2048 * 128 + 128,
  ),
  "SimCLR linear": (heads.simclr("linear"), 2048 * 128 + 128),
  "SimCLR none": (heads.simclr("none"), 0),
  "MoCo v1": (heads.MLP((), 128, out_bias=True), 2048 * 128 + 128),
  "MoCo v2": (
    heads.MLP((None,), 128, hidden_bias=True, out_bias=True, hidden_bn=False),
    2048 * 2048 + 2048 + 2048 * 128 + 128,
  ),
  "MoCo v3 projector": (
    heads.MLP((4096,), 256, last_bn="plain"),
    2048 * 4096 + bn(4096) + 4096 * 256,
  ),
  "BYOL projector": (
    heads.MLP((4096,), 256, hidden_bias=True),
    2048 * 4096 + 4096 + bn(4096) + 4096 * 256,
  ),
  "SimSiam projector": (
    heads.MLP((2048, 2048), 2048, last_bn="plain"),
    3 * 2048 * 2048 + 2 * bn(2048),
  ),
  "SimSiam predictor": (
    heads.MLP((512,), 2048, out_bias=True),
    2048 * 512 + bn(512) + 512 * 2048 + 2048,
  ),
  "Barlow Twins": (
    heads.MLP((8192, 8192), 8192),
    2048 * 8192 + 2 * 8192 * 8192 + 2 * bn(8192),
  ),
  "NNCLR projector": (
    heads.MLP((2048, 2048), 256, last_bn="affine"),
    2 * (2048 * 2048 + bn(2048)) + 2048 * 256 + bn(256),
  ),
}


@pytest.mark.parametrize("method", HEADS)
def test_published_heads_have_their_parameters(method):
  head, parameters = HEADS[method]
  (out, hidden), variables = head_shapes(head)
  assert nets.count(variables.get("params", {})) == parameters
  assert out.dtype == jnp.float32
  assert len(hidden) == len(getattr(head, "hidden", ()))


def test_a_head_computes_dense_norm_activation_dense_norm():
  head = heads.MLP((6,), 4, hidden_bias=True, last_bn="scale")
  x = np.random.default_rng(0).normal(size=(32, 5)).astype(np.float32)
  variables = nets.random_variables(head, x)
  p = jax.tree.map(lambda a: np.asarray(a, np.float64), variables["params"])

  def normalise(y, scale, bias=0.0):
    return (y - y.mean(0)) / np.sqrt(y.var(0) + 1e-5) * scale + bias

  y = x @ p["dense1"]["kernel"] + p["dense1"]["bias"]
  y = np.maximum(normalise(y, p["norm1"]["scale"], p["norm1"]["bias"]), 0)
  z = normalise(y @ p["dense2"]["kernel"], p["norm2"]["scale"])
  got, hidden = head.apply(variables, x, True)
  np.testing.assert_allclose(hidden[0], y, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(got, z, rtol=1e-4, atol=1e-5)


def test_head_layers_start_as_named():
  x = jnp.zeros((1, 1024))
  head = heads.MLP((1024,), 8, hidden_bias=True)
  assert np.std(nets.start(head, x, "dense1", "kernel")) == pytest.approx(0.01, rel=0.01)
  assert not np.any(nets.start(head, x, "dense1", "bias"))
  head = head.clone(weight_init="torch")
  for name in ("kernel", "bias"):
    leaf = nets.start(head, x, "dense1", name)
    assert 0.9 / 32 < np.abs(leaf).max() <= 1 / 32  # uniform within 1/sqrt(1024)
    assert np.std(leaf) == pytest.approx(1 / 32 / np.sqrt(3), rel=0.1)


def test_head_layers_of_byol_start_as_those_of_haiku():
  """A normal distribution of std 1/sqrt(inputs), cut off at two of them."""
  head = heads.MLP((1024,), 8, hidden_bias=True, weight_init="haiku")
  x = jnp.zeros((1, 1024))
  kernel = nets.start(head, x, "dense1", "kernel")
  assert 1.98 / 32 < np.abs(kernel).max() <= 2 / 32
  assert np.std(kernel) == pytest.approx(0.8796 / 32, rel=0.01)
  assert not np.any(nets.start(head, x, "dense1", "bias"))


def test_a_network_names_every_endpoint_and_parameter():
  heads_ = (
    network.Head("z", heads.MLP((8, 6), 4)),
    network.Head("p", heads.MLP((5,), 4, activation=nn.gelu), "z"),
    network.Head("map", heads.MLP((7,), 3), "block2"),
  )
  net = network.Network(models.backbone("resnet8"), heads_)
  ends, variables = nets.shapes(net)
  widths = {k: v.shape[-1] for k, v in ends.items() if k.split(".")[0] in ("h", "z", "p", "map")}
  assert widths == {"h": 64, "z": 4, "z.1": 8, "z.2": 6, "p": 4, "p.1": 5, "map": 3, "map.1": 7}
  assert ends["map"].shape == (2, 16, 16, 3)
  assert set(variables["params"]) == {"backbone", "z", "p", "map"}
  assert set(variables) == {"params", "batch_stats"}
  assert variables["params"]["p"]["dense1"]["kernel"].shape == (4, 5)


def test_the_head_none_leaves_h():
  net = simclr_network(nets.tiny(), kind="none")
  x = nets.example()
  ends = jax.jit(lambda v: net.apply(v, x, True))(nets.random_variables(net, x))
  np.testing.assert_array_equal(ends["z"], ends["h"])


def test_heads_share_the_batch_norm_options_of_their_backbone():
  backbone = models.backbone("resnet8", bn_groups=4, bn_eps=1e-3, bn_momentum=0.99)
  head = heads.simclr("mlp", width=32, **norm.options(backbone.clone(bn_views=2)))
  assert (head.bn_groups, head.bn_views, head.bn_eps, head.bn_momentum) == (4, 2, 1e-3, 0.99)
  assert head.hidden == (32,)


def test_unused_endpoints_cost_nothing():
  backbone = nets.tiny()
  net = simclr_network(backbone, width=4096)
  x = nets.example()
  variables = nets.random_variables(net, x)
  inner = {k: v["backbone"] for k, v in variables.items()}

  def flops(f, v):
    return jax.jit(f).lower(v).compile().cost_analysis()["flops"]

  alone = flops(lambda v: backbone.apply(v, x, False)["h"], inner)
  with_heads = flops(lambda v: net.apply(v, x, False)["h"], variables)
  used = flops(lambda v: net.apply(v, x, False)["z"], variables)
  assert with_heads == pytest.approx(alone, rel=0.01)
  assert used > 1.05 * alone


def test_a_big_network_with_heads_traces_with_a_sharded_batch():
  options = {"remat": True, "padding": "torch", "bn_groups": 4, "dtype": "bfloat16"}
  net = simclr_network(models.backbone("resnet50", **options))
  mesh = parallel.make_mesh()
  x = np.zeros((16, 64, 64, 3), np.float32)
  variables = jax.eval_shape(lambda: net.init(nets.KEY, x, True))

  def loss(params, stats, x):
    variables = {"params": params, "batch_stats": stats}
    ends, new = net.apply(variables, x, True, mutable=["batch_stats"])
    return jnp.mean(ends["z"] ** 2), new

  whole = parallel.replicated(mesh)
  args = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole),
    (variables["params"], variables["batch_stats"]),
  )
  with parallel.use(mesh):
    grads, _ = jax.eval_shape(jax.grad(loss, has_aux=True), *args, parallel.put(x, mesh))
  assert {leaf.dtype for leaf in jax.tree.leaves(grads)} == {jnp.dtype("float32")}
  assert jax.tree.structure(grads) == jax.tree.structure(variables["params"])


def test_equal_networks_are_one_static_argument():
  a, b = (simclr_network(models.backbone("resnet8", width=2)) for _ in range(2))
  assert a == b and hash(a) == hash(b)
  assert a != simclr_network(models.backbone("resnet8", width=1))


@pytest.mark.parametrize(
  ("build", "message"),
  [
    (lambda: heads.simclr("deep"), "none, linear, mlp"),
    (lambda: heads.simclr("mlp", layers=1), "head_layers 1 is below 2"),
    (lambda: heads.MLP(last_bn="on"), "none, plain, scale, affine"),
    (lambda: heads.MLP(weight_init="ones"), "simclr, torch, haiku"),
    (lambda: heads.MLP((0,), 8), "at least 1"),
  ],
)
def test_a_head_that_cannot_be_is_refused(build, message):
  with pytest.raises(errors.UserError, match=message):
    build()


@pytest.mark.parametrize(
  ("heads_", "message"),
  [
    ((network.Head("z", heads.Identity(), "block9"),), "block9.*block3, h"),
    ((network.Head("h", heads.Identity()),), "'h' is taken"),
    ((network.Head("backbone", heads.Identity()),), "taken"),
  ],
)
def test_a_network_that_cannot_be_is_refused(heads_, message):
  with pytest.raises(errors.UserError, match=message):
    nets.shapes(network.Network(models.backbone("resnet8"), heads_))
