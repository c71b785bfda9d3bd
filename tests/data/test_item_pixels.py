"""Pixels of objects in Python: arrays, pictures and files of more than 8 bits."""

import numpy as np
import pytest
from PIL import Image

from contrastive_jax import data, errors
from contrastive_jax.data import given, pipeline, pixel_range, pixels

IMAGE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
SCAN = np.array([[0, 2048], [4095, 5000]], np.uint16)


def scan(kind, folder):
  Image.fromarray(SCAN).save(folder / "scan.png")
  return {
    "array": SCAN,
    "channels first": SCAN[None],
    "floats": SCAN.astype(np.float32),
    "picture": Image.fromarray(SCAN),
    "path": folder / "scan.png",
    "content": (folder / "scan.png").read_bytes(),
  }[kind]


KINDS = ["array", "channels first", "floats", "picture", "path", "content"]


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_more_than_8_bits_run_in_a_range_that_is_named(kind, tmp_path):
  """As those of files do: 4,095 of 12 bits is white."""
  image = scan(kind, tmp_path)
  asked = {"batch_size": 2, "host_size_px": 2, "cache": "none", "value_range": (0, 4095)}
  (batch,) = pipeline.eval_batches(given.source([(image, 0)] * 2), **asked)
  wanted = np.array([[0, 128], [255, 255]], np.uint8)
  np.testing.assert_array_equal(batch["image"][0], np.stack([wanted] * 3, -1))
  (batch,) = pipeline.eval_batches(given.source([(image, 0)] * 2), **asked, channels=1, bits=16)
  fine = np.array([[0, round(2048 / 4095 * 65535)], [65535, 65535]], np.uint16)
  np.testing.assert_array_equal(batch["image"][1, ..., 0], fine)


def test_images_of_8_bits_keep_their_values_whatever_the_range():
  form = pixels.Form(value_range=(0, 4095))
  for image in (IMAGE, Image.fromarray(IMAGE)):
    source = given.source([(image, 0)])
    np.testing.assert_array_equal(source.formed(form)[0]["image"], source[0]["image"])


def test_without_a_range_values_are_as_before_and_none_is_looked_for(tmp_path):
  source = given.source([(scan("picture", tmp_path), 0)])
  assert source.formed(pixels.NATIVE) is source and pixel_range.of(source) == ()
  assert source[0]["image"].max() == 5000 >> 8
  with pytest.raises(errors.UserError, match="pixels are uint16; give .*, or set data.value_range"):
    given.source([(SCAN, 0)])[0]


def test_a_whole_array_of_16_bits_needs_a_range(tmp_path):
  source = given.source(np.stack([SCAN] * 3)[..., None])
  assert source.native_size_px == 2
  with pytest.raises(errors.UserError, match="pixels are uint16; give .*, or set data.value_range"):
    source[0]
  assert source.formed(pixels.Form(value_range=(0, 4095)))[2]["image"].max() == 255
  five = given.source([(np.ones((4, 6, 5), np.uint16), 0)])
  assert five.formed(pixels.Form(5, 8, (0, 2)))[0]["image"].shape == (4, 6, 5)
  with pytest.raises(errors.UserError, match=r"uint16 \[4, 6, 5\] is no image"):
    five.formed(pixels.Form(value_range=(0, 2)))[0]


FIVE = np.random.default_rng(1).integers(0, 256, (4, 6, 7, 5), np.uint8)


class _Five:
  def __len__(self):
    return len(FIVE)

  def __getitem__(self, index):
    return FIVE[index], index % 2


@pytest.mark.parametrize(
  "images",
  [FIVE, FIVE.transpose(0, 3, 1, 2), FIVE / 255, (FIVE, [0, 1, 0, 1]), _Five()],
  ids=["array", "channels first", "floats", "pair", "object"],
)
def test_images_of_five_channels_are_read_where_so_many_are_asked_for(images):
  """They were no images, also with data.channels=5."""
  source = given.opened(given.by_split({"train": images}, "train"), "train")
  asked = {"batch_size": 4, "host_size_px": 8, "cache": "none", "channels": 5}
  (batch,) = pipeline.eval_batches(source, **asked)
  np.testing.assert_array_equal(batch["image"][:, :6, :7], FIVE)
  with pytest.raises(errors.UserError, match="no image; give .*, or set data.channels to 5"):
    list(pipeline.eval_batches(source, **asked | {"channels": 3}))


@pytest.mark.parametrize(
  ("kind", "said"),
  [
    (np.float32, "float pixels from .* are outside 0..1; leave out"),
    (np.uint16, "pixels are uint16; give uint8, or .* data.value_ran"),
  ],
)
def test_other_numbers_than_bytes_need_a_range_also_in_five_channels(kind, said):
  """As of three: scans of 12 bits were nearly black, without a word."""
  source = given.source(FIVE.astype(kind))
  with pytest.raises(errors.UserError, match=said):
    data.formed(source, pixels.Form(5))[0]
  whole = data.formed(source, pixels.Form(5, value_range=(0.0, 255.0)))[0]["image"]
  np.testing.assert_array_equal(whole, FIVE[0])


def test_labels_of_items_by_an_unusual_name_are_told(caplog):
  """As of CIFAR-100 in Hugging Face's form: images had no labels, without a word."""

  class Items:
    def __len__(self):
      return 3

    def __getitem__(self, index):
      return {"img": IMAGE, "fine_label": 7, "note": None}

  assert given.source(Items(), "train").num_classes == 0
  assert "have no label or labels or target or cls but fine_label: images are t" in caplog.text
