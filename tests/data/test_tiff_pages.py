"""TIFFs of several pages: all are read, or a line says that the first alone is."""

import re

import numpy as np
import pytest
from tiffs import decoded, tiff

from contrastive_jax import data, errors
from contrastive_jax.data import pixels, store, subset

ARRAY = np.random.default_rng(0).integers(0, 65536, (24, 24, 5), np.uint16)
IN_PAGES = ARRAY.transpose(2, 0, 1).copy()
WHOLE = {"bits": 16, "value_range": (0.0, 65535.0)}
DESCRIPTIONS = [{}, {"metadata": None}, {"imagej": True}, {"metadata": {"axes": "YXC"}}]


def written(folder, array, count=3, **options):
  for number in range(count):
    (folder / f"{number}.tif").write_bytes(tiff(array, **options))
  return data.build("folder", split="train", path=str(folder))


@pytest.mark.parametrize("options", DESCRIPTIONS)
def test_an_array_that_was_written_a_row_a_page_is_read_as_it_was(options):
  """As tifffile writes one whose last axis is that of channels, unless it is told so."""
  content = tiff(ARRAY, **options)
  np.testing.assert_array_equal(decoded(content, channels=5, **WHOLE), ARRAY)
  if "axes" not in str(options):  # a page a channel may be meant
    np.testing.assert_array_equal(decoded(content, channels=24, **WHOLE)[..., 7], ARRAY[7])
  two = tiff(ARRAY[..., :2], **options)
  np.testing.assert_array_equal(decoded(two, channels=2, **WHOLE), ARRAY[..., :2])


@pytest.mark.parametrize(
  ("array", "advice"),
  [
    (ARRAY, r"24 pages of 5 x 24 pixels, .* an array \[24, 24, 5\] of 5 channels .*channels=5, or"),
    (IN_PAGES, "5 pages of 24 x 24 pixels, .*: if each is a channel set .*channels=5$"),
    (np.zeros((65, 70, 66), np.uint16), "65 pages of 66 x 70 .*: save what else is an image as a"),
    (np.zeros((6, 24, 24, 3), np.uint8), "6 pages of 24 x 24 .*: save what else is an image as a"),
  ],
)
@pytest.mark.parametrize("bits", [8, 16])
def test_pages_that_are_left_out_are_told_once_for_all_parts_of_a_set(
  array, advice, bits, tmp_path, caplog
):
  """Of 24 pages the first was read, as grey of 5 x 24, without a word."""
  rgb = {"photometric": "rgb"} if array.ndim == 4 else {}
  source = written(tmp_path, array, **rgb)
  form = {"bits": bits, "value_range": (0.0, 65535.0) if bits == 16 else ()}
  for part in (source, subset.Subset(source, np.array([0])), subset.Subset(source, np.array([1]))):
    store.Store(part, host_size_px=8, cache="none", **form)
  (line,) = (r.getMessage() for r in caplog.records)
  assert re.search(f".tif holds {advice}", line), line
  assert "the first alone is read" in line


def test_three_pages_are_channels_where_16_bits_are_asked_for_as_the_line_says(tmp_path, caplog):
  source = written(tmp_path, IN_PAGES[:3], photometric="minisblack")
  store.Store(source, host_size_px=8, cache="none")
  assert caplog.text.endswith("set --config.data.channels=3 --config.data.bits=16\n")
  content = (tmp_path / "0.tif").read_bytes()
  np.testing.assert_array_equal(decoded(content, channels=3, **WHOLE), ARRAY[..., :3])


def test_pages_that_are_read_and_smaller_forms_of_the_first_are_not_told(tmp_path, caplog):
  tifffile = pytest.importorskip("tifffile", reason="the extra scans is not installed")
  for number, channels in enumerate((24, 5)):
    (tmp_path / str(number)).mkdir()
    source = written(tmp_path / str(number), ARRAY)
    store.Store(source, host_size_px=8, cache="none", channels=channels, **WHOLE)
  (tmp_path / "pyramid").mkdir()
  with tifffile.TiffWriter(tmp_path / "pyramid" / "0.tif") as file:
    for side in (24, 12):
      file.write(np.zeros((side, side, 3), np.uint8), photometric="rgb", subfiletype=side == 12)
  source = data.build("folder", split="train", path=str(tmp_path / "pyramid"))
  store.Store(source, host_size_px=8, cache="none")
  assert not caplog.records


def test_pages_of_another_number_than_channels_are_refused_with_their_number(tmp_path):
  """It was told that the image has one channel."""
  source = written(tmp_path, IN_PAGES)
  with pytest.raises(errors.UserError, match="5 pages of 24 x 24 .* is 7; .*channels=5$"):
    store.Store(source, host_size_px=8, channels=7, **WHOLE)
  assert data.formed(source, pixels.NATIVE)[0]["image"].shape == (24, 24, 5)
