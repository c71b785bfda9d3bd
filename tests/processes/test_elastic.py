"""A run goes on with other processes and devices than it began with, and sees the same images.

All pairs of topologies: benchmarks/elastic.py.
"""

import shutil

import damage
import elastic
import numpy as np
import pytest


@pytest.mark.slow
def test_a_run_of_one_device_goes_on_exactly_on_two_processes_of_two_devices(tmp_path):
  alone = elastic.run(tmp_path / "alone", 1, 1)
  begun, end = elastic.STEPS_AN_EPOCH, len(alone.index)
  shutil.copytree(tmp_path / "alone", tmp_path / "moved")
  shutil.rmtree(tmp_path / "moved" / "run" / "checkpoints" / str(end))
  (tmp_path / "moved" / "run" / "metrics.jsonl").unlink()  # no loss is read that was not computed
  moved = elastic.run(tmp_path / "moved", 2, 2)
  assert moved.restored == damage.digests(tmp_path / "alone" / "run", begun)
  np.testing.assert_array_equal(moved.index, alone.index[begun:])
  np.testing.assert_array_equal(moved.image, alone.image[begun:])
  # Of the same bytes and draws; XLA adds up a crop in another order for another batch size.
  np.testing.assert_allclose(moved.views, alone.views[begun:], atol=elastic.ROUNDING)
  assert list(moved.loss) == list(range(begun + 1, end + 1))
  for step in moved.loss:
    np.testing.assert_allclose(moved.loss[step], alone.loss[step], rtol=1e-5)
