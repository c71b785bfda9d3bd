"""Vision transformers: sizes, formulas in float64, the frozen projection, precision, devices."""

import math
import re

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import build, errors, methods, models, parallel
from contrastive_jax.configs.imagenet import moco_v3_vit
from contrastive_jax.methods import base
from contrastive_jax.models import heads, network, vit

SIZE_PX, WIDTH, HEADS = 8, 8, 2


def tiny(**options):
  return vit.ViT(WIDTH, 1, HEADS, **{"patch_px": 4, **options})


def example(rows=8):
  return np.random.default_rng(0).normal(size=(rows, SIZE_PX, SIZE_PX, 3)).astype(np.float32)


def random_params(module, x, seed=0):
  """Parameters with nothing at 0 or 1, so that no term can hide."""
  rng = np.random.default_rng(seed)
  shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, False))["params"]
  return jax.tree.map(lambda s: (rng.normal(size=s.shape) * 0.4).astype(np.float32), shapes)


def shapes(module, size_px=224):
  x = jnp.zeros((2, size_px, size_px, 3))
  return jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), x, False))


PUBLISHED = {  # parameters without classifier and learnt positions (197 x width), features
  "vit_tiny": (5_524_416 - 197 * 192, 192),
  "vit_small": (21_665_664 - 197 * 384, 384),
  "vit_base": (85_798_656 - 197 * 768, 768),
  "vit_large": (303_301_632 - 197 * 1024, 1024),
  "deit_small": (21_665_664 - 197 * 384, 384),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_counts_are_the_published_ones(name):
  ends, variables = shapes(models.backbone(name))
  size = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
  assert (size, ends["h"].shape[-1]) == PUBLISHED[name]
  assert set(variables) == {"params"}, "no batch norm"


def test_endpoints_are_maps_of_patches_and_h():
  ends, _ = shapes(models.backbone("vit_tiny", patch_px=4, dtype="bfloat16"), 32)
  blocks = [f"block{i}" for i in range(1, 13)]
  assert set(ends) == {"stem", *blocks, "h"}
  assert {ends[k].shape for k in ("stem", *blocks)} == {(2, 8, 8, 192)}
  assert {str(ends[k].dtype) for k in ("stem", *blocks)} == {"bfloat16"}
  assert (ends["h"].shape, ends["h"].dtype) == ((2, 192), jnp.float32)


def test_heads_follow_the_published_number():
  assert [models.backbone(name).heads for name in PUBLISHED] == [3, 12, 12, 16, 6]


def positions_loop(rows, columns, width):
  """Feature by feature: sin and cos of the row, sin and cos of the column, width/4 each."""
  out, quarter = np.zeros((rows, columns, width)), width // 4
  for i in range(rows):
    for j in range(columns):
      for f in range(quarter):
        rate = 1 / 10_000 ** (f / quarter)
        parts = (math.sin(i * rate), math.cos(i * rate), math.sin(j * rate), math.cos(j * rate))
        for part, value in enumerate(parts):
          out[i, j, part * quarter + f] = value
  return out


def test_positions_equal_a_float64_loop():
  got = vit.sincos_positions(5, 14, 12)
  np.testing.assert_allclose(got, positions_loop(5, 14, 12), atol=1e-5)  # float32 angles up to 13


def test_positions_are_in_the_order_of_the_released_weights():
  """There the first half is of `meshgrid(arange(w), arange(h))` with its axes in that order."""
  side, width = 3, 8
  first, second = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
  rate = 1 / 10_000 ** (np.arange(width // 4) / (width // 4))
  a, b = (grid.reshape(-1, 1) * rate for grid in (first, second))
  published = np.concatenate([np.sin(a), np.cos(a), np.sin(b), np.cos(b)], axis=1)
  got = vit.sincos_positions(side, side, width).reshape(-1, width)  # patches row by row
  np.testing.assert_allclose(got, published, atol=1e-6)


def test_positions_of_a_small_view_are_spread_over_the_grid_of_the_large_ones():
  own, on_itself = vit.sincos_positions(6, 6, 12), vit.sincos_positions(6, 6, 12, 6)
  np.testing.assert_allclose(on_itself, own, atol=1e-6)
  # Two rows and columns on a grid of four: each between two places of the grid, 0.5 and 2.5.
  spread, grid = vit.sincos_positions(2, 2, 4, 4), positions_loop(4, 4, 4)
  for i, j in np.ndindex(2, 2):
    angles = np.asarray([2 * i + 0.5, 2 * j + 0.5])
    wanted = [f(angle) for angle in angles for f in (math.sin, math.cos)]
    np.testing.assert_allclose(spread[i, j], wanted, atol=1e-6)
    middle = grid[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((0, 1))
    np.testing.assert_allclose(spread[i, j] * math.cos(0.5), middle, atol=1e-6)


def test_local_views_of_a_transformer_know_where_they_lie_in_a_large_view():
  net = network.Network(tiny(), (network.Head("z", heads.MLP((), 4)),))
  seen = {}

  def spy(rows, columns, width, grid=None):
    seen[rows, columns] = grid
    return positions(rows, columns, width, grid)

  x = {"views": np.zeros((2, 2, 16, 16, 3)), "local_views": np.zeros((2, 3, 8, 8, 3))}
  positions = vit.sincos_positions
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(vit, "sincos_positions", spy)
    variables = jax.eval_shape(lambda: net.init(jax.random.key(0), x["views"][:, 0], False))
    jax.eval_shape(lambda p: base.forward_crops(net, p, {}, x)[0], variables["params"])
  assert seen == {(4, 4): None, (2, 2): 4}


def layer_norm(x, p):
  y = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
  return y * p["scale"] + p["bias"]


def oracle(params, image):
  """One image through patches, one block, token by token and head by head, in float64."""
  p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)

  def dense(x, q):
    return x @ q["kernel"] + q["bias"]

  where = positions_loop(2, 2, WIDTH)
  tokens = [p["class_token"]]
  for i in range(2):
    for j in range(2):
      patch = image[4 * i : 4 * i + 4, 4 * j : 4 * j + 4].astype(np.float64).reshape(-1)
      tokens.append(dense(patch, p["patch"]) + where[i, j])
  x = np.stack(tokens)
  b, size = p["block1"], WIDTH // HEADS
  y = layer_norm(x, b["norm1"])
  attended = np.zeros_like(x)
  for head in range(HEADS):
    own = slice(head * size, (head + 1) * size)
    q, k, v = (dense(y, b[name])[:, own] for name in ("query", "key", "value"))
    weights = np.exp(q @ k.T / math.sqrt(size))
    attended[:, own] = weights / weights.sum(1, keepdims=True) @ v
  x = x + dense(attended, b["out"])
  y = dense(layer_norm(x, b["norm2"]), b["mlp1"])
  gelu = y * np.vectorize(lambda t: 0.5 * (1 + math.erf(t / math.sqrt(2))))(y)
  x = x + dense(gelu, b["mlp2"])
  return x[1:].reshape(2, 2, WIDTH), layer_norm(x[0], p["norm"])


def test_a_transformer_equals_float64_numpy():
  module, x = tiny(), example(2)
  params = random_params(module, x)
  ends = jax.jit(lambda p: module.apply({"params": p}, x, True))(params)
  for row in range(2):
    block, h = oracle(params, x[row])
    np.testing.assert_allclose(ends["block1"][row], block, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(ends["h"][row], h, rtol=1e-3, atol=1e-4)


def test_layers_start_xavier_uniform_with_query_key_and_value_apart():
  module = vit.ViT(64, 1, 4, patch_px=4)
  params = jax.jit(lambda: module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)), False))()
  flat = flax.traverse_util.flatten_dict(params["params"], sep="/")
  limits = {name: math.sqrt(6 / 128) for name in ("query", "key", "value", "out")}
  limits |= {"mlp1": math.sqrt(6 / 320), "mlp2": math.sqrt(6 / 320)}
  kernels = {f"block1/{k}": v for k, v in limits.items()} | {"patch": math.sqrt(6 / (48 + 64))}
  for path, limit in kernels.items():
    kernel = np.asarray(flat[f"{path}/kernel"])
    assert 0.98 * limit < np.abs(kernel).max() <= limit, path
    assert not np.any(flat[f"{path}/bias"]), path
  assert np.abs(flat["class_token"]).max() < 1e-5


def gradient(module, x, params):
  probe = np.random.default_rng(1).normal(size=(len(x), WIDTH)).astype(np.float32)

  def loss(params, x):
    return jnp.sum(module.apply({"params": params}, x, True)["h"] * probe)

  return jax.jit(jax.grad(loss))(params, x)


def test_a_frozen_patch_projection_gets_no_gradient_and_all_else_does():
  x = example()
  params = random_params(tiny(), x)
  free, frozen = (gradient(tiny(frozen_patch_projection=f), x, params) for f in (False, True))
  assert not any(np.any(leaf) for leaf in jax.tree.leaves(frozen["patch"]))
  assert all(np.any(leaf) for leaf in jax.tree.leaves(free["patch"]))
  frozen.pop("patch"), free.pop("patch")
  for (path, a), b in zip(
    jax.tree_util.tree_leaves_with_path(frozen), jax.tree.leaves(free), strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert np.any(a), jax.tree_util.keystr(path)


def test_remat_changes_no_gradient():
  x = example()
  params = random_params(tiny(), x)
  plain, remat = (gradient(tiny(remat=r), x, params) for r in (False, True))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), plain, remat)


def test_half_precision_stays_inside_the_blocks():
  x = example()
  params = random_params(tiny(), x)
  low, high = (
    tiny(dtype=d).apply({"params": params}, x, True)["h"] for d in ("bfloat16", "float32")
  )
  assert low.dtype == jnp.float32
  assert 0 < np.abs(low - high).max() < 0.1 * np.abs(high).max()  # 8 bits of mantissa
  start = jax.eval_shape(lambda: tiny(dtype="bfloat16").init(jax.random.key(0), x, False))
  assert {str(leaf.dtype) for leaf in jax.tree.leaves(start)} == {"float32"}


def test_eight_devices_agree_with_one_and_move_no_tokens():
  x = example()
  params = random_params(tiny(), x)
  alone = gradient(tiny(), x, params)
  mesh = parallel.make_mesh()
  with parallel.use(mesh):
    placed = parallel.put(x, mesh), parallel.replicate(params, mesh)
    forward = jax.jit(lambda x, p: tiny().apply({"params": p}, x, True)["h"])
    hlo = forward.lower(*placed).compile().as_text()
    assert not forward(*placed).sharding.is_fully_replicated
    together = gradient(tiny(), *placed)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), alone, together)
  assert not re.findall(r"(all-gather|all-reduce|all-to-all|collective-permute)\(", hlo)


@pytest.mark.parametrize(
  ("build", "message"),
  [
    (lambda: tiny(dtype="float8"), "float32, bfloat16"),
    (lambda: tiny(patch_px=0), "patch_px 0 is below 1"),
    (lambda: shapes(tiny(patch_px=5), 8), "patch_px 5 does not divide .* 8 x 8 px; .* e.g. 8"),
    (lambda: shapes(vit.ViT(6, 1, 2, patch_px=4), 8), "width 6 is not a multiple of 4"),
    (lambda: models.backbone("vit_small", stem="cifar"), "stem is unknown to vit_small.*patch_px"),
  ],
)
def test_a_transformer_that_cannot_be_is_refused(build, message):
  with pytest.raises(errors.UserError, match=message):
    build()


def test_heads_of_a_method_take_their_options_from_it():
  for name in ("moco", "byol", "simsiam", "moco_v3"):
    net = methods.get(name)().network(
      models.backbone("vit_tiny", bn_groups=2, weight_init="simclr")
    )
    assert isinstance(net, network.Network)
    assert {(h.module.bn_groups, h.module.weight_init) for h in net.heads} == {(2, "simclr")}


def test_a_method_with_a_transformer_traces_with_a_sharded_batch():
  method = methods.get("moco_v3")(head_layers=3, predictor_bn=True)
  net = method.network(tiny(frozen_patch_projection=True, dtype="bfloat16", remat=True))
  x = np.stack([example(), example()], axis=1)
  mesh = parallel.make_mesh()
  variables = jax.eval_shape(lambda: net.init(jax.random.key(0), x[:, 0], False))
  whole = parallel.replicated(mesh)
  params, stats = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole),
    (variables["params"], variables["batch_stats"]),
  )
  target = {name: params[name] for name in ("backbone", "z")}

  def loss(params, stats, target, views):
    return method.loss(net, params, stats, {"target": target}, {"views": views}, None)

  with parallel.use(mesh):
    views = parallel.put(x, mesh)
    grads, _ = jax.eval_shape(jax.grad(loss, has_aux=True), params, stats, target, views)
  assert jax.tree.map(jnp.shape, grads) == jax.tree.map(jnp.shape, params)


def test_the_config_never_moves_a_frozen_patch_projection():
  """AdamW's decay acts without a gradient, so the projection must be left out of it."""
  config = moco_v3_vit.get_config()
  assert config.model.frozen_patch_projection
  optimizer, _ = build.optimizer(config, steps_per_epoch=10)
  params = {"backbone": {"patch": {"kernel": jnp.ones(3)}, "block1": {"bias": jnp.ones(3)}}}
  state = optimizer.init(params)
  for _ in range(2):  # the first step's rate is 0
    updates, state = optimizer.update(jax.tree.map(jnp.zeros_like, params), state, params)
  assert not np.any(updates["backbone"]["patch"]["kernel"])
  assert np.all(updates["backbone"]["block1"]["bias"] < 0)


def test_learned_positions_that_are_the_fixed_ones_change_nothing():
  x, plain, learned = example(2), tiny(), tiny(positions="learned")
  params = random_params(plain, x)
  fixed = vit.sincos_positions(2, 2, WIDTH).reshape(4, WIDTH)
  table = np.concatenate([np.zeros((1, WIDTH), np.float32), fixed])
  assert random_params(learned, x)["positions"].shape == table.shape
  found = learned.apply({"params": params | {"positions": table}}, x, False)["h"]
  np.testing.assert_allclose(found, plain.apply({"params": params}, x, False)["h"], atol=1e-6)


def test_learned_positions_are_resized_for_images_of_another_size():
  grid = np.random.default_rng(0).normal(size=(4, 4, WIDTH)).astype(np.float32)
  np.testing.assert_array_equal(vit.resized(grid, 4, 4), grid)
  assert vit.resized(grid, 2, 6).shape == (2, 6, WIDTH)
  flat = np.ones((4, 4, WIDTH), np.float32)
  np.testing.assert_allclose(vit.resized(flat, 7, 3), 1, atol=1e-6)
  net = tiny(positions="learned")
  params = random_params(net, example(1))
  large = np.zeros((1, 2 * SIZE_PX, 2 * SIZE_PX, 3), np.float32)
  assert net.apply({"params": params}, large, False)["h"].shape == (1, WIDTH)


def test_positions_of_another_kind_are_refused():
  with pytest.raises(errors.UserError, match="use one of sincos, learned"):
    tiny(positions="rotary")
