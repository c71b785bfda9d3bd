"""A study of seconds: eight cells of the stand-in, in two groups."""

import json
import os
import pathlib
import subprocess
import sys

import stand_in
from conftest import REPOSITORY

from contrastive_jax.study import agree, place, runner
from contrastive_jax.study import cells as cells_lib
from contrastive_jax.study import config as study_config

ROOT = pathlib.Path("DIR")
STAND_IN = REPOSITORY / "tests" / "study" / "stand_in.py"
CONFIG = """
from contrastive_jax.study import config as study_config

def get_config(rates="0.1,0.3"):
  study = study_config.study("small", base="shapes/quickstart")
  study.axes = {{
    "batch": study_config.each("batch_size", (64, 128)),
    "rate": study_config.each("optimizer.base_lr", map(float, rates.split(","))),
  }}
  study.seeds, study.x, study.choose = (0, 1), "batch", ("rate",)
{more}
  return study
"""


def write(folder, more=""):
  """Writes the config and returns its path."""
  path = pathlib.Path(folder) / "small.py"
  lines = "".join(f"  {line}\n" for line in more.splitlines())
  path.write_text(CONFIG.format(more=lines))
  return path


def study(**changes):
  """The same, as a config."""
  made = study_config.study("small", base="shapes/quickstart")
  made.axes = {
    "batch": study_config.each("batch_size", (64, 128)),
    "rate": study_config.each("optimizer.base_lr", (0.1, 0.3)),
  }
  made.seeds, made.x, made.choose = (0, 1), "batch", ("rate",)
  for key, value in changes.items():
    made[key] = value
  return made


def start(config, root, *words):
  """Starts `contrastive_jax study` with the stand-in for its commands."""
  command = [sys.executable, "-m", "contrastive_jax", "study", f"--config={config}"]
  command += [f"--workdir={root}", f"--under={sys.executable} {STAND_IN}", *words]
  environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
  return subprocess.Popen(
    command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
  )


def run(config, root, *words):
  """Runs it to its end; returns (exit code, what it printed)."""
  process = start(config, root, *words)
  out, _ = process.communicate(timeout=300)
  return process.returncode, out


def run_here(made, root, cells=None, jobs=1):
  """Runs a study, or some cells of it, in this process; returns its runner."""
  made = study_config.resolve(made)
  everything = cells_lib.cells(made)
  agree.check(made, root, everything)
  done = runner.Runner(
    made, place.Place(root), everything if cells is None else cells, stand_in.Children(), jobs=jobs
  )
  done.run()
  return done


def outcome(root):
  """All that two runs of a study must have in common: states, scores, choices."""
  found = {}
  for path in sorted(root.glob("cells/*/cell.json")):
    record = json.loads(path.read_text())
    found[path.parent.name] = [record["state"], record["step"], sorted(record["scored"])]
  for path in sorted([*root.glob("cells/*/eval/*.json"), *root.glob("choices/*.json")]):
    found[str(path.relative_to(root))] = json.loads(path.read_text())
  return found


def starts(root):
  """The commands that were started, in order: (train or eval, cell, evaluation)."""
  return [tuple(line.split(" ")) for line in (root / "starts").read_text().splitlines()]
