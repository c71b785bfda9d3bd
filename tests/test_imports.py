"""A run imports neither PyTorch nor TensorFlow, and TFDS only where a set of it is read.

Nor what others would take along: boto3 comes with tensorboardX, Orbax with grain.
"""

import os
import subprocess
import sys

import pytest
from conftest import ONE_DEVICE_FLAGS, REPOSITORY

UNWANTED = ("torch", "tensorflow", "tensorflow_datasets", "pyarrow", "boto3", "orbax")
# SystemExit, since a library that tries an import catches ImportError.
BOMB = "raise SystemExit(f'{__name__} was imported')\n"
PRETRAIN = ["train.py", "--config=configs/shapes/quickstart.py", "--config.epochs=1"]
PRETRAIN += ["--config.data.shapes.num_train=64", "--config.data.shapes.num_test=32"]
PRETRAIN += ["--config.data.shapes.size_px=16", "--config.image_size_px=16"]
PRETRAIN += ["--config.batch_size=32", "--config.log.tensorboard=True"]
EVALUATE = ["eval.py", "--config=configs/eval/all.py", "--config.linear_sgd.epochs=1"]
EVALUATE += ["--config.linear_sgd.min_steps=0"]
EVALUATE += ["--config.linear_sgd.batch_size=32", "--config.layers=h", "--config.baselines="]
EVALUATE += ["--config.batch_size=32"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
  """An environment in which importing one of them ends the process."""
  site = tmp_path_factory.mktemp("site")
  for name in UNWANTED:
    (site / name).mkdir()
    (site / name / "__init__.py").write_text(BOMB)
  return os.environ | {"PYTHONPATH": str(site), "XLA_FLAGS": ONE_DEVICE_FLAGS}


def run(arguments, environment):
  return subprocess.run(
    [sys.executable, *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True
  )


def test_a_bomb_is_seen(environment):
  for name in UNWANTED:
    done = run(["-c", f"import {name}"], environment)
    assert (done.returncode, done.stderr) == (1, f"{name} was imported\n")


@pytest.mark.slow
def test_nothing_unwanted_is_imported_by_training_and_evaluation(environment, tmp_path):
  for arguments in (PRETRAIN, EVALUATE):
    done = run([*arguments, f"--workdir={tmp_path}"], environment)
    assert done.returncode == 0, done.stderr
