"""Counts in words, as people write them."""

import pytest

from contrastive_jax import plural


@pytest.mark.parametrize(
  ("asked", "wanted"),
  [
    ((0, "image"), "0 images"),
    ((1, "image"), "1 image"),
    ((1234, "image"), "1,234 images"),
    ((1, "class", "classes"), "1 class"),
    ((2, "class", "classes"), "2 classes"),
    ((1, "of 9 files is", "of 9 files are"), "1 of 9 files is"),
  ],
)
def test_one_is_no_plural(asked, wanted):
  assert plural.of(*asked) == wanted


@pytest.mark.parametrize(
  ("count", "wanted"),
  [
    (0, "0 bytes"),
    (999, "999 bytes"),
    (1000, "1.0 kB"),
    (51_200, "51.2 kB"),
    (3_000_000, "3.0 MB"),
    (5_200_000_000_000, "5,200.0 GB"),
  ],
)
def test_bytes_are_never_rounded_to_none(count, wanted):
  assert plural.of_bytes(count) == wanted
