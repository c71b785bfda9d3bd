"""Two processes of two devices each train and evaluate as one process with four devices."""

import json
import re

import jax
import members
import numpy as np
import pytest
import tiny_config
import whole_runs
from PIL import Image

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


OTHERS = """
import os

import tiny_config
from contrastive_jax import errors
from contrastive_jax.evaluation import evaluate
from contrastive_jax.training import trainer

hosts, workdir, evaluates = sys.argv[3:]
c = tiny_config.with_monitor()
if evaluates:
  trainer.train(c, workdir)
  c = tiny_config.evaluation()
  c.data.split = c.data.eval_split = "train"
os.chdir(hosts + sys.argv[2])  # each "host" has its own folder of that name
c.data.source, c.data.folder.path = "folder", "images"
try:
  evaluate.run(c, workdir) if evaluates else trainer.train(c, workdir)
except errors.UserError as error:
  print("refused:", error, file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize("evaluates", ["", pytest.param("yes", marks=pytest.mark.thorough)])
def test_images_of_the_same_names_and_sizes_that_differ_are_refused(tmp_path, evaluates):
  for host in (0, 1):
    rng = np.random.default_rng(host)
    for i in range(64):
      path = tmp_path / f"host{host}" / "images" / "train" / "ab"[i % 2] / f"{i}.bmp"
      path.parent.mkdir(parents=True, exist_ok=True)
      Image.fromarray(rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)).save(path)
  said = members.two(OTHERS, str(tmp_path / "host"), str(tmp_path / "run"), evaluates)
  for text in said:
    assert re.search(r"refused: process 1 on \S+ has training pixels \w+, process 0 on ", text)
