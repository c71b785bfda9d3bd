"""Does the memory of a run grow with its saves? Resident memory over many; a Markdown table.

python benchmarks/saves_rss.py --minutes=30 [--workdir=DIR]

A small network on built-in images saves its state as often as it can, and is looked at from outside
a few times a second. A row is a part of the time: checkpoints seen, resident memory at its end (the
median of its last tenth, for batches come and go), and the growth for a save since the part before.
"""

import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from absl import app, flags

HOME = pathlib.Path(__file__).resolve().parent.parent
RUN = (
  "data.shapes.num_train=64 data.shapes.num_test=16 data.shapes.size_px=16 image_size_px=16 "
  "data.held_out=0 batch_size=32 epochs=1000000 optimizer.warmup_epochs=0 checkpoint.every_epochs=1"
).split()

_MINUTES = flags.DEFINE_float("minutes", 30.0, "Of training.")
_PARTS = flags.DEFINE_integer("parts", 10, "Rows.")
_WORKDIR = flags.DEFINE_string("workdir", None, "A temporary directory by default.")


def resident_kb(pid: int) -> int:
  for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
    if line.startswith("VmRSS:"):
      return int(line.split()[1])
  raise SystemExit("error: the run has ended")


def newest(workdir: pathlib.Path) -> int:
  steps = (int(p.name) for p in workdir.glob("checkpoints/*") if p.name.isdigit())
  return max(steps, default=0)


def watch(run: subprocess.Popen, workdir: pathlib.Path) -> None:
  while not newest(workdir):
    if run.poll() is not None:
      raise SystemExit(f"error: the run ended with {run.returncode}")
    time.sleep(0.3)
  part_s = _MINUTES.value * 60 / _PARTS.value
  print("| minutes | checkpoints | resident, MB | growth, kB a checkpoint |\n|--:|--:|--:|--:|")
  saves, before, last, start = 0, None, newest(workdir), time.monotonic()
  for part in range(1, _PARTS.value + 1):
    seen, first = [], saves
    while time.monotonic() < start + part * part_s:
      time.sleep(0.25)
      step = newest(workdir)
      saves, last = saves + (step != last), step
      seen.append(resident_kb(run.pid))
    level = statistics.median(seen[-max(1, len(seen) // 10) :])
    growth = "" if before is None else f"{(level - before) / max(1, saves - first):.2f}"
    minutes = part * part_s / 60
    print(f"| {minutes:.1f} | {saves} | {level / 1024:.1f} | {growth} |", flush=True)
    before = level


def main(argv: list[str]) -> None:
  del argv
  with tempfile.TemporaryDirectory() as folder:
    workdir = pathlib.Path(_WORKDIR.value or folder)
    command = [sys.executable, "train.py", "--config=shapes/quickstart", f"--workdir={workdir}"]
    command += [f"--config.{word}" for word in RUN]
    with open(workdir.parent / f"{workdir.name}.log", "w") as log:
      run = subprocess.Popen(command, cwd=HOME, stdout=log, stderr=log, env=os.environ)
    try:
      watch(run, workdir)
    finally:
      run.send_signal(signal.SIGKILL)
      run.wait()


if __name__ == "__main__":
  app.run(main)
