"""Time from the command to the first step, with nothing compiled yet and with what was kept.

python benchmarks/start_time.py [--times=3] [--config=shapes/quickstart] [--before=DIR]

A run is killed when its first step is in metrics.jsonl. "off" is --nokeep_compiled, "cold" begins
with an empty cache, "second" with that of a cold one. Seconds of the processor and of the clock,
medians, in turn; a table in Markdown. DIR is a clone of an older commit, whose start is "before":
one that kept nothing, with its config in `configs/quickstart.py`. Neither the compiled modules of
Python nor the programs of XLA are those of the environment.
"""

import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from absl import app, flags

_TIMES = flags.DEFINE_integer("times", 3, "Runs of each.", lower_bound=1)
_CONFIG = flags.DEFINE_string("config", "shapes/quickstart", "Config of the run.")
_BEFORE = flags.DEFINE_string("before", None, "Clone of an older commit to compare with.")

_HOME = pathlib.Path(__file__).resolve().parent.parent


def seconds(
  folder: pathlib.Path,
  cache: pathlib.Path,
  *words: str,
  clone: pathlib.Path = _HOME,
) -> tuple[float, float]:
  """Returns the time of the processor and of the clock to the first step of a run in `folder`."""
  config = _CONFIG.value if clone == _HOME else "configs/quickstart.py"
  others = ("JAX_COMPILATION_CACHE_DIR", "PYTHONDONTWRITEBYTECODE")
  environment = {k: v for k, v in os.environ.items() if k not in others}
  environment["XDG_CACHE_HOME"] = str(cache)
  command = [sys.executable, "train.py", f"--config={config}", f"--workdir={folder}", *words]
  command += ["--config.log.every_steps=1"]
  before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
  with open(folder.with_suffix(".log"), "w") as log:
    process = subprocess.Popen(command, cwd=clone, stdout=log, stderr=log, env=environment)
    metrics = folder / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
      time.sleep(0.02)
    taken = time.monotonic() - began
    process.kill()
    process.wait()
  if not metrics.exists():
    sys.exit(folder.with_suffix(".log").read_text())
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, taken


def main(_) -> None:
  taken = {name: [] for name in ("off", "cold", "second")}
  if _BEFORE.value:
    taken["before"] = []
  for _ in range(_TIMES.value):
    with tempfile.TemporaryDirectory() as place:
      root = pathlib.Path(place)
      if _BEFORE.value:
        clone = pathlib.Path(_BEFORE.value)
        taken["before"].append(seconds(root / "before", root / "other", clone=clone))
      taken["off"].append(seconds(root / "off", root / "cache", "--nokeep_compiled"))
      taken["cold"].append(seconds(root / "cold", root / "cache"))
      taken["second"].append(seconds(root / "second", root / "cache"))
  base = "before" if _BEFORE.value else "cold"
  print(f"| | processor | clock | ratio of the processor to {base} |\n|---|--:|--:|--:|")
  medians = {k: [statistics.median(t) for t in zip(*v, strict=True)] for k, v in taken.items()}
  for name, (processor, clock) in medians.items():
    print(f"| {name} | {processor:.1f} s | {clock:.1f} s | {processor / medians[base][0]:.2f} |")


if __name__ == "__main__":
  app.run(main)
