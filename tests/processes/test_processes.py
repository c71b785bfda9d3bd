"""Two processes of two devices each train and evaluate as one process with four devices."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
import runs
import tiny_config
from conftest import ONE_DEVICE_FLAGS, REPOSITORY

from contrastive_jax.evaluation import evaluate
from contrastive_jax.training import trainer
from contrastive_jax.workdir import checkpoint

WORKER = """
import sys
import jax
port, index, workdir = sys.argv[1:]
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=int(index))
assert jax.process_count() == 2 and jax.device_count() == 4 and jax.local_device_count() == 2
import tiny_config
from contrastive_jax.evaluation import evaluate
from contrastive_jax.training import trainer
trainer.train(tiny_config.with_monitor(), workdir)
evaluate.run(tiny_config.evaluation(), workdir)
"""


@pytest.mark.slow
def test_two_processes_of_two_devices_train_as_one_of_four(tmp_path):
  one = trainer.train(tiny_config.with_monitor(), str(tmp_path / "one"), jax.devices()[:4])
  environment = dict(
    os.environ,
    JAX_PLATFORMS="cpu",
    XLA_FLAGS=f"{ONE_DEVICE_FLAGS} --xla_force_host_platform_device_count=2",
    PYTHONPATH=os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "tests"))),
  )
  port = str(runs.free_port())
  workers = [
    subprocess.Popen(
      [sys.executable, "-c", WORKER, port, str(i), str(tmp_path / "two")],
      env=environment,
      stdout=subprocess.DEVNULL,  # gloo talks there
      stderr=subprocess.PIPE,
      text=True,
    )
    for i in range(2)
  ]
  errors = [worker.communicate(timeout=400)[1] for worker in workers]
  assert [worker.returncode for worker in workers] == [0, 0], "\n".join(errors)
  # With what was trained there: one process must find the same scores.
  written = json.loads((tmp_path / "two" / "eval" / "scores.json").read_text())["results"]
  alone = evaluate.run(tiny_config.evaluation(), str(tmp_path / "two"), jax.devices()[:4])
  assert [r["protocol"] for r in written] == ["knn", "linear_sgd"]
  for a, b in zip(written, alone["results"], strict=True):
    assert (a["top1"], a["per_class"]) == (b["top1"], b["per_class"]), a["protocol"]
  assert "step 2" in errors[0] and "step 2" not in errors[1], "process 0 alone reports"

  # The same four parts of every sum, added in another order; steps enlarge it (in the loss:
  # 1e-6 after two, 1.3e-5 after four), so two must do: the second starts from the first's update.
  a, b = runs.losses(tmp_path / "one"), runs.losses(tmp_path / "two")
  assert a.keys() == b.keys()
  np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-5)
  two = checkpoint.load_run(str(tmp_path / "two"))
  for x, y in zip(
    jax.tree.leaves((one.state.params, one.state.stats)),
    jax.tree.leaves((two.params, two.stats)),
    strict=True,
  ):
    np.testing.assert_allclose(x, y, atol=1e-4 * np.abs(x).max())
