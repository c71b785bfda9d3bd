"""Two processes of two devices each train and evaluate as one process with four devices."""

import json

import jax
import members
import pytest
import tiny_config
import whole_runs

from contrastive_jax.evaluation import evaluate
from contrastive_jax.training import trainer

CODE = """
assert jax.process_count() == 2 and jax.device_count() == 4 and jax.local_device_count() == 2
import tiny_config
from contrastive_jax.evaluation import evaluate
from contrastive_jax.training import trainer
[workdir] = sys.argv[3:]
trainer.train(tiny_config.with_monitor(), workdir)
evaluate.run(tiny_config.evaluation(), workdir)
"""


@pytest.mark.slow
def test_two_processes_of_two_devices_train_as_one_of_four(tmp_path):
  trainer.train(tiny_config.with_monitor(), str(tmp_path / "one"), jax.devices()[:4])
  said = members.two(CODE, str(tmp_path / "two"))
  # With what was trained there: one process must find the same scores.
  written = json.loads((tmp_path / "two" / "eval" / "scores.json").read_text())["results"]
  alone = evaluate.run(tiny_config.evaluation(), str(tmp_path / "two"), jax.devices()[:4])
  assert [r["protocol"] for r in written] == ["knn", "linear_sgd"]
  for a, b in zip(written, alone["results"], strict=True):
    assert (a["top1"], a["per_class"]) == (b["top1"], b["per_class"]), a["protocol"]
  assert "step 2" in said[0] and "step 2" not in said[1], "process 0 alone reports"

  # The same four parts of every sum, added in another order; steps enlarge it (in the loss:
  # 1e-6 after two, 1.3e-5 after four), so two must do: the second starts from the first's update.
  whole_runs.assert_alike(tmp_path / "one", tmp_path / "two")
