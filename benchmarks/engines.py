"""What engines add to the CPU time of `contrastive_jax prepare`; a table in Markdown.

python benchmarks/engines.py [--images=100000] [--runs=1]

Small made-up JPEGs in a folder are shrunk and copied to shards of 2,048 by two processes of
`preparing.prepare` (`--shard=I/2`), and by the engines that are installed, each with two processes
here and a task a shard: Ray ("ray", as `--engine=ray` does), Ray Data, and Apache Beam's
DirectRunner. CPU time of all processes of a form, which are told by a variable of their environment
and looked at twice a second, so that the last half second of each may be lacking. The digests of
all shards are compared.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

import numpy as np
from absl import app, flags
from PIL import Image

_IMAGES = flags.DEFINE_integer("images", 100_000, "Of the folder.", lower_bound=1)
_RUNS = flags.DEFINE_integer("runs", 1, "Of each form, in turn.", lower_bound=1)

_HOME = pathlib.Path(__file__).resolve().parent.parent
_MARK = "CONTRASTIVE_JAX_ENGINE"
_COMMON = """
import pathlib, sys
from contrastive_jax import data
from contrastive_jax.data import preparing
path, out = sys.argv[1], pathlib.Path(sys.argv[2])
how, opened = preparing.Kept(size_px=96, images_per_shard=2048), []
def shards():
  if not opened:
    source = data.build("folder", split="train", path=path)
    opened.append(preparing.begin(source, "train", out, how))
  return opened[0]
def make(number):
  shards().make(number, 1)
  return number
"""
_PLAIN = """
for_part = {"num_threads": 1, "part": int(sys.argv[3]), "parts": 2}
preparing.prepare(data.build("folder", split="train", path=path), "train", out, how, **for_part)
"""
_RAY = """
import ray
from contrastive_jax.data import on_ray
ray.init(num_cpus=2, include_dashboard=False)
on_ray.prepare("folder", {"path": path}, "train", out, how)
"""
_RAY_DATA = """
import ray
ray.init(num_cpus=2, include_dashboard=False)
def batch(numbers):
  for number in numbers["id"]:
    make(int(number))
  return numbers
count = shards().count
opened.clear()
ray.data.range(count, override_num_blocks=count).map_batches(batch, batch_size=1).take_all()
preparing.finish(shards())
"""
_BEAM = """
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
if __name__ == "__main__":
  options = PipelineOptions(direct_num_workers=2, direct_running_mode="multi_processing")
  count = shards().count
  opened.clear()
  with beam.Pipeline("DirectRunner", options) as pipeline:
    pipeline | beam.Create(range(count)) | beam.Reshuffle() | beam.Map(make)
  preparing.finish(shards())
"""
FORMS = {
  "`--shard=I/2`": (_PLAIN, "xxhash", ("0", "1")),
  "Ray": (_RAY, "ray", ("",)),
  "Ray Data": (_RAY_DATA, "ray.data", ("",)),
  "Apache Beam": (_BEAM, "apache_beam", ("",)),
}


def write(root: pathlib.Path, count: int) -> None:
  """Writes JPEGs of 160 x 120 pixels."""
  random = np.random.default_rng(0)
  for i in range(count):
    folder = root / "train" / f"c{i % 100:02d}"
    folder.mkdir(parents=True, exist_ok=True)
    small = Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8))
    grown = small.resize((160, 120), Image.Resampling.BICUBIC)
    grown.save(folder / f"{i:06d}.jpg", quality=90)


def seconds(name: str, images: pathlib.Path, out: pathlib.Path) -> float:
  """Returns the CPU time of all processes of a form, which write to `out`."""
  code, _, words = FORMS[name]
  mark, taken = uuid.uuid4().hex, {}
  script = out.with_suffix(".py")
  script.write_text(_COMMON + code)
  environment = os.environ | {_MARK: mark, "PYTHONPATH": str(_HOME), "RAY_worker_niceness": "0"}
  processes = [
    subprocess.Popen(
      [sys.executable, str(script), str(images), str(out), *([word] if word else [])],
      env=environment,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    for word in words
  ]
  while any(process.poll() is None for process in processes):
    taken |= _marked(mark)
    time.sleep(0.5)
  if any(process.returncode for process in processes):
    sys.exit(f"{name} failed; python {script} {images} {out} says why")
  return sum(taken.values())


def _marked(mark: str) -> dict[str, float]:
  """Returns the CPU time, s, of each process that has the mark."""
  found = {}
  for place in pathlib.Path("/proc").glob("[0-9]*"):
    try:
      if f"{_MARK}={mark}".encode() in (place / "environ").read_bytes():
        words = (place / "stat").read_text().rpartition(")")[2].split()
        found[place.name] = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
      continue
  return found


def _installed(module: str) -> bool:
  words = [sys.executable, "-c", f"import {module}"]
  return not subprocess.run(words, capture_output=True).returncode


def main(_) -> None:
  names = [name for name, (_, module, _) in FORMS.items() if _installed(module)]
  taken, said = {name: [] for name in names}, set()
  with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    write(root / "images", _IMAGES.value)
    for run in range(_RUNS.value):
      for number, name in enumerate(names):
        out = root / f"{run}-{number}"
        taken[name].append(seconds(name, root / "images", out))
        shards = json.loads((out / "train.json").read_text())["shards"]
        said.add(tuple(shard["xxh3_128"] for shard in shards))
  print("| | CPU s | / plain |\n|---|--:|--:|")
  plain = statistics.median(taken[names[0]])
  for name, times in taken.items():
    print(f"| {name} | {statistics.median(times):.1f} | {statistics.median(times) / plain:.2f} |")
  print(f"\n{'the same digests' if len(said) == 1 else 'DIGESTS DIFFER'}")


if __name__ == "__main__":
  app.run(main)
