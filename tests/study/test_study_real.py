"""One study with the real commands: trained, chosen by images held out, scored, shown."""

import os
import subprocess
import sys

import pytest
import small
from conftest import ONE_DEVICE_FLAGS, REPOSITORY

from contrastive_jax.study import layout

pytestmark = pytest.mark.slow
ONE_CELL = """
from contrastive_jax.configs import common
study.axes = {"batch": {"32": {}}, "rate": {"0.3": {}}}
study.seeds, study.changes = (0,), common.TINY_SHAPES
"""


def test_a_study_trains_chooses_scores_and_shows(tmp_path):
  config, root = small.write(tmp_path, ONE_CELL), tmp_path / "root"
  command = [sys.executable, "-m", "contrastive_jax", "study", f"--config={config}"]
  environment = os.environ | {"XLA_FLAGS": ONE_DEVICE_FLAGS}
  done = subprocess.run(
    [*command, f"--workdir={root}"],
    cwd=REPOSITORY,
    env=environment,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  found = small.outcome(root)
  name = "batch=32,rate=0.3,seed=0"
  assert found[name] == ["done", 4, ["held_out", "knn"]]
  assert layout.choices(root)["batch=32"]["chosen"] == {"rate": "0.3"}
  results = [found[f"cells/{name}/eval/{asked}.json"]["results"] for asked in ("held_out", "knn")]
  counts = [records[0]["num_test"] for records in results]
  assert counts == [32, 64], "images held out, then test images"
  assert (root / "report" / "table.md").exists()
