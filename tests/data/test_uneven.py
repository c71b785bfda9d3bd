"""Any number of processes may evaluate: only a training batch must be what was asked for."""

import numpy as np
import pytest

from contrastive_jax import errors
from contrastive_jax.data import pipeline


class Images:
  """Black images that know their place."""

  num_classes, label_names, factors, native_size_px = 2, (), {}, 2

  def __init__(self, count):
    self._count = count

  def __len__(self):
    return self._count

  def __getitem__(self, index):
    return {"image": np.zeros((2, 2, 3), np.uint8), "label": index % 2, "index": index}


@pytest.mark.parametrize("batch_size, count", [(256, 3), (8, 3), (8, 6), (8, 12), (8, 1000)])
def test_every_image_is_seen_once_by_processes_that_do_not_divide_the_batch(batch_size, count):
  source = Images(301)
  parts = [
    list(pipeline.eval_batches(source, batch_size=batch_size, process_index=i, process_count=count))
    for i in range(count)
  ]
  assert len({len(part) for part in parts}) == 1, "or some would wait for others"
  assert {len(batch["label"]) for part in parts for batch in part} == {-(-batch_size // count)}
  index = [batch["index"][batch["mask"]] for step in zip(*parts, strict=True) for batch in step]
  assert np.concatenate(index).tolist() == list(range(301))


@pytest.mark.parametrize("batch_size, count", [(256, 3), (8, 12), (256, 1000)])
def test_a_batch_whose_parts_may_differ_is_divided_among_any_processes(batch_size, count):
  options = {"batch_size": batch_size, "seed": 0, "total_steps": 1}
  (whole,) = pipeline.train_batches(Images(301), **options)
  parts = [
    next(iter(pipeline.train_batches(Images(301), uneven=True, **options, **place)))
    for place in ({"process_index": i, "process_count": count} for i in range(count))
  ]
  assert np.array_equal(np.concatenate([part["index"] for part in parts]), whole["index"])
  assert max(len(part["index"]) for part in parts) == -(-batch_size // count)


def test_a_training_batch_is_not_rounded():
  with pytest.raises(errors.UserError, match="batch_size 256 .* 3 processes; use 255 or 258"):
    pipeline.train_batches(Images(301), batch_size=256, seed=0, process_index=0, process_count=3)
