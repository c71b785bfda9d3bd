"""`contrastive_jax embed`: peak memory over the number of images, and speed beside other loops.

python benchmarks/embed.py --workdir=DIR [--counts=50000,200000]
python benchmarks/embed.py --workdir=DIR --speed=20000 --torch=PYTHON [--rounds=3]

DIR is a run of shapes/quickstart; images are the built-in ones, made as they are asked for. The
first command runs `embed` to a file once for each number, in processes of their own. The second
takes turns: `embed`, the extraction of an evaluation, and a loop in PyTorch over an array in memory
(in an interpreter that has it) with a network of the same layers, in batches of 256. Each tells
images per second after its first piece or batch, which compiles.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from absl import app, flags

_WORKDIR = flags.DEFINE_string("workdir", None, "Of a run of shapes/quickstart.", required=True)
_COUNTS = flags.DEFINE_list("counts", ["50000", "200000"], "Images.")
_SPEED = flags.DEFINE_integer("speed", 0, "Images, to compare speeds.")
_TORCH = flags.DEFINE_string("torch", "", "A Python with PyTorch.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Of the comparison.")

_MEMORY = """
import resource, sys, time
from contrastive_jax import cli
began = time.time()
try:
  cli.main(sys.argv[1:])
except SystemExit as left:
  assert not left.code, left.code
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"MEASURED {peak:.3f} {time.time() - began:.1f}")
"""

_EMBED = """
import sys, tempfile, time
from contrastive_jax.embedding import embed, kept
from contrastive_jax.evaluation import config
asked, count = config.evaluation("knn"), int(sys.argv[2])
asked.data.source, asked.data.shapes.num_train = "shapes", count
add, times = kept.Kept.add, []
def timed(self, rows, images, replaced):
  add(self, rows, images, replaced)
  times.append((time.time(), images))
kept.Kept.add = timed
with tempfile.TemporaryDirectory() as folder:
  embed.run(asked, sys.argv[1], folder + "/f.npz")
(a, first), (b, last) = times[0], times[-1]
print("MEASURED", (last - first) / (b - a))
"""

_EVAL = """
import sys, time
from contrastive_jax import parallel
from contrastive_jax.evaluation import config, evaluate, images
asked, count = config.evaluation("knn"), int(sys.argv[2])
asked.data.source, asked.data.shapes.num_train = "shapes", count
asked.data.cache = "none"
asked, _ = config.resolve(asked)
loaded = evaluate.load(sys.argv[1], asked)
found = images.load(asked, loaded.config)
(encoder,) = evaluate.encoders(asked, loaded, found.view)
mesh = parallel.make_mesh()
evaluate.extract(encoder, found.test, found, mesh)
began = time.time()
evaluate.extract(encoder, found.train, found, mesh)
print("MEASURED", count / (time.time() - began))
"""

_LOOP = """
import sys, time
import numpy as np, torch
from torch import nn
class Block(nn.Module):
  def __init__(self, i, o, s):
    super().__init__()
    self.a, self.b = nn.Conv2d(i, o, 3, s, 1, bias=False), nn.Conv2d(o, o, 3, 1, 1, bias=False)
    self.m, self.n = nn.BatchNorm2d(o), nn.BatchNorm2d(o)
    self.c = nn.Sequential(nn.Conv2d(i, o, 1, s, bias=False), nn.BatchNorm2d(o)) if s > 1 else None
  def forward(self, x):
    y = self.n(self.b(torch.relu(self.m(self.a(x)))))
    return torch.relu(y + (self.c(x) if self.c else x))
net = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
  Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2), nn.AdaptiveAvgPool2d(1),
  nn.Flatten()).eval()
images = np.load(sys.argv[1], mmap_mode="r")
def features(x):
  x = torch.from_numpy(np.ascontiguousarray(x)).permute(0, 3, 1, 2).float() / 255
  return net((x - 0.5) / 0.25).numpy()
with torch.inference_mode():
  features(images[:256])
  began = time.time()
  out = np.concatenate([features(images[i:i + 256]) for i in range(0, len(images), 256)])
  print("MEASURED", len(images) / (time.time() - began))
"""


def _measured(python: str, text: str, *words: str) -> list[float]:
  done = subprocess.run([python, "-c", text, *words], capture_output=True, text=True, check=True)
  (line,) = [line for line in done.stdout.splitlines() if line.startswith("MEASURED")]
  return [float(word) for word in line.split()[1:]]


def _memory() -> None:
  for count in _COUNTS.value:
    with tempfile.TemporaryDirectory() as folder:
      words = ["embed", f"--workdir={_WORKDIR.value}", f"--out={folder}/f.npz", "--layers=h,z"]
      words += ["--config.data.source=shapes", f"--config.data.shapes.num_train={count}"]
      peak, seconds = _measured(sys.executable, _MEMORY, *words)
      size = (pathlib.Path(folder) / "f.npz").stat().st_size / 1e6
    print(
      json.dumps({"images": int(count), "peak_gib": peak, "seconds": seconds, "file_mb": size}),
      flush=True,
    )


def _speed() -> None:
  import numpy as np

  from contrastive_jax.data import shapes

  count, found = str(_SPEED.value), {"embed": [], "eval": [], "torch": []}
  with tempfile.TemporaryDirectory() as folder:
    path = f"{folder}/images.npy"
    source = shapes.build("train", shapes.Options(num_train=_SPEED.value))
    np.save(path, source.images(np.arange(len(source))))
    for _ in range(_ROUNDS.value):
      found["embed"] += _measured(sys.executable, _EMBED, _WORKDIR.value, count)
      found["eval"] += _measured(sys.executable, _EVAL, _WORKDIR.value, count)
      if _TORCH.value:
        found["torch"] += _measured(_TORCH.value, _LOOP, path)
  for name, rates in found.items():
    if rates:
      shown = ", ".join(f"{rate:.0f}" for rate in rates)
      print(f"{name}: {statistics.median(rates):.0f} images/s ({shown})", flush=True)


def main(argv: list[str]) -> None:
  del argv
  _speed() if _SPEED.value else _memory()


if __name__ == "__main__":
  app.run(main)
