"""The wheel works where it is installed: commands, configs and a run, outside the repository."""

import os
import subprocess
import sys
import zipfile

import pytest
from conftest import ONE_DEVICE_FLAGS, REPOSITORY

from contrastive_jax import config_files

pytestmark = pytest.mark.slow
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
  """Built from what git knows, so that nothing of an earlier build is in it."""
  source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
  known = subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard"],
    cwd=REPOSITORY,
    check=True,
    capture_output=True,
  ).stdout
  subprocess.run(
    ["tar", "-cf", source / "all.tar", "-T", "-"], cwd=REPOSITORY, input=known, check=True
  )
  subprocess.run(["tar", "-xf", "all.tar"], cwd=source, check=True)
  build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", out, source]
  subprocess.run(build, check=True)
  (path,) = out.iterdir()
  return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
  """A function that runs the command as it is installed, in a directory of its own."""
  site, elsewhere = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("elsewhere")
  subprocess.run([*PIP, "install", "--no-deps", "--target", site, wheel], check=True)
  environment = os.environ | {"PYTHONPATH": str(site), "XLA_FLAGS": ONE_DEVICE_FLAGS}

  def run(*words):
    command = [sys.executable, site / "bin" / "contrastive_jax", *words]
    return subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)

  return run


def test_the_wheel_holds_package_and_configs_and_nothing_else(wheel):
  names = zipfile.ZipFile(wheel).namelist()
  for name in (name for kind in config_files.KINDS for name in config_files.names(kind)):
    assert f"contrastive_jax/configs/{name}.py" in names
  files = {n for n in names if ".dist-info/" not in n}
  assert {n.split("/")[0] for n in files} == {"contrastive_jax"}
  assert all(n.endswith(".py") for n in files)
  assert any(n.endswith("licenses/LICENSE") for n in names)


def test_the_installed_command_trains_and_evaluates_by_the_names_of_configs(installed, tmp_path):
  small = ["--config.epochs=1", "--config.batch_size=32", "--config.image_size_px=16"]
  small += ["--config.data.shapes.num_train=32", "--config.data.shapes.num_test=32"]
  small += ["--config.data.shapes.size_px=16", "--config.optimizer.warmup_epochs=0"]
  small += ["--config.data.held_out=0"]
  done = installed("train", "--config=shapes/quickstart", f"--workdir={tmp_path}", *small)
  assert done.returncode == 0, done.stderr
  assert (tmp_path / "report" / "index.html").exists(), done.stderr
  done = installed("eval", "--config=eval/knn", f"--workdir={tmp_path}", small[1])
  assert done.returncode == 0 and " knn " in done.stdout, done.stderr
  done = installed("--version")
  assert done.returncode == 0 and done.stdout.startswith("contrastive_jax ")
