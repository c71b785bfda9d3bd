"""The figures of every named recipe, its order, and what each option changes."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import augment, errors

_SIMCLR, _MOCO = "crop flip jitter grey blur", "crop jitter grey blur flip"
_NO_BLUR, _FLIP_LAST = "crop flip jitter grey", "crop jitter grey flip"
_TV = "torchvision"
# Crops: sampler, interpolation, whether filtered where they shrink, smallest area. The code of
# SimCLR and BYOL calls tf.image.resize, which does not unless asked to.
_CROP_TF, _CROP_BYOL = ("tf", "bicubic", False, 0.08), (_TV, "bicubic", False, 0.08)
_CROP_8, _CROP_20 = (_TV, "bicubic", True, 0.08), (_TV, "bilinear", True, 0.2)
_CROP_40 = (_TV, "bicubic", True, 0.4)
# Jitter: p, brightness, contrast, saturation, hue.
_OLD, _STRONG = (1.0, 0.4, 0.4, 0.4, 0.4), (0.8, 0.8, 0.8, 0.8, 0.2)
_WEAK, _WEAKER = (0.8, 0.4, 0.4, 0.4, 0.1), (0.8, 0.4, 0.4, 0.2, 0.1)
# Blur: family, p of view 1, p of view 2. Solarisation: p of both.
_BLUR, _BLUR_FIRST, _NEVER, _SECOND = ("pillow", 0.5, 0.5), ("pillow", 1.0, 0.1), (0, 0), (0, 0.2)
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CIFAR = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
_NONE = ((0.0,) * 3, (1.0,) * 3)

# name: order of view 1, crop, family of the jitter, jitter, grey p, blur, solarisation,
# normalisation. Written down from the papers and the authors' code, independently of the table in
# the package.
_FIGURES = {
  "simclr": (_SIMCLR, _CROP_TF, "simclr_v2", _STRONG, 0.2, ("tf", 0.5, 0.5), _NEVER, _NONE),
  "simclr_cifar": (_NO_BLUR, _CROP_TF, "simclr_v2", _WEAK, 0.2, None, _NEVER, _NONE),
  "moco_v1": ("crop grey jitter flip", _CROP_20, _TV, _OLD, 0.2, None, _NEVER, _IMAGENET),
  "moco_v2": (_MOCO, _CROP_20, _TV, _WEAK, 0.2, _BLUR, _NEVER, _IMAGENET),
  "simsiam": (_MOCO, _CROP_20, _TV, _WEAK, 0.2, _BLUR, _NEVER, _IMAGENET),
  "byol": (_SIMCLR, _CROP_BYOL, "simclr_v1", _WEAKER, 0.2, ("tf", 1, 0.1), _SECOND, _IMAGENET),
  "moco_v3": (_MOCO, _CROP_20, _TV, _WEAKER, 0.2, _BLUR_FIRST, _SECOND, _IMAGENET),
  "barlow": (_SIMCLR, _CROP_8, _TV, _WEAKER, 0.2, _BLUR_FIRST, _SECOND, _IMAGENET),
  "vicreg": (_SIMCLR, _CROP_8, _TV, _WEAKER, 0.2, _BLUR_FIRST, _SECOND, _IMAGENET),
  "supcon_cifar": (_NO_BLUR, _CROP_20, _TV, _WEAK, 0.2, None, _NEVER, _CIFAR),
  "w_mse_cifar": (_FLIP_LAST, (_TV, "bicubic", True, 0.2), _TV, _WEAK, 0.1, None, _NEVER, _CIFAR),
  "solo_cifar": (_MOCO, _CROP_8, _TV, _STRONG, 0.2, _BLUR, _NEVER, _CIFAR),
  "solo_cifar_asym": (_FLIP_LAST, _CROP_8, _TV, _WEAKER, 0.2, None, _SECOND, _CIFAR),
  "swav": (_SIMCLR, (_TV, "bilinear", True, 0.14), _TV, _STRONG, 0.2, _BLUR, _NEVER, _IMAGENET),
  "dino": (_SIMCLR, _CROP_40, _TV, _WEAKER, 0.2, _BLUR_FIRST, _SECOND, _IMAGENET),
  "crop_only": ("crop flip", _CROP_TF, None, None, 0, None, _NEVER, _NONE),
  "none": ("crop", None, None, None, 0, None, _NEVER, _NONE),
}


def _names(pipeline):
  return " ".join(name for name, _ in pipeline)


def _p(pipeline, name):
  return dict(pipeline)[name].p if name in dict(pipeline) else 0


def test_every_recipe_is_pinned():
  assert set(augment.NAMES) == set(_FIGURES)


@pytest.mark.parametrize("name", augment.NAMES)
def test_recipe_has_the_published_figures(name):
  order, crop, family, strengths, grey_p, blur, solarize_p, (mean, std) = _FIGURES[name]
  recipe = augment.recipe(name, 32)
  first, second = (dict(pipeline) for pipeline in recipe.views)
  assert _names(recipe.views[0]) == order
  for view in (first, second):
    assert view["crop"].size_px == 32
    if crop:
      c = view["crop"]
      assert (c.sampler, c.interpolation, c.antialias, c.min_area) == crop
      assert c.max_area == 1.0
    if strengths:
      j = view["jitter"]
      got = (j.p, j.brightness, j.contrast, j.saturation, j.hue)
      assert j.family == family
      np.testing.assert_allclose(got, strengths, rtol=1e-12)
    if blur:
      assert view["blur"].family == blur[0]
      assert (view["blur"].min_sigma_px, view["blur"].max_sigma_px) == (0.1, 2.0)
  for view, pipeline in enumerate(recipe.views):
    assert _p(pipeline, "grey") == grey_p
    assert _p(pipeline, "blur") == (blur[1 + view] if blur else 0)
    assert _p(pipeline, "solarize") == solarize_p[view]
    assert _p(pipeline, "flip") == (0 if name == "none" else 0.5)
  assert (recipe.mean, recipe.std) == (mean, std)
  assert recipe.antialias == dict(recipe.probe)["crop"].antialias == first["crop"].antialias


@pytest.mark.parametrize("name", ["simclr", "simclr_cifar", "crop_only"])
def test_simclr_draws_crops_of_less_than_a_tenth_again_unless_asked_for_smaller_ones(name):
  assert dict(augment.recipe(name).views[0])["crop"].min_covered == 0.1
  small = augment.recipe(name, min_area=0.05)
  assert dict(small.views[0])["crop"].min_covered == 0.05


@pytest.mark.parametrize("name", ["byol", "moco_v3", "barlow", "vicreg"])
def test_asymmetric_recipes_differ_in_blur_and_solarisation_alone(name):
  first, second = (dict(pipeline) for pipeline in augment.recipe(name).views)
  assert "solarize" not in first
  differing = {k for k in second if first.get(k) != second[k]}
  assert differing == {"blur", "solarize"}
  assert dataclasses.replace(first["blur"], p=0.1) == second["blur"]


def test_moco_v3_flips_after_solarising_and_barlow_before():
  assert _names(augment.recipe("moco_v3").views[1]) == "crop jitter grey blur solarize flip"
  assert _names(augment.recipe("barlow").views[1]) == "crop flip jitter grey blur solarize"


def test_more_views_take_the_pipelines_in_turn():
  two, five = (augment.recipe("byol", num_views=n).views for n in (2, 5))
  assert five == (two[0], two[1], two[0], two[1], two[0])
  assert len(augment.recipe("simclr", num_views=1).views) == 1


def test_color_strength_multiplies_the_four_strengths():
  jitter = dict(augment.recipe("simclr_cifar", color_strength=1.0).views[0])["jitter"]
  assert jitter == dict(augment.recipe("simclr").views[0])["jitter"]
  jitter = dict(augment.recipe("moco_v2", color_strength=0.25).views[0])["jitter"]
  got = (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
  np.testing.assert_allclose(got, (0.1, 0.1, 0.1, 0.025))


def test_hue_is_set_whatever_the_strength_and_alone():
  plain = dict(augment.recipe("simclr_cifar").views[0])["jitter"]
  turned = dict(augment.recipe("simclr_cifar", hue=0.5).views[0])["jitter"]
  assert turned == dataclasses.replace(plain, hue=0.5)
  turned = dict(augment.recipe("simclr_cifar", color_strength=0.25, hue=0.5).views[0])["jitter"]
  assert (turned.brightness, turned.hue) == (0.2, 0.5)


@pytest.mark.parametrize("name", [name for name in augment.NAMES if name != "none"])
def test_color_strength_0_removes_every_operation_on_colour(name):
  for pipeline in augment.recipe(name, color_strength=0).views:
    assert not {"jitter", "grey", "solarize"} & set(dict(pipeline))
    assert {"crop", "flip"} <= set(dict(pipeline))


def test_options_change_what_they_name_and_nothing_else():
  def view(**options):
    return dict(augment.recipe("simclr_cifar", **options).views[0])

  plain = view()
  options = {"blur": 0.3, "grey_p": 0.1, "flip": 0.25, "solarize": 0.4}
  for option, p in options.items():
    got, name = view(**{option: p}), option.removesuffix("_p")
    assert got[name].p == p
    assert {k: v for k, v in got.items() if k != name} == {
      k: v for k, v in plain.items() if k != name
    }
  assert view(min_area=0.3)["crop"].min_area == 0.3
  assert view(blur=True)["blur"].p == 0.5
  assert view(solarize=True)["solarize"].p == 0.2
  assert view(flip=True) == plain
  assert "flip" not in view(flip=False)
  assert "grey" not in view(grey_p=0)
  assert view(blur=False) == plain


def test_switches_keep_a_recipes_own_figures():
  assert augment.recipe("byol", blur=True, solarize=True) == augment.recipe("byol")
  views = augment.recipe("byol", blur=0.3, solarize=False).views
  assert [_p(view, "blur") for view in views] == [0.3, 0.3]
  assert [_p(view, "solarize") for view in views] == [0, 0]


def test_family_replaces_crop_jitter_and_blur():
  for family, crop, blur in (
    ("simclr_v1", "tf", "tf"),
    ("simclr_v2", "tf", "tf"),
    ("torchvision", "torchvision", "pillow"),
  ):
    view = dict(augment.recipe("moco_v2", family=family).views[0])
    got = (view["crop"].sampler, view["jitter"].family, view["blur"].family)
    assert got == (crop, family, blur)
    assert view["crop"].antialias == (family == "torchvision")
    assert view["crop"].interpolation == "bilinear"


def test_antialias_is_the_recipes_unless_given_for_all_views_and_for_evaluation():
  for name, own in (("simclr", False), ("moco_v2", True), ("none", True)):
    for given in (None, False, True):
      recipe = augment.recipe(name, antialias=given, local_views=int(name != "none"))
      want = own if given is None else given
      pipelines = [*recipe.views, recipe.probe, *(recipe.local.views if recipe.local else ())]
      assert [dict(pipeline)["crop"].antialias for pipeline in pipelines] == [want] * len(pipelines)
      assert recipe.antialias == want
  assert augment.recipe("simclr", family="torchvision", antialias=False).antialias is False


def test_further_operations_are_appended_in_a_fixed_order():
  recipe = augment.recipe("moco_v2", cutout=0.1, rotate=1.0, noise=0.2, sobel=0.3)
  for pipeline in recipe.views:
    assert _names(pipeline) == _MOCO + " rotate sobel noise cutout"
    got = [_p(pipeline, name) for name in ("rotate", "sobel", "noise", "cutout")]
    assert got == [1.0, 0.3, 0.2, 0.1]


def test_normalize_option():
  assert augment.recipe("moco_v2", normalize="none").std == (1.0, 1.0, 1.0)
  assert augment.recipe("simclr_cifar", normalize="cifar").mean == _CIFAR[0]


@pytest.mark.parametrize(
  "name, options, message",
  [
    ("simclrr", {}, "'simclrr' is unknown; did you mean 'simclr'?"),
    ("", {}, "is unknown; use one of: simclr, "),
    ("simclr", {"size_px": 0}, "size_px 0 is not a positive integer"),
    ("simclr", {"num_views": 2.5}, "num_views 2.5 is not a positive integer"),
    ("simclr", {"blur": 1.5}, "blur 1.5 is not a probability"),
    ("simclr", {"grey_p": -0.1}, "grey_p -0.1 is not a probability"),
    ("simclr", {"flip": float("nan")}, "flip nan is not a probability"),
    ("simclr", {"rotate": "yes"}, "rotate 'yes' is not a probability"),
    ("simclr", {"min_area": 0}, "min_area 0 is not a fraction"),
    ("simclr", {"min_area": 1.1}, "min_area 1.1 is not a fraction"),
    ("none", {"min_area": 0.2}, "recipe 'none' does not crop"),
    ("simclr", {"color_strength": -1}, "color_strength -1 is not a number; use 0 or more"),
    ("simclr", {"color_strength": 3}, "use at most 2.5"),
    ("simclr", {"hue": 0.6}, "hue 0.6 is no part of the circle; use 0 to 0.5"),
    ("crop_only", {"color_strength": 1}, "color_strength 1 has no effect"),
    ("simclr", {"color_strength": 0, "grey_p": 0.2}, "grey_p 0.2 contradicts color_strength 0"),
    ("simclr", {"family": "pytorch"}, "family 'pytorch' is unknown; use one of: simclr_v1"),
    ("simclr", {"antialias": "no"}, "antialias 'no' is unknown; use one of: False, True"),
    ("simclr", {"normalize": True}, "normalize True is unknown; use one of: none"),
  ],
)
def test_bad_input_is_refused_in_one_line(name, options, message):
  with pytest.raises(errors.UserError) as caught:
    augment.recipe(name, **options)
  assert message in str(caught.value)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["simclr", "byol", "moco_v2"])
def test_nothing_that_is_drawn_tells_of_anything_else(name):
  """No coin of what it decides on (findings/augmax_one_way.sh), no view of the other."""
  extra = {"rotate": 0.5, "cutout": 0.5, "solarize": 0.3, "blur": 0.5}
  recipe = augment.recipe(name, 32, **extra)
  keys = jax.random.split(jax.random.key(0), 4000)
  extent = jnp.asarray([40, 50])
  drawn = jax.jit(jax.vmap(lambda key: augment.sample_views(recipe, key, extent)))(keys)
  found = {}
  for view, operations in enumerate(drawn):
    for operation, params in operations.items():
      for param, values in params.items():
        if param != "order":  # ranks, which are not independent
          for i, column in enumerate(np.asarray(values, np.float64).reshape(len(keys), -1).T):
            found[view, operation, param, i] = column
  assert {operation for _, operation, _, _ in found} >= {"jitter", "rotate", "cutout", "blur"}
  correlated = np.corrcoef(list(found.values()))
  for (i, one), (j, other) in itertools.combinations(enumerate(found), 2):
    if not (one[:2] == other[:2] and one[1] == "crop"):  # where a box fits depends on its size
      assert abs(correlated[i, j]) < 5 / np.sqrt(len(keys)), (one, other)
