"""Each process has its own rows of the features, and scores are those of one process with all."""

import json

import features_of_two
import jax
import members
import numpy as np
import pytest
from conftest import REPOSITORY

from contrastive_jax import parallel
from contrastive_jax.evaluation import own_rows

TWO = parallel.make_mesh(jax.devices()[:2])

_PROCESS = """
import json
sys.path.insert(0, sys.argv[4])
import features_of_two
from contrastive_jax import errors, parallel
from contrastive_jax.evaluation import features
mesh = parallel.make_mesh()
out = features_of_two.said(mesh)
found, known = features_of_two.extracted(mesh)
out["held"] = [len(found.layers["pixels"]), len(known.layers["pixels"]), len(known.label)]
broken = found.rows("pixels")
broken.own[-1] = float("nan")
try:
  features.check_finite(broken, "features")
except errors.UserError as error:
  out["refused"] = str(error)
open(sys.argv[3] + sys.argv[2], "w").write(json.dumps(out))
"""


@pytest.mark.slow
@pytest.mark.thorough
def test_two_processes_hold_half_each_and_score_as_one(tmp_path):
  members.two(_PROCESS, str(tmp_path / "process"), str(REPOSITORY / "tests" / "evaluation"))
  one, two = (json.loads((tmp_path / f"process{i}").read_text()) for i in range(2))
  held = one.pop("held"), two.pop("held")
  assert one == two
  assert [a + b for a, b in zip(*held, strict=True)] == [90, 72, 144]
  assert abs(held[0][0] - held[1][0]) <= 14, "a part of each batch"
  assert one.pop("refused").startswith("features: 2 of 90 rows are not finite, number 8")

  alone = json.loads(json.dumps(features_of_two.said(parallel.make_mesh(jax.devices()[:4]))))
  for key in ("sum", "few", "kernel"):  # float32 sums in another order
    np.testing.assert_allclose(one.pop(key), alone.pop(key), rtol=1e-4, atol=1e-4)
  assert one == alone


def test_slots_keep_the_order_of_each_process_and_leave_no_row_out():
  owner = np.random.default_rng(0).integers(0, 3, (17, 4))
  slot, most = own_rows._slots(owner, 3)
  for column in range(4):
    mine = slot[:, column]
    assert len(set(mine)) == 17
    np.testing.assert_array_equal(mine // most, owner[:, column])
    for process in range(3):
      here = mine[owner[:, column] == process]
      np.testing.assert_array_equal(here, process * most + np.arange(len(here)))
  assert most == max(np.bincount(owner[:, c]).max() for c in range(4))


@pytest.mark.parametrize(
  "positions", [range(3, 10), np.array([4, 1, 8]), np.arange(6).reshape(3, 2)]
)
def test_rows_are_put_where_their_slots_say_and_filled_up(positions):
  x = np.arange(22, dtype=np.float32).reshape(11, 2)
  put = own_rows.OwnRows(x).put(positions, TWO, ((np.arange(11), -1),), lambda rows: rows + 1, 2, 4)
  rows, number = (parallel.local_rows(a) for a in (put.rows, *put.columns))
  assert len(rows) == 8 and rows.shape[1:] == (*np.shape(positions)[1:], 2)
  at = np.asarray(positions)
  where = (put.slot, *np.indices(at.shape)[1:])
  np.testing.assert_array_equal(rows[where], x[at] + 1)
  np.testing.assert_array_equal(number[where], at)
  assert (number == -1).sum() == number.size - at.size


def test_moments_of_some_rows_are_those_of_a_copy():
  x = np.random.default_rng(0).normal(3, 2, (20_000, 3)).astype(np.float32)
  some = np.flatnonzero(np.arange(20_000) % 7 < 5)
  mean, std = own_rows.moments(own_rows.OwnRows(x), some)
  np.testing.assert_array_equal(mean, x[some].mean(axis=0, dtype=np.float64))
  np.testing.assert_array_equal(std, x[some].std(axis=0, dtype=np.float64))
