"""Images on their canvas: their size, what stands in for unreadable ones, what is kept decoded."""

import gc
import weakref

import numpy as np
import pytest
from host_batches import Sizes, assert_same, evaluate, train
from PIL import Image

from contrastive_jax import errors, limits
from contrastive_jax.data import pixels, shrinking, store


def test_small_images_lie_unchanged_in_the_corner():
  source = Sizes(3)
  batch = evaluate(source, host_size_px=11)[0]
  for i in range(3):
    image = source[i]["image"]
    height, width = batch["extent"][i]
    assert (height, width) == image.shape[:2]
    np.testing.assert_array_equal(batch["image"][i, :height, :width], image)
    assert batch["image"][i].sum(dtype=int) == image.sum(dtype=int)  # the rest is 0


@pytest.mark.parametrize("shape", [(50, 20), (20, 50), (50, 50), (17, 16), (3, 400)])
def test_big_images_are_shrunk_to_the_canvas_in_their_own_aspect(shape, monkeypatch):
  monkeypatch.setattr(shrinking, "_cykooz", lambda: None)
  source = Sizes(1, sizes=[shape])
  batch = evaluate(source, host_size_px=16)[0]
  height, width = batch["extent"][0]
  assert max(height, width) == 16
  scale = 16 / max(shape)
  # Half a pixel of rounding; a side of less than half a pixel becomes one pixel.
  assert abs(height - shape[0] * scale) <= 0.5 or height == 1
  assert abs(width - shape[1] * scale) <= 0.5 or width == 1
  pixels = Image.fromarray(source[0]["image"]).resize((width, height), Image.Resampling.BICUBIC)
  np.testing.assert_array_equal(batch["image"][0, :height, :width], np.asarray(pixels))
  assert not batch["image"][0, height:].any() and not batch["image"][0, :, width:].any()


@pytest.mark.parametrize(
  "b, sizes", [(32, [8] * 4), (30, [6, 8, 8, 8]), (2, [1, 1]), (320, [64] * 5)]
)
def test_a_batch_is_cut_into_as_many_pieces_as_threads(b, sizes):
  class Recorded(Sizes):
    pieces = []

    def ahead(self, indices):
      self.pieces.append(indices)
      return self

  source = Recorded(b)
  evaluate(source, batch_size=b, host_size_px=4, cache="none", num_threads=4)
  assert sorted(map(len, source.pieces)) == sizes
  assert sorted(sum(source.pieces, [])) == list(range(b))


def test_an_unreadable_image_is_replaced_by_its_neighbour_and_shifts_nothing():
  damaged = {3, 4, 19}
  whole, broken = train(Sizes(20), total_steps=9), train(Sizes(20, damaged), total_steps=9)
  seen = 0
  for good, bad in zip(whole, broken, strict=True):
    hit = np.isin(good["index"], list(damaged))
    np.testing.assert_array_equal(bad["replaced"], hit)
    expected = [{3: 5, 4: 5, 19: 0}.get(i, i) for i in good["index"].tolist()]
    assert bad["index"].tolist() == expected
    assert bad["label"].tolist() == [i % 5 for i in expected]
    np.testing.assert_array_equal(bad["image"][~hit], good["image"][~hit])
    for row in np.flatnonzero(hit):
      pixels = Sizes(20)[expected[row]]["image"]
      height, width = bad["extent"][row]
      np.testing.assert_array_equal(bad["image"][row, :height, :width], pixels)
    seen += hit.sum()
  assert seen >= 6


def test_an_unreadable_image_is_read_and_logged_once(caplog):
  source = Sizes(16, damaged={2})
  train(source, total_steps=8, cache="none")
  evaluate(source, cache="none")
  assert len(caplog.messages) == 1 and "image 2 is damaged" in caplog.messages[0]
  assert source.failures <= 2  # two steps are under way at once; later ones know


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_a_set_of_unreadable_images_stops_the_run(cache):
  with pytest.raises(errors.UserError, match="101 images in a row .*limit 100.*repair"):
    train(Sizes(300, damaged=range(250)), total_steps=99, cache=cache)
  with pytest.raises(errors.UserError, match="none of the 8 images can be read"):
    train(Sizes(8, damaged=range(8)), total_steps=1, cache=cache)


def test_the_cache_changes_no_batch_and_is_filled_once():
  source = Sizes(43)
  kept = train(source, total_steps=12, cache="memory")
  assert source.reads == 43
  train(source, total_steps=12, cache="memory")
  evaluate(source, cache="auto")
  assert source.reads == 43
  assert_same(train(source, total_steps=12, cache="none"), kept)
  assert source.reads > 43


def test_a_set_that_no_memory_holds_is_refused_before_it_is_decoded(monkeypatch):
  monkeypatch.setattr(limits, "host_bytes", lambda: 1000)
  source = Sizes(43)
  with pytest.raises(errors.UserError, match="data.cache memory needs .*data.cache=none"):
    train(source, total_steps=1, cache="memory")
  assert source.reads == 0
  train(source, total_steps=1, cache="none")


def test_decoded_images_are_freed_with_their_source():
  source = Sizes(8)
  train(source, total_steps=1, cache="memory")
  kept = weakref.ref(store._known[source].decoded[8, pixels.RGB]["image"])
  assert kept() is not None
  del source
  gc.collect()
  assert kept() is None


def test_auto_keeps_small_sets_only(monkeypatch):
  needed = 10 * 8 * 8 * 3
  monkeypatch.setattr(store, "MEMORY_LIMIT_BYTES", needed)
  assert store.Store(Sizes(10), host_size_px=8).in_memory
  assert not store.Store(Sizes(11), host_size_px=8).in_memory
  assert store.Store(Sizes(11), host_size_px=8, cache="memory").in_memory
  assert not store.Store(Sizes(10), host_size_px=8, cache="none").in_memory


def test_the_canvas_has_the_size_of_the_images_if_they_have_one():
  source = Sizes(3)
  assert store.host_size(source, None) == 512
  assert store.host_size(source, 40) == 40
  source.native_size_px = 96
  assert store.host_size(source, None) == 96
