"""Kills `contrastive_jax export` and `contrastive_jax embed` at random moments; a Markdown table.

python benchmarks/command_kills.py --kills=30 --what=export
python benchmarks/command_kills.py --kills=20 --what=embed

A ResNet-18 with two checkpoints of fresh weights is exported in each form, steps in turn, into one
folder. SIGKILL comes at any time of a command, or up to 20 ms after its temporary folder is there.
After it the folder must be that of one step, byte by byte, or absent; after each fifth kill the
same command, left alone, must succeed and leave nothing beside it. An `embed` of 4,000 images in
pieces of 256 is killed at any time and started again until it is done; its arrays must be those of
one left alone.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

import jax
import members
import numpy as np
import tiny_config
from absl import app, flags

from contrastive_jax import build
from contrastive_jax import workdir as workdir_lib
from contrastive_jax.step.state import TrainState
from contrastive_jax.workdir import checkpoint

_KILLS = flags.DEFINE_integer("kills", 30, "Of each form of an export; of embed.")
_WHAT = flags.DEFINE_list("what", ["export", "embed"], "export, embed, or both.")
_FORMATS = flags.DEFINE_list("formats", ["safetensors", "own", "onnx", "stablehlo"], "Of exports.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the moments.")
_AFTER_S = 0.02  # kills while it writes: that soon after the first file
_COMMAND = (
  "import sys\n"
  "from contrastive_jax.embedding import pieces\n"
  "pieces._ROWS = 256\n"
  "from contrastive_jax import cli\n"
  "cli.main(sys.argv[1:])\n"
)


def saved(workdir: pathlib.Path, steps: tuple[int, ...], **changes) -> None:
  """Writes a run whose checkpoints hold fresh weights, others each step."""
  config = tiny_config.tiny(**changes)
  net = build.net(config)
  make = jax.jit(lambda key: net.init(key, np.zeros((1, 16, 16, 3), np.float32), train=False))
  checkpoints = checkpoint.Checkpoints(str(workdir))
  for step in steps:
    found = make(jax.random.key(step))
    state = TrainState(jax.numpy.asarray(step), found["params"], found["batch_stats"], {}, {}, {})
    checkpoints.save(step, state)
    checkpoints.wait()
  checkpoints.close()
  workdir_lib.stamp(str(workdir), config)


def start(*words: str) -> subprocess.Popen:
  return subprocess.Popen(
    [sys.executable, "-c", _COMMAND, *words],
    env=members.environment(),
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )


def whole(*words: str) -> float:
  """Runs a command to its end; returns its seconds."""
  begun = time.monotonic()
  if code := start(*words).wait():
    raise SystemExit(f"{' '.join(words)} ended with code {code}")
  return time.monotonic() - begun


def digests(folder: pathlib.Path) -> dict[str, str]:
  if not folder.exists():
    return {}
  return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def killed(process: subprocess.Popen, after_s: float, written: pathlib.Path | None) -> str:
  """Kills a command so long after its start, or after it has begun to write; says when it was."""
  begun = time.monotonic()
  while process.poll() is None:
    writes = written is not None and any(written.glob(".out.*.tmp/*"))
    if writes or (written is None and time.monotonic() - begun >= after_s):
      break
    time.sleep(0.0005)
  if written is not None:
    time.sleep(after_s)
  process.kill()
  if process.wait() >= 0:
    return "done"
  return "writing" if written else "anywhere"


def exports(workdir: pathlib.Path, form: str, folder: pathlib.Path) -> str:
  """Returns a row: kills by moment, what was there after them, what was wrong."""
  rng = np.random.default_rng(_SEED.value)
  parent = folder / form
  parent.mkdir()
  out, expected, moments, found = parent / "out", {}, [], []
  words = {
    step: ("export", f"--workdir={workdir}", f"--format={form}", f"--out={out}", f"--step={step}")
    for step in (1, 2)
  }
  for step, command in words.items():
    seconds = whole(*command)
    expected[step] = digests(out)
  wrong = 0
  for number in range(_KILLS.value):
    step = 1 + number % 2
    writing = number % 3 > 0
    after_s = rng.uniform(0, _AFTER_S if writing else seconds)
    moments.append(killed(start(*words[step]), after_s, parent if writing else None))
    there = digests(out)
    found.append("absent" if not there else "new" if there == expected[step] else "old")
    if there and there not in expected.values():
      wrong += 1
    if number % 5 == 4:  # and then one that is left alone
      whole(*words[step])
      wrong += digests(out) != expected[step] or os.listdir(parent) != ["out"]
  counts = [str(moments.count(m)) for m in ("anywhere", "writing", "done")]
  states = [str(found.count(s)) for s in ("old", "new", "absent")]
  return f"| {form} | {' | '.join([*counts, *states])} | {wrong} |"


def embeds(workdir: pathlib.Path, folder: pathlib.Path) -> str:
  rng = np.random.default_rng(_SEED.value)
  words = ("embed", f"--workdir={workdir}", "--layers=h,z", "--config.batch_size=64",
           "--config.data.source=shapes", "--config.data.shapes.num_train=4000",
           "--config.data.shapes.size_px=16")  # fmt: skip
  seconds = whole(*words, f"--out={folder / 'alone.npz'}")
  out = folder / "killed.npz"
  kills, half = 0, 0
  while kills < _KILLS.value:
    if out.exists():
      out.unlink()
    process = start(*words, f"--out={out}")
    try:
      process.wait(rng.uniform(0, seconds))
      continue
    except subprocess.TimeoutExpired:
      process.kill()
      process.wait()
      kills += 1
      half += out.exists() and not _equal(out, folder / "alone.npz")
  whole(*words, f"--out={out}")
  equal = "yes" if _equal(out, folder / "alone.npz") else "NO"
  left = sorted(set(os.listdir(folder)) - {"alone.npz", "killed.npz", *_FORMATS.value})
  return f"| {kills} | {half} | {equal} | {len(left)} |"


def _equal(path: pathlib.Path, other: pathlib.Path) -> bool:
  """Compares all but the note of what it is of, which says versions and the commit."""
  a, b = np.load(path), np.load(other)
  names = set(a.files) - {"about"}
  return a.files == b.files and all(a[k].tobytes() == b[k].tobytes() for k in names)


def main(argv: list[str]) -> None:
  del argv
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(temporary)
    saved(folder / "run", (1, 2), backbone={"name": "resnet18", "padding": "torch"})
    saved(folder / "small", (1,))
    if "export" in _WHAT.value:
      print("| format | kills: anywhere | writing | too late | then: old | new | absent | wrong |")
      print("|---|--:|--:|--:|--:|--:|--:|--:|", flush=True)
      for form in _FORMATS.value:
        print(exports(folder / "run", form, folder), flush=True)
    if "embed" in _WHAT.value:
      (folder / "embed").mkdir()
      print("| kills of embed | half a file | equal | left |\n|--:|--:|---|--:|")
      print(embeds(folder / "small", folder / "embed"), flush=True)


if __name__ == "__main__":
  app.run(main)
