"""Looks at the first batch of a start: images that are all equal are a broken source.

A loss stays at chance then, and looks like a fault of the method. A few equal images are no sign
(frames of a film, one image that stands in for several unreadable ones), so as many as `_LEAST`
different ones must be equal to the last pixel.
"""

import logging

import numpy as np

from contrastive_jax.data.pipeline import Batch

_LEAST = 8


def warn_if_all_equal(batch: Batch) -> None:
  """Warns, with what is seen, if all images of a batch are equal."""
  if seen := all_equal(batch):
    logging.getLogger(__name__).warning(
      "warning: all %d images of the first batch are %s: nothing can be learnt; look at the source "
      "(--config.log.views=True draws views.png)",
      len(batch["image"]),
      seen,
    )


def all_equal(batch: Batch) -> str:
  """Returns what is seen if the images are all the same, though of different files, else ""."""
  images, first = batch["image"], batch["image"][0]
  if len(np.unique(batch["index"])) < _LEAST or (batch["extent"] != batch["extent"][0]).any():
    return ""
  if not all(np.array_equal(image, first) for image in images):
    return ""
  height, width = batch["extent"][0]
  shown = first[:height, :width]
  if not shown.any():
    return "black"
  return "of one colour" if (shown == shown[0, 0]).all() else "the same picture"
