"""A run goes on with other processes and devices than it began with, and sees the same images."""

import elastic
import numpy as np
import pytest


@pytest.mark.slow
def test_a_run_goes_on_exactly_on_any_processes_and_devices(tmp_path):
  alone = elastic.run(tmp_path / "alone", 1, 1)
  seen, begun = 0, None
  for processes, devices in ((1, 4), (2, 2)):
    leave_after = seen + elastic.STEPS_AN_EPOCH
    part = elastic.run(tmp_path / "moved", processes, devices, leave_after=leave_after)
    assert begun is None or part.restored == begun, "the state is what the others saved"
    steps = slice(seen, leave_after)
    np.testing.assert_array_equal(part.index, alone.index[steps])
    np.testing.assert_array_equal(part.image, alone.image[steps])
    # Of the same bytes and draws; XLA adds up a crop in another order for another batch size.
    np.testing.assert_allclose(part.views, alone.views[steps], atol=elastic.ROUNDING)
    seen, begun = leave_after, part.saved
  for step, loss in part.loss.items():
    np.testing.assert_allclose(loss, alone.loss[step], rtol=1e-5)
  assert seen == len(alone.index) == len(part.loss)
