"""What is told of a changed batch size is what the order of the images makes of it."""

import itertools
import re

import pytest

from contrastive_jax.data import pipeline
from contrastive_jax.training import changed_batch

IMAGES, EPOCHS = 26, 40


def trained_on(steps, batch_size):
  """(epoch, image) of each batch of these steps; every epoch has an order of its own."""
  per_epoch = pipeline.steps_per_epoch(IMAGES, batch_size)
  for step in steps:
    asked = {"num_images": IMAGES, "batch_size": batch_size, "seed": 0}
    for image in pipeline.positions(step, **asked):
      yield step // per_epoch, int(image)


@pytest.mark.parametrize("before, now", list(itertools.permutations((4, 5, 8, 13, 26), 2)))
def test_the_count_is_that_of_the_images_which_come_again_or_never(before, now):
  for step in range(1, 3 * pipeline.steps_per_epoch(IMAGES, before)):
    done = set(trained_on(range(step), before))
    last = EPOCHS * pipeline.steps_per_epoch(IMAGES, now)
    to_come = set(trained_on(range(step, last), now))
    of_either = set(trained_on(range(last), now)) | done
    epoch = step // pipeline.steps_per_epoch(IMAGES, before)
    again = len(done & to_come)
    never = sum(e >= epoch for e, _ in of_either - done - to_come)
    line = changed_batch.said(step, IMAGES, before, now)
    count, what = re.fullmatch(r".*: ([\d,]+) images? (?:is|are) (.*)", line).groups()
    assert (int(count), what) in ((again, "trained on again"), (never, "left out"))


def test_both_places_are_named():
  line = changed_batch.said(6, 64, 16, 32)
  assert line == (
    "step 6 was image 32 of epoch 1 in batches of 16, and is image 0 of epoch 3 in batches of 32: "
    "96 images are left out"
  )
