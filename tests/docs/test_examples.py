"""The README's example in Python runs as it stands and learns."""

import math

import pages
import pytest
from conftest import REPOSITORY

# benchmarks of the built-in images: docs/results/quickstart.md
RAW_PIXELS_KNN = 0.389
GUESSING = math.log(2 * 256 - 1)  # the loss of one who takes any of the other 511 views
# The loss of the last batch was 5.25 in one order of the images and 5.18 in another; who guesses
# has 6.24, an untrained network 6.63.
LEARNT = GUESSING - 0.5


@pytest.mark.slow
def test_the_example_of_the_readme_learns(level_of_runs, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (block,) = pages.blocks(REPOSITORY / "README.md", "python")
  names = {}
  exec(block, names)
  scores, history = names["scores"], names["result"].history
  assert scores["results"][0]["top1"] > RAW_PIXELS_KNN + 0.1
  assert [line["loss"] for line in history if "loss" in line][-1] < LEARNT
