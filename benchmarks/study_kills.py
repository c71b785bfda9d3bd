"""Kills a study at random moments, divides one into shards, and compares; a Markdown table.

python benchmarks/study_kills.py --kills=30
python benchmarks/study_kills.py --kills=30 --stand_in    # a minute: nothing is trained

One study is left alone, one is killed (SIGKILL) again and again and started again at once, and one
is run as shards at the same time. States, scores on images held out and on test images, choices and
table.csv must be equal, cell by cell. The runs are those of studies/quickstart:tiny on one CPU
device; with --stand_in those of tests/study/stand_in.py, which trains nothing.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "study"))

import numpy as np
import small
from absl import app, flags
from conftest import REPOSITORY

_KILLS = flags.DEFINE_integer("kills", 30, "Of the study.")
_SHARDS = flags.DEFINE_integer("shards", 4, "Of the study that is divided.")
_JOBS = flags.DEFINE_integer("jobs", 1, "Cells at a time of the study that is killed.")
_LONGEST_S = flags.DEFINE_float("longest_s", 60.0, "Between a start and its kill.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the moments.")
_STAND_IN = flags.DEFINE_bool("stand_in", False, "Train nothing.")
_CONFIG = flags.DEFINE_string("config", "studies/quickstart:tiny", "Study.")


def start(root: pathlib.Path, *words: str) -> subprocess.Popen:
  """Starts the study."""
  command = [sys.executable, "-m", "contrastive_jax", "study", f"--config={_CONFIG.value}"]
  command += [f"--workdir={root}", *words]
  if _STAND_IN.value:
    command.append(f"--under={sys.executable} {small.STAND_IN}")
  environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
  output = (root.parent / f"{root.name}.log").open("a")
  return subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)


def killed(root: pathlib.Path) -> int:
  """Runs the study, killed again and again; returns how often it was before it was done."""
  rng = np.random.default_rng(_SEED.value)
  for kills in range(_KILLS.value):
    process = start(root, f"--jobs={_JOBS.value}")
    try:
      process.wait(rng.uniform(0, _LONGEST_S.value))
      return kills
    except subprocess.TimeoutExpired:
      process.kill()
      process.wait()
  _check(start(root, f"--jobs={_JOBS.value}"))
  return _KILLS.value


def outcome(root: pathlib.Path) -> dict:
  """Returns all that must be equal."""
  found = small.outcome(root)
  for name, content in found.items():
    if isinstance(content, dict):
      content.pop("versions", None)  # the commit may change while it goes on for hours
    found[name] = content
  return found | {"table": (root / "report" / "table.csv").read_text()}


def _check(process: subprocess.Popen) -> None:
  if process.wait():
    raise SystemExit(f"a study ended with code {process.returncode}")


def main(argv: list[str]) -> None:
  del argv
  with tempfile.TemporaryDirectory() as folder:
    alone, many, parts = (pathlib.Path(folder) / name for name in ("alone", "killed", "shards"))
    for root in (alone, many, parts):
      root.mkdir()
    begun = time.monotonic()
    _check(start(alone))
    seconds = time.monotonic() - begun
    kills = killed(many)
    count = _SHARDS.value
    for process in [start(parts, f"--shard={i}/{count}") for i in range(count)]:
      _check(process)
    expected = outcome(alone)
    print(f"| | kills | cells | equal to one left alone ({seconds:.0f} s) |")
    print("|---|--:|--:|---|")
    for name, root in ((f"killed, {_JOBS.value} at a time", many), (f"{count} shards", parts)):
      cells = len(list(root.glob("cells/*/cell.json")))
      found = outcome(root)
      differ = [k for k in sorted({*found, *expected}) if found.get(k) != expected.get(k)]
      equal = f"NO: {', '.join(differ)}" if differ else "yes"
      print(f"| {name} | {kills if root == many else 0} | {cells} | {equal} |", flush=True)


if __name__ == "__main__":
  app.run(main)
