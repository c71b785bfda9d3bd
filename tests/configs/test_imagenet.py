"""Every ImageNet recipe has the figures of `imagenet_rows`.

Everything is read off what a config builds, not off the config.
"""

import importlib

import pytest
from conftest import REPOSITORY
from imagenet_rows import KERNELS, ROWS

from contrastive_jax import build, optim

STEPS_PER_EPOCH = 10


def load(name):
  stem, _, argument = name.partition(":")
  module = importlib.import_module(f"contrastive_jax.configs.imagenet.{stem}")
  return module.get_config(*([argument] if argument else []))


def chosen(pattern):
  """Which of some parameters a pattern of `optim.build` leaves in."""
  tree = {
    "kernel": 0,
    "dense": {"bias": 0},
    "norm": {"scale": 0, "bias": 0},
    "backbone": {"patch": {"kernel": 0}},
  }
  mask = optim.builder.unmatched(pattern)(tree)
  flat = {"kernel": mask["kernel"], "dense/bias": mask["dense"]["bias"]}
  flat |= {f"norm/{k}": v for k, v in mask["norm"].items()}
  flat["patch/kernel"] = mask["backbone"]["patch"]["kernel"]
  return {path for path, is_in in flat.items() if is_in}


def heads_of(net):
  features = getattr(net.backbone, "width", 1)
  features = features if features > 64 else 2048  # of a transformer; of ResNet-50
  return {
    head.name: (
      tuple(features if width is None else width for width in head.module.hidden),
      head.module.out,
      head.module.hidden_bn and head.module.hidden != (),
      head.module.last_bn,
    )
    for head in net.heads
    if hasattr(head.module, "hidden")
  }


def test_every_recipe_is_here():
  files = {path.stem for path in (REPOSITORY / "configs" / "imagenet").glob("[!_]*.py")}
  assert {name.partition(":")[0] for name in ROWS} == files


@pytest.mark.parametrize("name", ROWS)
def test_optimiser_and_schedule_are_the_published_ones(name):
  c, row = load(name), ROWS[name]
  o, (_, rate) = c.optimizer, build.optimizer(c, STEPS_PER_EPOCH)
  assert (o.name, o.momentum, o.nesterov) == (row.optimiser, 0.9, False)
  assert (c.epochs, c.batch_size) == (row.epochs, row.batch)
  assert c.image_size_px == row.size_px
  assert rate.peak == pytest.approx(row.peak)
  assert rate.warmup_steps == row.warmup * STEPS_PER_EPOCH
  start = row.start if row.warmup else row.peak
  assert float(rate(0)) == pytest.approx(start, rel=1e-5)
  assert o.weight_decay == pytest.approx(row.decay)
  assert chosen(o.exclude if o.decay_exclude == "same" else o.decay_exclude) == row.decayed
  if row.optimiser.startswith("lar"):
    assert chosen(o.exclude) == (row.adapted or KERNELS)
  last = row.epochs * STEPS_PER_EPOCH
  if row.drops:
    assert o.lr_schedule == "step"
    for number, epoch in enumerate(row.drops):
      before, after = (float(rate(epoch * STEPS_PER_EPOCH + step)) for step in (-1, 0))
      assert before == pytest.approx(row.peak / 10**number, rel=1e-4)
      assert after == pytest.approx(before / 10, rel=1e-4)
    return
  assert o.lr_schedule == "cosine"
  assert float(rate(last)) == pytest.approx(row.end, rel=1e-4, abs=1e-9)
  middle = int(row.warmup + (row.epochs - row.warmup) / 2) * STEPS_PER_EPOCH
  assert (float(rate(middle)) == float(rate(middle + 5))) == row.per_epoch


@pytest.mark.parametrize("name", ROWS)
def test_method_heads_and_batch_norm_are_the_published_ones(name):
  c, row = load(name), ROWS[name]
  method, net = build.method(c), build.net(c)
  assert {key: getattr(method, key) for key in row.method} == row.method
  found = heads_of(net)
  assert {key: found[key] for key in row.heads} == row.heads
  assert net.backbone.bn_groups == row.bn_groups
  assert getattr(net.backbone, "zero_gamma", None) == row.zero_gamma
  for key, value in row.more.items():
    section, key = key.split(".")
    assert c[section][key] == value, key


def test_vision_transformers_have_the_heads_of_their_paper():
  for name, heads in (("dino", 6), ("dino:vit_base", 12), ("moco_v3_vit", 12)):
    assert build.net(load(name)).backbone.heads == heads, name


def test_biases_and_batch_norm_of_barlow_twins_have_their_own_rate():
  c = load("barlow")
  ((pattern, multiplier, constant),) = c.optimizer.lr_rules
  assert chosen(pattern) == KERNELS and not constant
  assert multiplier * 1.6 == pytest.approx(0.0048 * 2048 / 256)
