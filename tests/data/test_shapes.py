"""The built-in images: exact factors, independent of each other, and a task of known difficulty."""

import colorsys
import itertools

import numpy as np
import pytest
from scipy import stats

from contrastive_jax import data, errors
from contrastive_jax.data import glyphs, shapes

LUMA = np.array([0.299, 0.587, 0.114])


def opened(split="train", **options):
  return data.build("shapes", split=split, **{"num_train": 256, "num_test": 256} | options)


def pixels(source):
  return np.stack([source[i]["image"] for i in range(len(source))])


def luma(images):
  return images / 255 @ LUMA


@pytest.fixture(scope="module")
def default():
  return data.build("shapes", split="train"), data.build("shapes", split="test")


def test_images_have_the_promised_type_size_and_labels():
  source = opened(size_px=24, num_train=7)
  assert len(source) == 7 and source.native_size_px == 24 and source.num_classes == 10
  assert source.label_names == glyphs.NAMES
  for i in range(7):
    example = source[i]
    assert example["image"].dtype == np.uint8 and example["image"].shape == (24, 24, 3)
    assert example["label"] == source.factors["shape"][i] and example["index"] == i
  assert source.factors.keys() == set(shapes.FACTORS)


def test_an_image_depends_on_seed_split_and_index_alone(monkeypatch):
  images = pixels(opened(num_train=300))
  np.testing.assert_array_equal(pixels(opened(num_train=100)), images[:100])
  monkeypatch.setattr(shapes, "_PIXELS_KEPT", 0)  # one by one
  source = opened(num_train=300)
  np.testing.assert_array_equal(pixels(source), images)
  np.testing.assert_array_equal(source[299]["image"], images[299])
  assert (pixels(opened(seed=1)) != images[:256]).any((1, 2, 3)).all()


def test_the_factors_do_not_depend_on_the_numpy_version():
  # Made once with NumPy 2.4.6; runs on other machines must see the same images.
  factors = opened(num_train=6, texture=True, polarity=True, lighting=True).factors
  assert {key: values.tolist() for key, values in factors.items()} == {
    "shape": [3, 8, 0, 6, 4, 4],
    "rotation": [2, 1, 2, 3, 2, 2],
    "hue": [0, 7, 3, 0, 4, 5],
    "background_hue": [5, 1, 4, 3, 7, 1],
    "x": [0, 1, 2, 2, 2, 1],
    "y": [0, 0, 0, 2, 0, 1],
    "scale": [0, 0, 2, 0, 2, 2],
    "texture": [0, 4, 2, 4, 2, 3],
    "polarity": [0, 0, 0, 1, 1, 1],
    "lighting": [0, 2, 1, 2, 0, 2],
  }


@pytest.mark.parametrize("varied", [True, False])
def test_no_image_is_in_two_splits_or_twice_in_one(varied):
  options = {key: varied for key in ("hue", "background_hue", "position", "scale", "rotation")}
  images = [pixels(opened(split, **options)) for split in shapes.SPLITS]
  assert len({image.tobytes() for image in np.concatenate(images)}) == 3 * 256
  first, second = (opened(split).factors["shape"] for split in ("train", "test"))
  assert np.mean(first == second) < 0.25  # one in ten by chance


def measured_hue(image, part):
  return colorsys.rgb_to_hsv(*image[part].mean(0))[0]


def test_the_hue_labels_are_the_measured_hues(default):
  source, _ = default
  for i in range(200):
    image = source[i]["image"] / 255
    light = image @ LUMA
    for name, part in (("hue", light > 0.66), ("background_hue", light < 0.34)):
      hue, value = measured_hue(image, part), source.values[name][i]
      # Noise of 4 levels over 20 or more pixels of colour 0.3 moves the mean hue by less than 0.01.
      assert abs((hue - value + 0.5) % 1 - 0.5) < 0.01
      if min(value * 8 % 1, 1 - value * 8 % 1) > 0.1:
        assert int(hue * 8) == source.factors[name][i]


def test_luma_tells_figure_from_background_whatever_the_hues():
  images = pixels(opened(noise=0))
  light = luma(images)
  # Rounding to 255 levels: half a level.
  np.testing.assert_allclose(light.max((1, 2)), 0.7, atol=0.5 / 255)
  np.testing.assert_allclose(light.min((1, 2)), 0.3, atol=0.5 / 255)


def test_grey_images_can_be_asked_for():
  images = pixels(opened(colorfulness=0.0, noise=0))
  assert (np.ptp(images, -1) == 0).all()


def test_the_place_labels_are_the_measured_places():
  source = opened(scale=False, rotation=False, shapes=("cup",), noise=0)
  figure = luma(pixels(source)) - 0.3
  grid = (np.arange(32) + 0.5) / 32
  radius = np.mean(shapes.Options().scale_range)
  for name, axis in (("x", 1), ("y", 2)):
    center = (figure.sum(axis) * grid).sum(1) / figure.sum((1, 2))
    place = (center - radius) / (1 - 2 * radius)
    offset = np.median(place - source.values[name])  # the centre of mass is not that of the disc
    np.testing.assert_allclose(place - offset, source.values[name], atol=0.02)
    np.testing.assert_array_equal(
      source.factors[name], np.minimum(source.values[name] * 3, 2).astype(int)
    )


def test_the_scale_labels_are_the_measured_scales():
  source = opened(position=False, shapes=("heart",), noise=0, size_px=64)
  area = ((luma(pixels(source)) - 0.3) / 0.4).sum((1, 2)) / 64**2
  ratio = area / source.values["scale"] ** 2
  # Bins are 9 % apart in radius, 19 % in area; the cover of pixels at the edge is approximate.
  np.testing.assert_allclose(ratio, ratio.mean(), rtol=0.04)
  low, high = shapes.Options().scale_range
  bins = (source.values["scale"] - low) / (high - low) * 4
  np.testing.assert_array_equal(source.factors["scale"], bins.astype(int))


def test_rotations_are_quarter_turns_counter_clockwise():
  still = {"position": False, "scale": False, "hue": False, "background_hue": False, "noise": 0}
  upright = opened(rotation=False, **still)
  turned = opened(**still)
  assert set(turned.factors["rotation"]) == {0, 1, 2, 3}
  for i in range(256):
    wanted = np.rot90(upright[i]["image"], turned.factors["rotation"][i])
    np.testing.assert_array_equal(turned[i]["image"], wanted)
  assert set(opened(rotations=(1, 3)).factors["rotation"]) == {0, 1}
  assert opened(rotations=(1, 3), label="rotation").label_names == ("1", "3")


def test_polarity_and_texture_labels_are_what_is_seen():
  source = opened(polarity=True, texture=True, noise=0, position=False, scale=False, hue=False)
  light = luma(pixels(source))
  top = light[:, :5]  # never reached by a centred figure; more than half a period of a texture
  assert set(source.factors["polarity"]) == {0, 1}
  assert set(source.factors["texture"]) == set(range(5))
  dark = top.mean((1, 2)) < 0.5
  np.testing.assert_array_equal(dark, source.factors["polarity"] == 0)
  constant_along_rows, constant_down_columns = (np.ptp(top, axis).max(1) < 0.01 for axis in (2, 1))
  np.testing.assert_array_equal(constant_along_rows, np.isin(source.factors["texture"], (0, 1)))
  np.testing.assert_array_equal(constant_down_columns, np.isin(source.factors["texture"], (0, 2)))


def test_the_lighting_labels_are_the_measured_light():
  source, full = (opened(lighting=on, noise=0) for on in (True, False))
  bright, brightest = pixels(source).astype(float), pixels(full).astype(float)
  scaled = brightest * source.values["lighting"][:, None, None, None]
  np.testing.assert_allclose(bright, scaled, atol=1.0)  # both were rounded, by half a level each
  bins = (source.values["lighting"] - 0.4) / 0.6 * 4
  np.testing.assert_array_equal(source.factors["lighting"], bins.astype(int))
  assert set(full.values["lighting"]) == {1.0}


def test_factors_are_independent_and_uniform():
  source = data.build("shapes", split="train", texture=True, polarity=True, lighting=True)
  for name, values in source.factors.items():
    count = np.bincount(values, minlength=len(source.factor_names[name]))
    # 10 + 45 tests: a p-value below 1e-4 comes by chance in one of 180 seeds.
    assert stats.chisquare(count).pvalue > 1e-4, name
  for a, b in itertools.combinations(source.factors, 2):
    table = stats.contingency.crosstab(source.factors[a], source.factors[b]).count
    assert stats.chi2_contingency(table).pvalue > 1e-4, (a, b)


@pytest.mark.parametrize(
  ("switch", "names"),
  [
    ("hue", ["hue"]),
    ("background_hue", ["background_hue"]),
    ("position", ["x", "y"]),
    ("scale", ["scale"]),
    ("rotation", ["rotation"]),
    ("texture", ["texture"]),
    ("polarity", ["polarity"]),
    ("lighting", ["lighting"]),
  ],
)
def test_a_switch_holds_its_factor_and_leaves_the_others(switch, names):
  all_on = {"texture": True, "polarity": True, "lighting": True}
  on, off = opened(**all_on), opened(**all_on | {switch: False})
  for key, values in on.values.items():
    if key in names:
      assert len(set(values)) > 1 and len(set(off.values[key])) == 1, key
    else:
      np.testing.assert_array_equal(values, off.values[key], err_msg=key)


@pytest.mark.parametrize(
  ("name", "values"),
  [
    ("hue", "hue"),
    ("background_hue", "background_hue"),
    ("position", "x"),
    ("scale", "scale"),
    ("lighting", "lighting"),
  ],
)
def test_a_range_bounds_its_factor(name, values):
  drawn = opened(**{name: True, f"{name}_range": (0.3, 0.35)}).values[values]
  assert 0.3 <= drawn.min() < 0.305 and 0.345 < drawn.max() <= 0.35


def test_a_range_of_hues_may_cross_red():
  hue = opened(hue_range=(0.9, 1.1)).values["hue"]
  assert (hue < 1).all() and ((hue > 0.9) | (hue < 0.1)).all() and (hue < 0.1).any()


@pytest.mark.parametrize("label", shapes.FACTORS)
def test_every_factor_can_be_the_label(label):
  source = opened(label=label, texture=True, polarity=True, lighting=True)
  assert source.num_classes == len(source.label_names) == source.factors[label].max() + 1
  assert [source[i]["label"] for i in range(256)] == source.factors[label].tolist()


def test_fewer_figures_are_fewer_classes():
  source = opened(shapes=("key", "tee"))
  assert source.label_names == ("key", "tee") and set(source.factors["shape"]) == {0, 1}


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"split": "val"}, "no split 'val' of shapes; there are train, validation, test"),
    ({"num_train": 0}, "train has 0 images"),
    ({"size_px": 4}, "size_px 4 is too small.*at least 8"),
    ({"seed": -1}, "seed -1"),
    ({"shapes": ("disc",)}, r"no shape \['disc'\]; there are triangle"),
    ({"shapes": ()}, "no shape"),
    ({"textures": ("wood",)}, r"no texture \['wood'\]; there are plain"),
    ({"label": "size"}, "no factor 'size'; label is one of shape"),
    ({"rotations": ()}, "rotations is empty"),
    ({"scale_range": (0.3, 0.6)}, r"scale_range \(0.3, 0.6\) is not .* 0..0.5"),
    ({"position_range": (0.5, 0.2)}, r"position_range \(0.5, 0.2\)"),
    ({"light": (0.1, 0.7)}, r"light \(0.1, 0.7\) with colorfulness 0.3 leaves 0..1"),
    ({"lighting_range": (0.0, 1.0)}, r"lighting_range \(0.0, 1.0\) is not .* 0..1, 0 left out"),
    ({"noise": 200}, "noise 200 is outside 0..127"),
  ],
)
def test_values_out_of_range_are_refused(options, message):
  with pytest.raises(errors.UserError, match=message):
    opened(**options)


def test_nearest_neighbours_of_raw_pixels_are_a_poor_classifier(default):
  train, test = default
  bank, queries = (pixels(s).reshape(len(s), -1).astype(np.float32) / 255 for s in (train, test))
  distance = (bank**2).sum(1) - 2 * queries @ bank.T
  predicted = train.factors["shape"][distance.argmin(1)]
  accuracy = np.mean(predicted == test.factors["shape"])
  assert 0.15 < accuracy < 0.6  # measured: 0.453; chance is 0.1
