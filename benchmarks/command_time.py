"""CPU time of what the command answers by itself; writes a table in Markdown.

python benchmarks/command_time.py [--before=DIR] [--times=5]

DIR is a clone of an older commit, whose commands alternate with this one's; configs of before
folders lie there in `configs/quickstart.py`. Seconds of the processor, median of `--times`.
"""

import pathlib
import resource
import statistics
import subprocess
import sys

from absl import app, flags

_BEFORE = flags.DEFINE_string("before", None, "Clone of an older commit to compare with.")
_TIMES = flags.DEFINE_integer("times", 5, "Runs of each command.", lower_bound=1)

_HOME = pathlib.Path(__file__).resolve().parent.parent
_COMMANDS = {
  "--help": ["--help"],
  "a misspelt flag": ["--config=CONFIG", "--workdri=DIR"],
  "a misspelt key": ["--config=CONFIG", "--workdir=DIR", "--config.bach_size=64"],
  "--help_config": ["--config=CONFIG", "--help_config"],
  "--print_config": ["--config=CONFIG", "--print_config"],
}


def seconds(clone: pathlib.Path, words: list[str]) -> float:
  """Returns the processor time of one call of a clone's train.py."""
  folders = (clone / "configs" / "shapes").is_dir()
  config = "shapes/quickstart" if folders else "configs/quickstart.py"
  command = [sys.executable, "train.py", *(word.replace("CONFIG", config) for word in words)]
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  subprocess.run(command, cwd=clone, capture_output=True)
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(argv: list[str]) -> None:
  del argv
  clones = {"now": _HOME}
  if _BEFORE.value:
    clones = {"before": pathlib.Path(_BEFORE.value).resolve()} | clones
  print("| | " + " | ".join(clones) + " |\n|---|" + "--:|" * len(clones))
  for name, words in _COMMANDS.items():
    taken = {clone: [] for clone in clones}
    for _ in range(_TIMES.value):
      for clone, path in clones.items():
        taken[clone].append(seconds(path, words))
    medians = (f"{statistics.median(times):.2f} s" for times in taken.values())
    print(f"| {name} | " + " | ".join(medians) + " |", flush=True)


if __name__ == "__main__":
  app.run(main)
