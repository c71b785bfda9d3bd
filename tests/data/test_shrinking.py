"""What shrinks images: both libraries give nearly the same pixels, and threads share nothing."""

import concurrent.futures
import sys
import tracemalloc
import types

import numpy as np
import pytest
from PIL import Image

from contrastive_jax.data import jpeg, shrinking

quick = pytest.mark.skipif(
  not shrinking.is_quick(), reason="cykooz.resizer has no wheel for this machine"
)


def _smooth(width, height, seed=0):
  """A picture in which neighbours are alike, as in a photograph."""
  few = np.random.default_rng(seed).integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
  return np.asarray(Image.fromarray(few).resize((width, height), Image.Resampling.BICUBIC))


def _noise(width, height, seed=0):
  return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


CASES = [  # width and height, then wanted, and which part
  ((500, 375), (256, 192), None),
  ((500, 375), (255, 191), (0, 0, 499.5, 374.625)),
  ((313, 235), (256, 192), (0, 0, 312.5, 234.375)),
  ((1600, 200), (32, 4), None),
  ((3000, 9), (256, 1), None),
  ((5, 900), (1, 256), None),
  ((64, 64), (63, 64), (3.25, 1, 60, 64)),
]


@quick
@pytest.mark.parametrize("make, mean, most", [(_smooth, 0.2, 2), (_noise, 0.4, 20)])
@pytest.mark.parametrize("whole, size, box", CASES)
def test_both_libraries_lay_the_same_filter_over_an_image(whole, size, box, make, mean, most):
  image = make(*whole)
  wanted = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, box))
  for given in (image, Image.fromarray(image), image[::-1][::-1], image.copy(order="F")):
    found = shrinking.shrink(given, size, box)
    assert found.shape == (size[1], size[0], 3) and found.dtype == np.uint8
    apart = np.abs(found.astype(int) - wanted)
    assert apart.mean() <= mean and apart.max() <= most


@quick
@pytest.mark.parametrize("whole, size, box", CASES)
def test_floats_are_the_same_by_both_libraries(whole, size, box):
  image = 256 * _noise(*whole)[..., 0].astype(np.float32) - 3000
  wanted = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, box))
  found = shrinking.shrink(image, size, box)
  assert found.dtype == np.float32
  np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=0.02)


def test_without_the_extra_it_is_pillow_with_the_filter_that_was_asked_for(monkeypatch):
  monkeypatch.setattr(shrinking, "_cykooz", lambda: None)
  image, box = Image.fromarray(_noise(50, 40)), (1.5, 0, 49, 40)
  for resampling in (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR):
    wanted = np.asarray(image.resize((20, 16), resampling, box))
    for given in (image, np.asarray(image)):
      np.testing.assert_array_equal(shrinking.shrink(given, (20, 16), box, resampling), wanted)


@quick
def test_threads_shrink_at_the_same_time():
  pictures = [_noise(300 + 7 * i, 200 + 11 * i, i) for i in range(64)]
  wanted = [shrinking.shrink(picture, (100, 70)) for picture in pictures]
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    found = list(pool.map(lambda picture: shrinking.shrink(picture, (100, 70)), pictures * 4))
  for one, other in zip(found, wanted * 4, strict=True):
    np.testing.assert_array_equal(one, other)


@quick
def test_an_image_of_pillows_is_shrunk_without_a_copy_of_its_pixels():
  large = Image.new("RGB", (2000, 1000), "red")
  shrinking.shrink(large, (20, 10))
  tracemalloc.start()
  try:
    shrinking.shrink(large, (20, 10))
    peak = tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()
  assert peak < 2**18, "its pixels are 6 MB"


@pytest.mark.parametrize(
  "package, found", [("cykooz_resizer", shrinking._cykooz), ("simplejpeg", jpeg._simplejpeg)]
)
def test_a_package_that_another_thread_failed_to_import_is_none(package, found, monkeypatch):
  """Threads that wait for an import that fails get its module, of which nothing is there."""
  monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
  assert found.__wrapped__() is None
