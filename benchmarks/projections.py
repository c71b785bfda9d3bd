"""Seconds and memory of the projections of a report, each in a process of its own; a table.

  python benchmarks/projections.py pca tsne umap

Needs scikit-learn for tsne and umap-learn for umap. The points are 1,000, as many as a report
draws, of as many features as --features says: ten groups on random directions. The first time
includes what a package compiles; "again" is the median of three. Memory is what the peak of the
process grows by.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

from contrastive_jax.report import projecting


def measure(name: str, count: int) -> str:
  rng = np.random.default_rng(0)
  x = rng.normal(size=(10, count))[rng.integers(0, 10, 1000)] + rng.normal(size=(1000, count))
  before, seconds = _peak_mib(), []
  for _ in range(4):
    begun = time.process_time()
    projecting.project(name, x.astype(np.float32))
    seconds.append(time.process_time() - begun)
  figures = f"{seconds[0]:.1f} | {statistics.median(seconds[1:]):.1f} | {_peak_mib() - before:.0f}"
  return f"| {projecting.METHODS[name].title} | {count} | {figures} |"


def _peak_mib() -> float:
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
  parser = argparse.ArgumentParser()
  parser.add_argument("names", nargs="+", choices=projecting.METHODS)
  parser.add_argument("--features", type=int, nargs="+", default=[64, 2048])
  parser.add_argument("--alone", action="store_true", help="one case, in this process")
  asked = parser.parse_args()
  if asked.alone:
    print(measure(asked.names[0], asked.features[0]))
    return
  print("| | features | first, s | again, s | memory, MiB |\n|---|--:|--:|--:|--:|", flush=True)
  for name in asked.names:
    for count in asked.features:
      words = [sys.executable, __file__, name, "--alone", f"--features={count}"]
      subprocess.run(words, check=True)


if __name__ == "__main__":
  main()
