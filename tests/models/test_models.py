"""Backbones: names, sizes, precision, and devices."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest

from contrastive_jax import catalogue, errors, models, parallel
from contrastive_jax.models import resnet

PUBLISHED = {  # parameters without the classifier, features
  "resnet18": (11_176_512, 512),
  "resnet34": (21_284_672, 512),
  "resnet50": (23_508_032, 2048),
  "resnet101": (42_500_160, 2048),
  "resnet152": (58_143_808, 2048),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_counts_are_the_published_ones(name):
  ends, variables = nets.shapes(models.backbone(name), size_px=224)
  assert (nets.count(variables["params"]), ends["h"].shape[-1]) == PUBLISHED[name]


@pytest.mark.parametrize(
  ("name", "layers"), [("resnet8", 8), ("resnet14", 14), ("resnet20", 20), ("resnet200", 200)]
)
def test_a_network_has_as_many_layers_as_its_name_says(name, layers):
  _, variables = nets.shapes(models.backbone(name))
  convolutions = [k for k in nets.flat(variables["params"]) if re.search(r"conv(\d|$)|_conv/", k)]
  main = [k for k in convolutions if "skip" not in k]
  assert len(main) + 1 == layers  # He et al. count the classifier


def test_width_multiplies_every_channel_count():
  one = nets.flat(nets.shapes(models.backbone("resnet18"))[1]["params"])
  for width in (0.5, 2):
    other = nets.flat(nets.shapes(models.backbone("resnet18", width=width))[1]["params"])
    assert one.keys() == other.keys()
    for path, leaf in one.items():
      window = leaf.shape[:-2] if leaf.ndim == 4 else ()
      channels = leaf.shape[len(window) :]
      expected = window + tuple(n if n == 3 else n * width for n in channels)  # 3: the image's
      assert other[path].shape == expected, path


STEM_SIZES = [
  ("resnet18", "auto", 32, 32, 4),
  ("resnet18", "auto", 64, 16, 2),
  ("resnet18", "imagenet", 32, 8, 1),
  ("resnet18", "cifar", 64, 64, 8),
  ("resnet18", "cifar_s2", 32, 16, 2),
  ("resnet8", "auto", 16, 16, 4),
]


@pytest.mark.parametrize(("name", "stem", "size_px", "first", "last"), STEM_SIZES)
def test_the_stem_sets_the_resolution(name, stem, size_px, first, last):
  ends, _ = nets.shapes(models.backbone(name, stem=stem), size_px)
  blocks = [k for k in ends if k.startswith("block")]
  assert blocks == [f"block{i}" for i in range(1, 4 if name == "resnet8" else 5)]
  assert ends["stem"].shape[1] == ends["block1"].shape[1] == first
  assert ends[blocks[-1]].shape[1] == last
  assert ends["h"].shape == (2, ends[blocks[-1]].shape[-1])


def training_step(module, x, variables, probe):
  """Endpoints "h", gradients and new statistics of a scalar that every output enters."""

  def loss(params):
    v = {"params": params, "batch_stats": variables["batch_stats"]}
    ends, new = module.apply(v, x, True, mutable=["batch_stats"])
    return jnp.sum(jnp.sin(ends["h"]) * probe), (ends["h"], new["batch_stats"])

  grads, (h, stats) = jax.grad(loss, has_aux=True)(variables["params"])
  return h, grads, stats


def assert_close(a, b, tolerance):
  """Leaf by leaf, relative to the leaf's largest entry."""
  assert jax.tree.structure(a) == jax.tree.structure(b)
  pairs = zip(jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True)
  for (path, x), y in pairs:
    limit = tolerance * max(np.abs(x).max(), 1e-3)
    np.testing.assert_allclose(x, y, rtol=0, atol=limit, err_msg=jax.tree_util.keystr(path))


def example_probe(features, rows=16):
  return np.random.default_rng(1).normal(size=(rows, features)).astype(np.float32)


@functools.cache
def step_on_one_device(module):
  """(x, variables, probe), what a training step makes of them, and the step."""
  x, probe = nets.example(), example_probe(16 * module.block.expansion)
  args = x, nets.random_variables(module, x), probe
  step = jax.jit(lambda x, v, probe: training_step(module, x, v, probe))
  return args, step(*args), step


GLOBAL = nets.tiny()
MIXED = nets.tiny(resnet.BottleneckBlock, stem="imagenet", bn_groups=2, bn_views=2, remat=True)


def test_remat_changes_neither_parameters_nor_numbers():
  plain, remat = GLOBAL, GLOBAL.clone(remat=True)
  args, wanted, _ = step_on_one_device(plain)
  _, got, step = step_on_one_device(remat)
  assert_close(got, wanted, 1e-5)  # XLA may fuse the two programs differently
  jaxpr = str(jax.make_jaxpr(step)(*args))
  assert "remat" in jaxpr or "checkpoint" in jaxpr


@pytest.mark.parametrize("module", [GLOBAL, MIXED], ids=["global", "groups, views, remat"])
def test_eight_devices_agree_with_one(module):
  (x, variables, probe), alone, step = step_on_one_device(module)
  mesh = parallel.make_mesh()
  with parallel.use(mesh):
    args = parallel.put(x, mesh), parallel.replicate(variables, mesh), parallel.put(probe, mesh)
    compiled = step.lower(*args).compile()
    together, hlo = compiled(*args), compiled.as_text()
  assert not together[0].sharding.is_fully_replicated
  assert_close(alone, together, 2e-5)  # float32, sums in another order
  assert "all-reduce" in hlo
  assert not re.findall(r"(all-gather|all-to-all|collective-permute)\(", hlo)


def test_half_precision_stays_inside_the_blocks():
  module = nets.tiny(dtype="bfloat16")
  x = nets.example()
  variables = nets.random_variables(module, x)

  def forward(module):
    return jax.jit(lambda v: module.apply(v, x, True, mutable=["batch_stats"]))(variables)

  low, new = forward(module)
  assert {str(low[k].dtype) for k in ("stem", "block1", "block2")} == {"bfloat16"}
  assert low["h"].dtype == jnp.float32
  assert {str(leaf.dtype) for leaf in jax.tree.leaves(new)} == {"float32"}
  wanted = jax.eval_shape(lambda: module.init(nets.KEY, x, True))
  assert {str(leaf.dtype) for leaf in jax.tree.leaves(wanted)} == {"float32"}
  high = forward(module.clone(dtype="float32"))[0]["h"]
  error = np.abs(low["h"] - high).max() / np.abs(high).max()
  assert 0 < error < 0.05  # 8 bits of mantissa through 5 layers


def test_config_options_are_the_documented_fields():
  for name in catalogue.models():
    options = catalogue.model(name)()
    assert models.backbone(name, **vars(options)) == models.backbone(name)
    assert all(field.metadata["doc"] for field in dataclasses.fields(options))


BAD_BACKBONES = [
  ({"name": "resnet19"}, "resnet19.*resnet8.*resnet200"),
  ({"name": "ResNet"}, "unknown"),
  ({"stem": "vgg"}, "auto, imagenet, cifar, cifar_s2"),
  ({"padding": "valid"}, "same, torch, simclr"),
  ({"weight_init": "zeros"}, "simclr, torch, haiku"),
  ({"dtype": "float8"}, "float32, bfloat16"),
  ({"dtype": "float16"}, "dtype float16 .*use bfloat16"),
  ({"width": 0}, "width 0"),
  ({"bn_group": 2}, "bn_group is unknown to resnet18.*bn_groups"),
]


@pytest.mark.parametrize(("options", "message"), BAD_BACKBONES)
def test_a_backbone_that_cannot_be_is_refused(options, message):
  with pytest.raises(errors.UserError, match=message):
    models.backbone(**options)
