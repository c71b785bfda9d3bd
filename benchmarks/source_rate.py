"""CPU time and images/s of the same photographs from each kind of files; a table in Markdown.

python benchmarks/source_rate.py [--images=600] [--runs=5] [--canvas=256]

Made-up photographs of 500 x 375 pixels are written as JPEGs in a folder, as tar shards, as
Parquet with row groups of 100, as Arrow files, and copied by `contrastive_jax prepare` to records,
shrunk to the canvas. Each form in turn makes the batches of one epoch in random order, with 2
threads; medians over runs. The time is CPU time of the process, and wall time beside it. Files are
in the page cache: what a disk or a network adds is not seen.
"""

import io
import json
import pathlib
import statistics
import tarfile
import tempfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from absl import app, flags
from PIL import Image

from contrastive_jax import data
from contrastive_jax.data import pipeline, preparing

_IMAGES = flags.DEFINE_integer("images", 600, "Of the set.")
_RUNS = flags.DEFINE_integer("runs", 5, "Of each form.")
_CANVAS = flags.DEFINE_integer("canvas", 256, "Side, pixels.")
_BATCH, _GROUP = 50, 100


def photograph(seed: int) -> bytes:
  """Returns a JPEG of noise whose power falls with its frequency, as that of photographs does."""
  random, pixels = np.random.default_rng(seed), np.full((375, 500, 3), 128, np.float32)
  for cell in (2, 4, 8, 16, 32, 64):
    noise = np.clip(128 + 30 * random.normal(size=(375 // cell, 500 // cell, 3)), 0, 255)
    grown = Image.fromarray(noise.astype(np.uint8)).resize((500, 375), Image.Resampling.BICUBIC)
    pixels += (np.asarray(grown, np.float32) - 128) * (cell / 64) ** 0.5
  buffer = io.BytesIO()
  Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
  return buffer.getvalue()


def write(root: pathlib.Path, count: int, canvas: int) -> dict[str, data.Source]:
  """Returns the same photographs as each source, by name."""
  encoded = [photograph(seed) for seed in range(count)]
  (root / "folder").mkdir()
  for i, content in enumerate(encoded):
    (root / "folder" / f"{i:05d}.jpg").write_bytes(content)
  with tarfile.open(root / "set-train.tar", "w") as tar:
    for i, content in enumerate(encoded):
      member = tarfile.TarInfo(f"{i:05d}.jpg")
      member.size = len(content)
      tar.addfile(member, io.BytesIO(content))
  table = pa.table({"image": encoded})
  pq.write_table(table, root / "train.parquet", row_group_size=_GROUP)
  (root / "arrow").mkdir()
  with pa.ipc.new_stream(root / "arrow" / "data.arrow", table.schema) as writer:
    writer.write_table(table, _GROUP)
  (root / "arrow" / "state.json").write_text(
    json.dumps({"_data_files": [{"filename": "data.arrow"}]})
  )
  files = data.build("folder", split="train", path=str(root / "folder"))
  how = preparing.Kept(size_px=canvas)
  preparing.prepare(files, "train", root / "prepared", how, num_threads=2)
  index = {"index": str(root / "index")}

  def parquet(path, **options):
    return data.build("parquet", split="train", path=str(root / path), **options)

  return {
    "folder": files,
    "tar shards": data.build(
      "webdataset", split="train", path=str(root / "set-train.tar"), **index
    ),
    "Arrow (`save_to_disk`)": parquet("arrow"),
    "Parquet, all row groups in the cache": parquet("train.parquet"),
    "Parquet, none in the cache": parquet("train.parquet", cache_mb=0),
    f"prepared, JPEGs of {canvas} px": data.build(
      "arrayrecord", split="train", path=str(root / "prepared"), **index
    ),
  }


def epoch(source: data.Source, canvas: int, seed: int) -> tuple[float, float]:
  """Returns seconds of CPU and of the wall that an epoch takes, an image."""
  steps = len(source) // _BATCH
  batches = pipeline.train_batches(
    *(source,),
    batch_size=_BATCH,
    seed=seed,
    total_steps=steps,
    host_size_px=canvas,
    cache="none",
    num_threads=2,
  )
  begun = time.process_time(), time.perf_counter()
  for _ in batches:
    pass
  ended = time.process_time(), time.perf_counter()
  return tuple((e - b) / (steps * _BATCH) for b, e in zip(begun, ended, strict=True))


def main(_):
  with tempfile.TemporaryDirectory() as folder:
    sources = write(pathlib.Path(folder), _IMAGES.value, _CANVAS.value)
    found = {name: [] for name in sources}
    for run in range(_RUNS.value + 1):  # the first is thrown away
      for name, source in sources.items():
        found[name].append(epoch(source, _CANVAS.value, run))
    medians = {
      name: [statistics.median(values) for values in zip(*runs[1:], strict=True)]
      for name, runs in found.items()
    }
    print("| files | CPU ms an image | / folder | images/s |\n|---|--:|--:|--:|")
    for name, (cpu, wall) in medians.items():
      print(f"| {name} | {1e3 * cpu:.2f} | {cpu / medians['folder'][0]:.2f} | {1 / wall:,.0f} |")


if __name__ == "__main__":
  app.run(main)
