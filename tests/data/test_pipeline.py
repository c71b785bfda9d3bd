"""Order and layout of host batches, on any number of processes and from any step."""

import gc
import threading
import time

import numpy as np
import pytest
from host_batches import FIELDS, Sizes, assert_same, evaluate, train

from contrastive_jax import errors
from contrastive_jax.data import pipeline, workers


def joined(parts):
  """Puts the processes' parts of every batch together."""
  return [{k: np.concatenate([p[k] for p in step]) for k in FIELDS} for step in zip(*parts)]  # noqa: B905


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("cache", ["memory", "none"])
def test_the_global_batch_is_the_same_on_any_number_of_processes(count, cache):
  source = Sizes(43)
  whole = train(source, total_steps=12, cache=cache)
  parts = [
    train(source, total_steps=12, cache=cache, process_index=i, process_count=count)
    for i in range(count)
  ]
  assert all(len(batch["label"]) == 8 // count for part in parts for batch in part)
  assert_same(joined(parts), whole)
  wholly = evaluate(source, cache=cache)
  parts = [
    evaluate(source, cache=cache, process_index=i, process_count=count) for i in range(count)
  ]
  assert {len(part) for part in parts} == {6}
  assert_same(joined(parts), wholly)


def test_types_and_shapes_are_those_of_the_contract():
  batch = train(Sizes(9), total_steps=1)[0]
  found = {key: (values.dtype.name, values.shape) for key, values in batch.items()}
  assert found == {
    "image": ("uint8", (8, 8, 8, 3)),
    "extent": ("int32", (8, 2)),
    "label": ("int32", (8,)),
    "index": ("int32", (8,)),
    "mask": ("bool", (8,)),
    "replaced": ("int32", (8,)),
  }
  assert batch["mask"].all()


def test_an_epoch_shows_no_image_twice_and_all_if_they_fill_its_batches():
  indices = np.stack([batch["index"] for batch in train(Sizes(40), total_steps=10)])
  for epoch in (indices[:5], indices[5:]):
    assert sorted(epoch.ravel()) == list(range(40))
  indices = np.stack([batch["index"] for batch in train(Sizes(43), total_steps=5)])
  assert len(set(indices.ravel())) == 40


def test_every_epoch_and_every_seed_has_its_own_order():
  orders = [
    pipeline.positions(step, num_images=64, batch_size=64, seed=seed).tolist()
    for seed in (0, 1)
    for step in (0, 1)
  ]
  assert len({tuple(order) for order in orders}) == 4


def test_the_order_is_uniform():
  # 2000 epochs of 8 images: each is first 250 times on average; sqrt(2000 / 8 * 7 / 8) = 14.8.
  first = [
    pipeline.positions(epoch, num_images=8, batch_size=8, seed=0)[0] for epoch in range(2000)
  ]
  assert abs(np.bincount(first, minlength=8) - 250).max() < 5 * 14.8


def test_the_order_does_not_depend_on_the_numpy_version():
  # Made once with NumPy 2.4.6; a run that is taken up under another version must see this order.
  order = pipeline.positions(7, num_images=10, batch_size=5, seed=3, name="sort")
  assert order.tolist() == [5, 1, 0, 8, 7]


@pytest.mark.parametrize("start", [1, 5, 7])
def test_a_run_taken_up_at_a_step_sees_what_the_undisturbed_run_sees(start):
  source = Sizes(43)
  undisturbed = train(source, total_steps=12, cache="none")
  assert_same(train(source, start_step=start, total_steps=12, cache="none"), undisturbed[start:])


def test_a_run_that_is_over_yields_nothing_and_one_without_end_goes_on():
  assert train(Sizes(9), start_step=4, total_steps=4) == []
  assert train(Sizes(9), start_step=6, total_steps=4) == []
  endless = iter(pipeline.train_batches(Sizes(9), batch_size=8, seed=0, host_size_px=8))
  assert len([next(endless) for _ in range(20)]) == 20
  endless.close()


def test_iterating_again_begins_again_and_dropped_iterators_leave_no_threads():
  batches = pipeline.train_batches(Sizes(20), batch_size=4, seed=0, host_size_px=8)
  before = threading.active_count()
  first = [next(iter(batches))["index"].tolist() for _ in range(3)]
  assert first[0] == first[1] == first[2]
  gc.collect()
  deadline = time.monotonic() + 60
  while threading.active_count() > before and time.monotonic() < deadline:
    time.sleep(0.01)
  assert threading.active_count() <= before


@pytest.mark.parametrize("n", [1, 7, 8, 9, 17])
@pytest.mark.parametrize("count", [1, 4])
def test_evaluation_shows_every_image_once_and_masks_the_padding(n, count):
  parts = [evaluate(Sizes(n), process_index=i, process_count=count) for i in range(count)]
  assert {len(part) for part in parts} == {-(-n // 8)}
  batches = joined(parts)
  mask = np.concatenate([batch["mask"] for batch in batches])
  index = np.concatenate([batch["index"] for batch in batches])
  assert index[mask].tolist() == list(range(n))
  assert not mask[n:].any()
  padding = {k: np.concatenate([batch[k] for batch in batches])[n:] for k in FIELDS}
  assert (padding["label"] == -1).all() and (padding["index"] == -1).all()
  assert not padding["image"].any() and (padding["extent"] == 8).all()


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"batch_size": 21}, "batch_size 21 exceeds the 20 images.*use 20 or less"),
    ({"batch_size": 0}, "batch_size 0 "),
    ({"batch_size": 10, "process_count": 4}, "batch_size 10 .* 4 processes; use 8 or 12"),
    ({"process_index": 2, "process_count": 2}, "process_index 2 is outside 0..1"),
    ({"cache": "disk"}, '"disk" is unknown; use auto, memory or none'),
    ({"num_threads": 0}, "num_threads 0"),
    ({"num_workers": -1}, "num_workers -1"),
    ({"host_size_px": 0}, "host_size_px 0"),
    ({"seed": -1}, "seed -1"),
  ],
)
def test_bad_values_are_refused_at_once(options, message):
  with pytest.raises(errors.UserError, match=message):
    pipeline.train_batches(Sizes(20), **{"batch_size": 8, "seed": 0} | options)


def test_this_process_names_the_arguments_of_the_pipeline():
  assert pipeline.this_process() == {"process_index": 0, "process_count": 1}


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [1, 3, 20])
def test_any_number_of_worker_processes_yields_the_same_batches(num_workers):
  source = Sizes(43, damaged={5})
  alone = train(source, total_steps=12, cache="none")
  assert_same(train(source, total_steps=12, cache="none", num_workers=num_workers), alone)
  alone = evaluate(source, cache="none")
  assert_same(evaluate(source, cache="none", num_workers=num_workers), alone)


@pytest.mark.parametrize("num_workers", [1, 4])
def test_two_steps_are_made_ahead_whatever_the_number_of_workers(num_workers, monkeypatch):
  made, memory = [], workers._memory
  monkeypatch.setattr(workers, "_memory", lambda size: made.append(size) or memory(size))
  options = {"batch_size": 8, "host_size_px": 8, "cache": "none", "num_workers": num_workers}
  batches = pipeline.train_batches(Sizes(43), seed=0, **options)
  iterator = iter(batches)
  for step in range(4):
    batch = next(iterator)
    assert len(made) == step + 3
  iterator.close()
  assert sum(values.nbytes for values in batch.values()) <= made[0]
  said = pipeline.train_batches(Sizes(43), seed=0, **options | {"host_size_px": 512}).describe()
  assert "take up to 18.9 MB" in said and "one of 8 images" in said  # 3 x 8 x 512 x 512 x 3 bytes
