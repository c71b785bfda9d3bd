"""The figures of the CIFAR-10 recipes that others have checked, written down a second time."""

import importlib

import pytest

from contrastive_jax import build, optim

# The released configs of solo-learn, ResNet-18: optimiser, rate, weight decay, the figures of both
# views (smallest crop, jitter, blur, solarisation) and of the method.
WEAK, STRONG, MILD = (0.4, 0.4, 0.4, 0.1), (0.8, 0.8, 0.8, 0.2), (0.4, 0.4, 0.2, 0.1)
SYMMETRIC = (0.08, STRONG, (0.5, 0.5), (0.0, 0.0))
SYMMETRIC_WEAK = (0.08, WEAK, (0.5, 0.5), (0.0, 0.0))
ASYMMETRIC = (0.08, MILD, (0.0, 0.0), (0.0, 0.2))
SOLO = {
  "byol": (
    *("larc", 1.0, 1e-5, ASYMMETRIC),
    {"head_width": 4096, "embedding_size": 256, "predictor_width": 4096, "momentum": 0.99},
  ),
  "moco": (
    *("sgd", 0.3, 1e-4, SYMMETRIC_WEAK),
    {"queue_size": 32_768, "temperature": 0.2, "momentum": 0.99, "final_momentum": 0.999}
    | {"head_width": 2048, "embedding_size": 256, "symmetric": True},
  ),
  "moco_v3": (
    *("larc", 0.3, 1e-6, ASYMMETRIC),
    {"temperature": 0.2, "head_width": 4096, "embedding_size": 256, "momentum": 0.99},
  ),
  "barlow": (
    *("larc", 0.3, 1e-4, ASYMMETRIC),
    {"head_width": 2048, "embedding_size": 2048, "head_layers": 3, "loss_factor": 0.1},
  ),
  "vicreg": (
    *("larc", 0.3, 1e-4, (0.2, MILD, (0.0, 0.0), (0.1, 0.1))),
    {"head_width": 2048, "embedding_size": 2048, "head_layers": 3}
    | {"invariance_weight": 25, "variance_weight": 2 * 25, "covariance_weight": 1},
  ),
  "simsiam": (
    *("sgd", 0.5, 1e-5, SYMMETRIC_WEAK),
    {"head_width": 2048, "embedding_size": 2048, "predictor_width": 512, "head_layers": 3},
  ),
  "nnclr": (
    *("larc", 0.4, 1e-5, ASYMMETRIC),
    {"temperature": 0.2, "queue_size": 65_536, "head_width": 2048, "predictor_width": 4096}
    | {"embedding_size": 256},
  ),
  "swav": (
    *("larc", 0.6, 1e-6, SYMMETRIC),
    {"prototypes": 3000, "queue_size": 3840, "queue_from_epoch": 50, "freeze_steps": 390}
    | {"temperature": 0.1, "head_width": 2048, "embedding_size": 128, "local_views": 0},
  ),
  "supcon": (
    *("sgd", 0.4, 1e-5, SYMMETRIC),
    {"temperature": 0.2, "base_temperature": 0.2, "head_width": 2048, "embedding_size": 256},
  ),
  "dino": (
    *("larc", 0.3, 1e-6, ASYMMETRIC),
    {"outputs": 4096, "momentum": 0.9995, "head_width": 2048, "embedding_size": 256}
    | {"local_views": 0, "teacher_start": 0.04, "teacher_temperature": 0.07},
  ),
}


def load(name):
  stem, _, argument = name.partition(":")
  module = importlib.import_module(f"contrastive_jax.configs.cifar10.{stem}")
  return module.get_config(*([argument] if argument else []))


@pytest.mark.parametrize("name", SOLO)
def test_the_recipe_is_the_one_that_solo_learn_publishes(name):
  c = load(name)
  optimiser, rate, decay, (min_area, jitter, blur, solarize), method = SOLO[name]
  o, (_, schedule) = c.optimizer, build.optimizer(c, steps_per_epoch=195)
  assert (c.epochs, c.batch_size, c.model.name, c.model.stem) == (1000, 256, "resnet18", "cifar")
  assert (o.name, o.momentum, o.weight_decay) == (optimiser, 0.9, decay)
  assert (schedule.peak, schedule.warmup_steps) == (pytest.approx(rate), 10 * 195)
  assert float(schedule(1000 * 195)) == pytest.approx(0, abs=1e-7)
  if optimiser == "larc":
    assert (o.trust_coefficient, o.trust_eps, o.trust_clip) == (0.02, 1e-8, True)
    assert (o.exclude, o.decay_exclude) == (optim.builder.BIAS_OR_SCALE, "same")
  else:
    assert o.decay_exclude == "none"
  constant = (("^p/", 1.0, True),) if name == "simsiam" else ()
  assert o.lr_rules == constant
  assert not c.model.zero_gamma
  built = build.method(c)
  assert {key: getattr(built, key) for key in method} == method
  build.net(c)
  recipe = build.recipe(c)
  assert recipe.local is None and recipe.mean[0] == pytest.approx(0.4914)
  for number, view in enumerate(map(dict, recipe.views)):
    found = view["jitter"]
    strengths = (found.brightness, found.contrast, found.saturation, found.hue)
    assert strengths == pytest.approx(jitter)
    assert (found.p, view["grey"].p, view["flip"].p) == (0.8, 0.2, 0.5)
    assert (view["crop"].min_area, view["crop"].max_area) == (min_area, 1.0)
    for operation, p in (("blur", blur), ("solarize", solarize)):
      assert getattr(view.get(operation), "p", 0.0) == p[number], operation


@pytest.mark.parametrize(
  ("name", "peak", "batch", "epochs", "drops", "factor", "nesterov"),
  [
    ("instdisc", 0.03, 128, 200, (80, 120, 160), 0.1, False),
    ("rotation", 0.1, 128, 200, (60, 120, 160), 0.2, True),
    ("moco:v1", 0.06, 512, 200, (120, 160), 0.1, False),
  ],
)
def test_the_recipe_is_the_one_of_the_authors(name, peak, batch, epochs, drops, factor, nesterov):
  c = load(name)
  o, (_, rate) = c.optimizer, build.optimizer(c, steps_per_epoch=10)
  assert (c.epochs, c.batch_size, rate.peak) == (epochs, batch, pytest.approx(peak))
  assert (o.name, o.momentum, o.nesterov, o.warmup_epochs) == ("sgd", 0.9, nesterov, 0)
  assert (o.weight_decay, o.decay_exclude) == (5e-4, "none")
  for number, epoch in enumerate(drops):
    before, after = (float(rate(10 * epoch + step)) for step in (-1, 0))
    assert before == pytest.approx(peak * factor**number, rel=1e-5)
    assert after == pytest.approx(before * factor, rel=1e-5)


def test_simclr_has_the_views_and_the_head_of_the_code_whose_figures_it_quotes():
  c = load("simclr")
  recipe, head = build.recipe(c), build.net(c).heads[0].module
  view = dict(recipe.views[0])
  assert [name for name, _ in recipe.views[0]] == ["crop", "flip", "jitter", "grey"]
  assert (view["crop"].sampler, view["crop"].min_area) == ("torchvision", 0.2)
  assert (view["jitter"].family, view["grey"].p) == ("torchvision", 0.1)
  assert (recipe.interpolation, recipe.mean, recipe.std) == ("bilinear", (0, 0, 0), (1, 1, 1))
  assert (head.hidden, head.out, head.hidden_bn, head.last_bn) == ((1024,), 128, False, "none")
  assert not c.model.zero_gamma


def test_simsiam_of_the_paper_has_the_figures_of_its_appendix_d():
  c = load("simsiam:paper")
  _, rate = build.optimizer(c, steps_per_epoch=97)
  assert (c.epochs, c.batch_size, rate.peak) == (800, 512, pytest.approx(0.06))
  assert (c.optimizer.weight_decay, c.optimizer.decay_exclude) == (5e-4, "none")
  assert (c.method.head_layers, c.method.head_width) == (2, 2048)
  view = dict(build.recipe(c).views[0])
  assert "blur" not in view and view["crop"].min_area == 0.2


def test_simclr_v2_has_a_head_of_three_layers_to_fine_tune_from():
  head = build.net(load("simclr:v2")).heads[0].module
  assert (head.hidden, head.hidden_bn, head.last_bn) == ((1024, 1024), True, "scale")
