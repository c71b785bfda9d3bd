"""TIFFs whose least number is white are the pictures that they show."""

import numpy as np
import pytest
from tiffs import decoded, tiff

from contrastive_jax import data
from contrastive_jax.data import images


def whites(kind):
  """A picture as numbers of which the least is white, and as the usual ones."""
  if kind[0] == "f":
    return 1 - np.linspace(0, 1, 12 * 9, dtype=kind).reshape(12, 9), (0.0, 1.0)
  least, most = np.iinfo(kind).min, np.iinfo(kind).max
  return ~np.linspace(least, most, 12 * 9).reshape(12, 9).astype(kind), (float(least), float(most))


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("kind", ["?", "u1", "i1", "u2", "i2", "u4", "f4"])
def test_a_tiff_whose_zero_is_white_is_the_picture_that_it_shows(kind, byteorder, bigtiff):
  """Pillow 13 turns 1 and 8 bits round, and neither it nor tifffile more."""
  options = {"byteorder": byteorder, "bigtiff": bigtiff}
  if kind == "?":
    stored, ends = np.arange(12 * 9).reshape(12, 9) % 5 == 0, ()
    usual = ~stored
  else:
    stored, ends = whites(kind)
    usual = 1 - stored if kind[0] == "f" else ~stored
  white = tiff(stored, photometric="miniswhite", **options)
  black = tiff(usual, photometric="minisblack", **options)
  form = {"channels": 1, "bits": 16, "value_range": ends}
  found, wanted = (decoded(content, **form).astype(int) for content in (white, black))
  assert wanted.min() == 0 and wanted.max() == 65535
  assert abs(found - wanted).max() <= (1 if kind[0] == "f" else 0)
  if kind in ("?", "u1", "u2"):
    np.testing.assert_array_equal(decoded(white), decoded(black))
    assert decoded(black).std() > 50


def test_pages_and_shades_beside_others_are_turned_round_where_zero_is_white():
  pages = np.random.default_rng(0).integers(0, 65536, (2, 12, 9), np.uint16)
  form = {"channels": 2, "bits": 16, "value_range": (0.0, 65535.0)}
  found = decoded(tiff(pages, photometric="miniswhite"), **form)
  np.testing.assert_array_equal(found, ~pages.transpose(1, 2, 0))
  with_alpha = tiff(
    pages.transpose(1, 2, 0), photometric="miniswhite", planarconfig="contig", extrasamples=[2]
  )
  found = decoded(with_alpha, **form)
  np.testing.assert_array_equal(found[..., 0], ~pages[0])
  np.testing.assert_array_equal(found[..., 1], pages[1])


def test_a_large_picture_whose_zero_is_white_is_turned_round_whole_and_shrunk():
  large = np.random.default_rng(0).integers(0, 65536, (1500, 1000), np.uint16)  # more than a strip
  white = tiff(~large, photometric="miniswhite")
  np.testing.assert_array_equal(decoded(white), decoded(tiff(large, photometric="minisblack")))
  small = images.decode(white, "x", 64, 100)
  assert abs(small.astype(int) - images.shrunk(decoded(white), 100)).max() <= 1


@pytest.mark.parametrize("at", [0, 4, 6, 8, 20, 60, 120])
def test_a_cut_tiff_whose_zero_is_white_is_unreadable(at):
  white = tiff(np.arange(12 * 9, dtype=np.uint16).reshape(12, 9) * 37, photometric="miniswhite")
  for content in (white[:at], white[:8] + b"\xff" * at):
    with pytest.raises(data.Unreadable, match="^x: "):
      decoded(content)
