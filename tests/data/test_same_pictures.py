"""The same pictures give the same tensors, labels, order and stand-ins from whatever files."""

import copy
import pickle

import numpy as np
import picture_sets
import pytest

from contrastive_jax import data, errors
from contrastive_jax.data import identity, pipeline, subset

OTHERS = [name for name in picture_sets.WRITERS if name != "folder"]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
  """{name: (source, options)}, written once."""
  pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
  root = tmp_path_factory.mktemp("sets")
  return {name: picture_sets.write(name, root / name) for name in picture_sets.WRITERS}


def opened(given, split="train"):
  source, options = given
  return data.build(source, split=split, **options)


def batches(source, **options):
  options = {"batch_size": 4, "seed": 1, "total_steps": 7, "cache": "none"} | options
  return list(pipeline.train_batches(source, host_size_px=8, **options))


def assert_same(found, wanted):
  for batch, other in zip(found, wanted, strict=True):
    for key in other:
      np.testing.assert_array_equal(batch[key], other[key], err_msg=key)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("split", picture_sets.SIZES)
def test_tensors_labels_and_order_are_those_of_a_folder(sets, name, split):
  folder, other = opened(sets["folder"], split), opened(sets[name], split)
  assert (len(other), other.num_classes) == (len(folder), 3)
  assert other.label_names == picture_sets.CLASSES
  np.testing.assert_array_equal(other.labels, folder.labels)
  assert_same(batches(other), batches(folder))
  near = other.within(4) if hasattr(other, "within") else other
  assert max(near[0]["image"].shape) <= 4


@pytest.mark.parametrize("name", OTHERS)
def test_a_run_goes_on_with_the_batches_it_would_have_had(sets, name):
  source = opened(sets[name])
  assert_same(batches(opened(sets[name]), start_step=4), batches(source)[4:])


@pytest.mark.parametrize("name", OTHERS)
def test_a_copy_in_another_process_reads_the_same(sets, name):
  source = opened(sets[name])
  source[3]  # files are open
  other = pickle.loads(pickle.dumps(source))
  for i in range(len(source)):
    np.testing.assert_array_equal(other[i]["image"], source[i]["image"])


@pytest.mark.parametrize("name", ["parquet", "arrayrecord"])
def test_worker_processes_make_the_same_batches(sets, name):
  wanted = batches(opened(sets["folder"]), total_steps=2)
  assert_same(batches(opened(sets[name]), total_steps=2, num_workers=1), wanted)


@pytest.mark.parametrize("name", OTHERS)
def test_an_unreadable_picture_has_the_stand_in_that_it_has_in_a_folder(tmp_path, name):
  pytest.importorskip("pyarrow", reason="the extra parquet is not installed")

  def damaged(rows):
    rows = copy.copy(rows)
    rows[2] = (rows[2][0], rows[2][1][: len(rows[2][1]) // 2], rows[2][2])
    return rows

  folder, other = (picture_sets.write(n, tmp_path / n, damaged) for n in ("folder", name))
  wanted = batches(opened(folder), list_unreadable=str(tmp_path / "a.txt"))
  found = batches(opened(other), list_unreadable=str(tmp_path / "b.txt"))
  assert sum(batch["replaced"].sum() for batch in wanted)
  assert_same(found, wanted)
  (line,) = (tmp_path / "b.txt").read_text().splitlines()
  assert line.startswith(("the member at byte ", "row 2 of ", "record 2 of ")), line


@pytest.mark.parametrize("name", OTHERS)
def test_a_set_that_changed_is_another_set(tmp_path, sets, name):
  pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
  same = picture_sets.write(name, tmp_path / "same")
  others = picture_sets.write(name, tmp_path / "other", lambda rows: rows[::-1])
  told = [identity.of(opened(given))["content"] for given in (sets[name], same, others)]
  assert told[0] == told[1] != told[2]


@pytest.mark.parametrize("name", OTHERS)
def test_splits_share_no_picture_and_a_split_all_with_itself(sets, name):
  train, test = (opened(sets[name], split) for split in picture_sets.SIZES)
  assert train.in_common(test) == 0
  assert train.in_common(opened(sets[name])) == len(train)
  kept, held_out = subset.hold_out(train, 3)
  assert sorted(held_out[i]["label"] for i in range(3)) == [0, 1, 2]
  assert len(kept) == 9


@pytest.mark.parametrize("name", OTHERS)
def test_a_split_that_there_is_not_is_told_in_a_line(sets, name):
  with pytest.raises(errors.UserError) as error:
    opened(sets[name], "validation")
  assert "\n" not in str(error.value) and "validation" in str(error.value)


def test_coarser_classes_of_a_table_are_factors(sets):
  source = opened(sets["parquet"])
  np.testing.assert_array_equal(source.factors["coarse"], source.labels % 2)
