"""Pixels beyond 8-bit RGB: what becomes of each kind of file, and of ranges that nobody names."""

import io
import logging
import sys

import numpy as np
import picture_sets
import pytest
from PIL import Image
from tiffs import decoded, encoded, tiff

from contrastive_jax import config, data, errors
from contrastive_jax.data import identity, images, pipeline, pixel_range, pixels, preparing, store
from contrastive_jax.weights import export

SCAN = np.arange(12 * 9, dtype=np.uint16).reshape(12, 9) * 37  # 0 to 3,959: 12 bits
BITS_12 = (0.0, 4095.0)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "npy"])
@pytest.mark.parametrize(("bits", "most"), [(8, 255), (16, 65535)])
def test_a_scan_of_12_bits_has_all_its_values_in_its_range(kind, bits, most):
  found = decoded(encoded(SCAN, kind), channels=1, bits=bits, value_range=BITS_12)
  assert found.dtype.itemsize * 8 == bits and found.shape == (12, 9, 1)
  np.testing.assert_array_equal(found[..., 0], np.round(SCAN / 4095 * most))


def test_what_lies_outside_the_range_is_cut_off_and_no_number_is_the_lower_end():
  floats = np.array([[-9.0, 0.0, np.nan], [0.5, 1.0, np.inf]], np.float32)
  found = decoded(encoded(floats, "npy"), channels=1, value_range=(0.0, 1.0))
  assert found[..., 0].tolist() == [[0, 0, 0], [128, 255, 255]]
  found = decoded(encoded(floats, "npy"), channels=1, value_range=(-1.0, 1.0))
  assert found[..., 0].tolist() == [[0, 128, 0], [191, 255, 255]]


def test_grey_and_colour_become_each_other():
  rgb = np.random.default_rng(0).integers(0, 256, (8, 7, 3), np.uint8)
  grey = decoded(encoded(rgb), channels=1)
  wanted = np.asarray(Image.fromarray(rgb).convert("L"))
  assert grey.shape == (8, 7, 1) and abs(grey[..., 0].astype(int) - wanted).max() <= 1
  three = decoded(encoded(SCAN), channels=3, value_range=BITS_12)
  np.testing.assert_array_equal(three[..., 0], three[..., 2])


@pytest.mark.parametrize("layout", ["interleaved", "planes", "pages", "npy"])
def test_five_channels_of_16_bits_are_read_to_the_last_bit(layout):
  five = np.random.default_rng(0).integers(0, 65536, (6, 8, 5), np.uint16)
  if layout == "npy":
    content = encoded(five, "npy")
  elif layout == "interleaved":
    content = tiff(five, photometric="minisblack", planarconfig="contig")
  elif layout == "planes":
    content = tiff(five.transpose(2, 0, 1), photometric="minisblack", planarconfig="separate")
  else:
    content = tiff(five.transpose(2, 0, 1), photometric="minisblack")
  found = decoded(content, channels=5, bits=16, value_range=(0.0, 65535.0))
  np.testing.assert_array_equal(found, five)


def test_colour_of_16_bits_is_not_taken_for_8():
  rgb = np.random.default_rng(0).integers(0, 65536, (6, 8, 3), np.uint16)
  found = decoded(tiff(rgb, photometric="rgb"), bits=16, value_range=(0.0, 65535.0))
  np.testing.assert_array_equal(found, rgb)


@pytest.mark.parametrize("options", [{}, {"predictor": True}])
def test_what_is_packed_by_lzw_is_read_to_the_last_bit(options):
  pytest.importorskip("imagecodecs", reason="the extra scans is not installed")
  five = np.random.default_rng(0).integers(0, 65536, (6, 8, 5), np.uint16)
  content = tiff(
    five, photometric="minisblack", planarconfig="contig", compression="lzw", **options
  )
  found = decoded(content, channels=5, bits=16, value_range=(0.0, 65535.0))
  np.testing.assert_array_equal(found, five)


def test_what_pillow_packs_by_lzw_is_read_to_the_last_bit():
  buffer = io.BytesIO()
  Image.fromarray(SCAN).save(buffer, "TIFF", compression="tiff_lzw")
  found = decoded(buffer.getvalue(), channels=1, bits=16, value_range=(0.0, 65535.0))
  np.testing.assert_array_equal(found[..., 0], SCAN)


def test_without_imagecodecs_the_compression_and_the_extra_are_named(monkeypatch):
  pytest.importorskip("imagecodecs", reason="the extra scans is not installed")
  five = np.zeros((6, 8, 5), np.uint16)
  options = {"photometric": "minisblack", "planarconfig": "contig"}
  packed, plain = (tiff(five, compression=kind, **options) for kind in ("lzw", "packbits"))
  monkeypatch.setitem(sys.modules, "imagecodecs", None)
  with pytest.raises(errors.UserError, match=r"compression LZW, .* imagecodecs; .*\[scans\]"):
    decoded(packed, channels=5)
  assert not decoded(plain, channels=5).any()


def test_processes_are_told_apart_by_the_pixels_of_five_channels(tmp_path):
  found = set()
  for value in (1, 2):
    np.save(tmp_path / "0.npy", np.full((4, 4, 5), value, np.uint16))
    source = data.build("folder", split="train", path=str(tmp_path), npy=True)
    found.add(identity.facts("training", source)["training pixels"])
  assert len(found) == 2


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize(
  "kind", ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"], ids=lambda kind: kind
)
def test_every_type_of_numbers_in_a_tiff_is_read_as_it_is(kind, compression, byteorder):
  """Pillow 13 takes other bytes first in packed floats and integers, and the sign for a value."""
  if compression == "lzw":
    pytest.importorskip("imagecodecs", reason="the extra scans is not installed")
  least, most = (-2.0, 2.0) if kind[0] == "f" else (np.iinfo(kind).min, np.iinfo(kind).max)
  values = np.linspace(least, most, 12 * 9).reshape(12, 9).astype(kind)
  content = tiff(values, compression=compression, byteorder=byteorder)
  found = decoded(content, channels=1, bits=16, value_range=(float(least), float(most)))
  wanted = (values.astype(float) - least) / (float(most) - least) * 65535
  assert abs(found[..., 0] - wanted).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["grey PNG", "RGBA PNG", "grey TIFF", "RGB TIFF", "five TIFF"])
def test_the_orientation_is_applied_to_every_form(kind, orientation):
  depth = {"grey": 1, "RGB": 3, "RGBA": 4, "five": 5}[kind.split()[0]]
  pixels_of = np.repeat(SCAN[..., None], depth, -1) + np.arange(depth, dtype=np.uint16)
  pixels_of = pixels_of.astype(np.uint8) if depth == 4 else pixels_of
  lies = pixels_of[..., 0] if depth == 1 else pixels_of
  if kind.endswith("TIFF"):
    options = {"photometric": "rgb" if depth == 3 else "minisblack", "planarconfig": "contig"}
    options = {} if depth == 1 else options
    content = tiff(lies, extratags=[(274, "H", 1, orientation, True)], **options)
  else:
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[274] = orientation
    Image.fromarray(lies).save(buffer, "PNG", exif=exif)
    content = buffer.getvalue()
  found = decoded(content, channels=depth, bits=8 if depth == 4 else 16)
  turned = {
    **{1: pixels_of, 2: pixels_of[:, ::-1], 3: pixels_of[::-1, ::-1], 4: pixels_of[::-1]},
    **{5: pixels_of.swapaxes(0, 1), 6: np.rot90(pixels_of, -1), 8: np.rot90(pixels_of)},
    7: pixels_of[::-1, ::-1].swapaxes(0, 1),
  }
  np.testing.assert_array_equal(found, turned[orientation])


def test_without_tifffile_the_extra_is_named(monkeypatch):
  content = tiff(np.zeros((6, 8, 5), np.uint16), photometric="minisblack", planarconfig="contig")
  monkeypatch.setitem(sys.modules, "tifffile", None)
  with pytest.raises(errors.UserError, match=r"the package tifffile; .*\[scans\]"):
    decoded(content, channels=5)


@pytest.mark.parametrize("count", [1, 3])
def test_arrays_are_read_where_no_option_is_set(count):
  values = np.random.default_rng(0).integers(0, 256, (6, 8, count), np.uint8)
  found = images.decode(encoded(values, "npy"))
  np.testing.assert_array_equal(found, np.broadcast_to(values, (6, 8, 3)))


@pytest.mark.parametrize("kind", ["npy", "tiff"])
def test_a_set_of_five_channels_is_answered_with_that_number_alone(kind, tmp_path):
  five = np.zeros((4, 4, 5), np.uint8)
  planes = tiff(five, photometric="minisblack", planarconfig="contig")
  (tmp_path / f"0.{kind}").write_bytes(encoded(five, "npy") if kind == "npy" else planes)
  source = data.build("folder", split="train", path=str(tmp_path), npy=True)
  with pytest.raises(errors.UserError, match="is 3; if all .*set --config.data.channels=5$"):
    store.Store(source, cache="memory", host_size_px=4)


def test_another_number_of_channels_is_named():
  with pytest.raises(data.Unreadable, match="is 3; if all have so many set .*channels=5$"):
    decoded(encoded(np.zeros((4, 4, 5), np.uint8), "npy"), bits=16)
  with pytest.raises(data.Unreadable, match="of values of type float32 no range is known"):
    decoded(encoded(np.zeros((4, 4), np.float32), "npy"), channels=1)


@pytest.mark.parametrize(
  "content",
  [
    b"\x93NUMPY",
    encoded(np.zeros((4, 4), np.uint8), "npy")[:-1],
    encoded(np.zeros((4, 4), np.complex64), "npy"),
    encoded(np.zeros(4, np.uint8), "npy"),
    encoded(np.zeros((0, 4), np.uint8), "npy"),
    encoded(SCAN)[:60],
    b"II*\0" + bytes(40),
    b"text",
  ],
)
def test_damaged_files_are_unreadable(content):
  with pytest.raises(data.Unreadable, match="^x: "):
    decoded(content, channels=1, bits=16)


def test_large_arrays_are_refused_before_they_are_read():
  with pytest.raises(data.Unreadable, match="megapixels are above max_megapixels 1"):
    images.decode(encoded(np.zeros((1001, 1000), np.uint8), "npy"), "x", 1, None, pixels.Form(1))


@pytest.mark.parametrize(("bits", "most"), [(8, 255), (16, 65535)])
def test_shrinking_other_pixels_is_near_to_shrinking_8_bit_colour(bits, most):
  rng = np.random.default_rng(0)
  smooth = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize((60, 40))
  rgb = np.asarray(smooth)
  wanted = images.shrunk(rgb, 20)
  five = np.concatenate([rgb, rgb[..., :2]], -1)
  found = decoded(encoded(five, "npy"), 20, channels=5, bits=bits)
  assert found.shape == (*wanted.shape[:2], 5)
  assert abs(found[..., :3] / most - wanted / 255).max() <= 1.1 / 255  # each rounds by itself


def source_of(tmp_path, arrays, kind="png"):
  for i, array in enumerate(arrays):
    path = tmp_path / f"{i:02d}.{kind}"
    path.write_bytes(encoded(array, "PNG" if kind == "png" else kind))
  return data.build("folder", split="train", path=str(tmp_path), npy=kind == "npy")


@pytest.mark.parametrize(
  ("arrays", "kind", "wanted"),
  [
    ([SCAN, SCAN // 9], "png", BITS_12),
    ([SCAN * 16], "png", (0.0, 65535.0)),
    ([SCAN // 37], "png", (0.0, 255.0)),
    ([SCAN / 3959], "npy", (0.0, 1.0)),
    ([SCAN / 2 - 7.0], "npy", (-7.0, 1972.5)),
    ([SCAN.astype(np.int16) - 100], "npy", (-100.0, 4095.0)),
    ([(SCAN // 20).astype(np.uint8)], "png", ()),
  ],
)
def test_a_range_that_is_not_named_is_taken_from_the_images_and_said(
  tmp_path, caplog, arrays, kind, wanted
):
  with caplog.at_level(logging.INFO):
    found = pixel_range.of(source_of(tmp_path, arrays, kind))
  assert found == wanted
  assert ("data.value_range names others" in caplog.text) == bool(wanted)


def test_images_of_8_bits_among_others_are_told(tmp_path, caplog):
  """No range is taken then: a run on such a set goes on as it began."""
  mixed = [(SCAN // 20).astype(np.uint8), SCAN, SCAN]
  assert pixel_range.of(source_of(tmp_path, mixed)) == ()
  assert "image 1 are uint16" in caplog.text and "set data.value_range" in caplog.text


def test_a_set_of_one_value_has_no_range(tmp_path):
  with pytest.raises(errors.UserError, match="all values of 1 image are 3.*data.value_range"):
    pixel_range.of(source_of(tmp_path, [np.full((4, 4), 3.0)], "npy"))


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_batches_have_the_form_that_was_asked_for(tmp_path, cache):
  source = source_of(tmp_path, [SCAN, SCAN // 2, SCAN // 3], "npy")
  options = {"channels": 1, "bits": 16, "value_range": BITS_12, "cache": cache}
  (batch,) = pipeline.eval_batches(source, batch_size=3, host_size_px=16, **options)
  assert batch["image"].shape == (3, 16, 16, 1) and batch["image"].dtype == np.uint16
  wanted = np.round(SCAN / 4095 * 65535)
  np.testing.assert_array_equal(batch["image"][0, :12, :9, 0], wanted)
  (plain,) = pipeline.eval_batches(source, batch_size=3, host_size_px=16, value_range=BITS_12)
  assert plain["image"].shape == (3, 16, 16, 3) and plain["image"].dtype == np.uint8


@pytest.mark.parametrize("name", [n for n in picture_sets.WRITERS])
def test_every_source_gives_other_forms(tmp_path, name):
  pytest.importorskip("pyarrow", reason="the extra parquet is not installed")

  def scans(rows):
    return [(n, encoded(SCAN // (i + 1)), label) for i, (n, _, label) in enumerate(rows)]

  given, options = picture_sets.write(name, tmp_path, scans)
  source = data.build(given, split="train", **options)
  assert pixel_range.of(source) == BITS_12
  form = pixels.Form(1, 16, BITS_12)
  found = data.formed(source, form)[0]["image"]
  np.testing.assert_array_equal(found[..., 0], np.round(SCAN / 4095 * 65535))


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_a_prepared_set_of_16_bits_keeps_them_whatever_it_says_of_itself(
  tmp_path, monkeypatch, kind
):
  """TFDS itself gives the lower byte where a feature is uint8 (findings/)."""
  pytest.importorskip("tensorflow_datasets", reason="the extra tfds is not installed")
  prepared_sets = pytest.importorskip("prepared_sets")
  scans = np.random.default_rng(0).integers(0, 4096, (8, 6, 6), np.uint16)
  sets = {"train": (scans, np.arange(8) % 3), "test": (scans[:4], np.arange(4) % 3)}
  features = prepared_sets._features()
  image = features["featuresDict"]["features"]["image"]["image"]
  image |= {"dtype": kind, "shape": {"dimensions": ["6", "6", "1"]}}
  monkeypatch.setattr(prepared_sets, "pictures", lambda: sets)
  monkeypatch.setattr(prepared_sets, "_features", lambda: features)
  prepared_sets.write(tmp_path)
  source = data.build("tfds", split="train", name="tiny", path=str(tmp_path))
  assert pixel_range.of(source) == BITS_12
  found = data.formed(source, pixels.Form(1, 16, BITS_12))[3]["image"]
  np.testing.assert_array_equal(found[..., 0], np.round(scans[3] / 4095 * 65535))


def test_arrays_of_npz_have_any_channels(tmp_path):
  five = np.random.default_rng(0).uniform(0, 1, (4, 6, 6, 5))
  np.savez(tmp_path / "set.npz", images=five)
  source = data.build("npz", split="train", path=str(tmp_path / "set.npz"))
  assert pixel_range.of(source) == (0.0, 1.0)
  options = {"channels": 5, "bits": 16, "value_range": (0.0, 1.0)}
  (batch,) = pipeline.eval_batches(source, batch_size=4, **options)
  np.testing.assert_allclose(batch["image"], five * 65535, atol=0.51)  # rounded, of float32
  with pytest.raises(errors.UserError, match="data.channels is 3; set --config.data.channels=5"):
    list(pipeline.eval_batches(source, batch_size=4))


def five_channels(root, count=20):
  options = {"photometric": "minisblack", "planarconfig": "contig"}
  for i in range(count):
    (root / f"{i:02}.tif").write_bytes(tiff(np.full((6, 6, 5), i, np.uint8), **options))
  return data.build("folder", split="train", path=str(root))


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_images_of_other_channels_are_told_once_and_at_once(cache, tmp_path, caplog):
  """Each was replaced by the next one, with a line: ten of them came before the error."""
  source = five_channels(tmp_path)
  (tmp_path / "00.tif").write_bytes(b"damaged")
  one_line = (
    "19 images of 20 were looked at, and none is as the options say, the first: .*01.tif: it has 5 "
    "channels, and data.channels is 3; if all have so many set --config.data.channels=5$"
  )
  unreadable = tmp_path / "unreadable.txt"
  with pytest.raises(errors.UserError, match=one_line):
    list(pipeline.eval_batches(source, batch_size=4, list_unreadable=str(unreadable), cache=cache))
  assert not caplog.records and not unreadable.exists()
  options = {"channels": 5, "cache": cache}
  assert len(list(pipeline.eval_batches(source, batch_size=4, **options))) == 5
  with pytest.raises(errors.UserError, match=one_line):
    preparing.prepare(source, "train", tmp_path / "out", preparing.Kept())
  assert not (tmp_path / "out").exists()


def test_some_images_of_other_channels_are_replaced(tmp_path, caplog):
  source = five_channels(tmp_path)
  Image.new("RGB", (6, 6)).save(tmp_path / "18.tif")
  (batch,) = pipeline.eval_batches(source, batch_size=20)
  assert batch["replaced"].sum() == 19 and "more than 10 images are unreadable" in caplog.text


def test_images_of_two_kinds_that_alternate_are_not_refused(tmp_path):
  """At equal distances all that were looked at were of one kind."""
  five_channels(tmp_path, count=96)
  for i in range(1, 96, 2):
    Image.new("RGB", (6, 6)).save(tmp_path / f"{i:02}.tif")
  source = data.build("folder", split="train", path=str(tmp_path))
  (batch,) = pipeline.eval_batches(source, batch_size=96)
  assert batch["replaced"].sum() == 48


@pytest.mark.parametrize("channels, bits", [(5, 8), (3, 16), (1, 8)])
def test_what_takes_rgb_alone_names_the_pixels_that_the_run_has(channels, bits):
  of_run = config.pretrain()
  of_run.data.channels, of_run.data.bits = channels, bits
  with pytest.raises(errors.UserError, match=f"an export .* {channels} and data.bits {bits}; "):
    export.check_network(of_run, "own")
  export.check_network(config.pretrain(), "own")


@pytest.mark.parametrize("form", [pixels.Form(), pixels.Form(1), pixels.Form(5, 16)], ids=str)
def test_what_is_no_image_is_said_in_the_same_words_for_every_form(form):
  with pytest.raises(data.Unreadable) as refused:
    images.decode(b"no image", "a.png", 64, None, form)
  assert str(refused.value) == "a.png: it is no image of a format that is read"


def test_arrays_with_their_channels_first_are_turned_where_so_many_are_asked_for():
  """They were refused with the width as the number of channels to set."""
  for channels in (1, 3, 5):
    array = np.random.default_rng(0).integers(0, 256, (7, 9, channels), np.uint8)
    found = decoded(encoded(array.transpose(2, 0, 1), "npy"), channels=channels)
    np.testing.assert_array_equal(found, array)
  same = np.random.default_rng(0).integers(0, 256, (5, 7, 5), np.uint8)  # as it is written
  np.testing.assert_array_equal(decoded(encoded(same, "npy"), channels=5), same)


def test_of_images_without_any_number_no_range_is_taken(tmp_path):
  np.save(tmp_path / "0.npy", np.full((4, 4), np.nan, np.float32))
  source = data.build("folder", split="train", path=str(tmp_path), npy=True)
  with pytest.raises(errors.UserError, match="no value of 1 image is a number, so that no range"):
    pixel_range.of(source)
