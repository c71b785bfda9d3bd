"""A first batch of equal images is told, one that merely looks like it is not."""

import types

import numpy as np
import pytest

from contrastive_jax.training import first_batch, loop


def batch(images, index=None):
  n = len(images)
  extent = np.full((n, 2), images.shape[1])
  return {"image": images, "extent": extent, "index": np.arange(n) if index is None else index}


@pytest.mark.parametrize("seen", ["black", "of one colour", "the same picture"])
def test_equal_images_are_told_once(seen, caplog):
  image = np.zeros((4, 4, 3), np.uint8) + (0 if seen == "black" else 7)
  image[0, 0] = 9 if seen == "the same picture" else image[0, 0]
  first_batch.warn_if_all_equal(batch(np.stack([image] * 8)))
  assert caplog.text.count(f"all 8 images of the first batch are {seen}") == 1


def test_other_batches_are_not(caplog):
  images = np.zeros((8, 4, 4, 3), np.uint8)
  other = images.copy()
  other[5, 3, 3, 2] = 1
  for quiet in (batch(other), batch(images[:4]), batch(images, np.arange(8) // 2)):
    first_batch.warn_if_all_equal(quiet)
  assert not caplog.text


def test_the_loop_looks_at_the_first_batch_of_a_start_alone(caplog):
  black = batch(np.zeros((8, 4, 4, 3), np.uint8))
  idle = types.SimpleNamespace(doing=lambda phase: None)
  watched = types.SimpleNamespace(watchdog=idle, spent=idle)
  assert list(loop.Loop._loaded(watched, [black] * 3, step=7)) == [black] * 3
  assert caplog.text.count("are black") == 1
