"""CPU time of what `make quickstart` does after the install, beside an older commit's.

python benchmarks/quickstart_time.py [--before=DIR] [--times=2] [--now=--config.log.report=false]

DIR is a clone of an older commit; configs of before folders lie there in `configs/quickstart.py`.
Time of all processes of both commands, in seconds, runs of both in turn; a table in Markdown.
Programs of XLA are compiled anew each time; Python's modules are compiled once, before the first
run that counts, as they stay compiled where the Makefile runs the commands. `--now` is a further
flag of this commit's training: without its page, a run does what older commits did.
"""

import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from absl import app, flags

_BEFORE = flags.DEFINE_string("before", None, "Clone of an older commit to compare with.")
_NOW = flags.DEFINE_multi_string("now", [], "A further flag of this commit's training.")
_TIMES = flags.DEFINE_integer("times", 2, "Runs of each.", lower_bound=1)

_HOME = pathlib.Path(__file__).resolve().parent.parent
_DROPPED = ("JAX_COMPILATION_CACHE_DIR", "PYTHONDONTWRITEBYTECODE")


def _call(clone: pathlib.Path, command: list[str], place: pathlib.Path) -> tuple[float, ...]:
  """Returns the user's, the system's and the clock's time of a command in a clone."""
  environment = {k: v for k, v in os.environ.items() if k not in _DROPPED}
  environment["XDG_CACHE_HOME"] = str(place / "cache")
  before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
  done = subprocess.run(
    [sys.executable, *command], cwd=clone, env=environment, text=True, capture_output=True
  )
  if done.returncode:
    sys.exit(done.stdout + done.stderr)
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  return (
    after.ru_utime - before.ru_utime,
    after.ru_stime - before.ru_stime,
    time.monotonic() - began,
  )


def quickstart(clone: pathlib.Path, *words: str) -> list[tuple[float, ...]]:
  """Returns the times of training and of scoring; `words` are further flags of the training."""
  folders = (clone / "configs" / "shapes").is_dir()
  configs = ("shapes/quickstart", "eval/quickstart")
  if not folders:
    configs = ("configs/quickstart.py", "configs/eval/quickstart.py")
  with tempfile.TemporaryDirectory() as made:
    place = pathlib.Path(made)
    workdir = f"--workdir={place / 'run'}"
    return [
      _call(clone, ["train.py", f"--config={configs[0]}", workdir, *words], place),
      _call(clone, ["eval.py", f"--config={configs[1]}", workdir], place),
    ]


def main(_) -> None:
  clones = {"now": _HOME}
  if _BEFORE.value:
    clones = {"before": pathlib.Path(_BEFORE.value).resolve()} | clones
  for clone in clones.values():
    quickstart(clone, "--config.epochs=1")
  print("| | training | scoring | both | of these in the system | ratio | training, clock |")
  print("|---|" + "--:|" * 6)
  for _ in range(_TIMES.value):
    first = None
    for name, clone in clones.items():
      training, scoring = quickstart(clone, *(_NOW.value if name == "now" else ()))
      seconds = [sum(training[:2]), sum(scoring[:2])]
      first = first or sum(seconds)
      cells = [f"{s:.1f} s" for s in (*seconds, sum(seconds), training[1] + scoring[1])]
      cells += [f"{sum(seconds) / first:.2f}", f"{training[2]:.1f} s"]
      print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
  app.run(main)
