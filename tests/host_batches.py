"""Host batches of a source made of arrays, and their comparison."""

import numpy as np

from contrastive_jax import data
from contrastive_jax.data import pipeline

FIELDS = {"image", "extent", "label", "index", "mask", "replaced"}


class Sizes:
  """n images of many sizes, some of them damaged; counts how often it is read."""

  num_classes, label_names, factors, native_size_px = 5, (), {}, None

  def __init__(self, n, damaged=(), sizes=((6, 8), (8, 5), (4, 4))):
    self.n, self.damaged, self.sizes = n, set(damaged), sizes
    self.reads = self.failures = 0

  def __len__(self):
    return self.n

  def __getitem__(self, index):
    self.reads += 1
    if index in self.damaged:
      self.failures += 1
      raise data.Unreadable(f"image {index} is damaged")
    height, width = self.sizes[index % len(self.sizes)]
    pixels = np.random.default_rng(index).integers(1, 256, (height, width, 3), np.uint8)
    return {"image": pixels, "label": index % 5, "index": index}


def train(source, **options):
  return list(
    pipeline.train_batches(source, **{"batch_size": 8, "seed": 1, "host_size_px": 8} | options)
  )


def evaluate(source, **options):
  return list(pipeline.eval_batches(source, **{"batch_size": 8, "host_size_px": 8} | options))


def assert_same(batches, others):
  assert len(batches) == len(others) > 0
  for batch, other in zip(batches, others, strict=True):
    assert batch.keys() == other.keys() == FIELDS
    for key in FIELDS:
      assert batch[key].dtype == other[key].dtype
      np.testing.assert_array_equal(batch[key], other[key], err_msg=key)
