"""Peak memory of an evaluation's features, in shares of their size; one row of a table each.

python benchmarks/features_rss.py [--images=400000] [--features=2048] [--classes=10] [--processes=1]
  [--what=none,knn,linear_sgd,linear_lbfgs]

Images of one pixel through a function that stands for a network, in batches of 1,024 on CPUs:
collected, checked, cut to those with a label, and their mean and deviation taken, as an evaluation
does before a probe; then a protocol scores them, on so few steps as show its memory. Each row is
processes of its own. PYTHONPATH=CHECKOUT measures another version of the package.
"""

import inspect
import os
import resource
import socket
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from contrastive_jax import augment, parallel
from contrastive_jax.evaluation import features, knn, linear_probe, linear_rates, logistic
from contrastive_jax.evaluation import scores as scores_lib

_IMAGES = flags.DEFINE_integer("images", 400_000, "How many.")
_FEATURES = flags.DEFINE_integer("features", 2048, "Numbers of each.")
_CLASSES = flags.DEFINE_integer("classes", 10, "Of the images.")
_PROCESSES = flags.DEFINE_integer("processes", 1, "That share the features.")
_WHAT = flags.DEFINE_list("what", ["none", "knn", "linear_sgd", "linear_lbfgs"], "Protocols.")
_MEMBER = flags.DEFINE_integer("member", None, "Of the processes; set by the first of them.")
_PLACE = flags.DEFINE_string("place", None, "Where they meet; likewise.")
_BATCH = 1024
_QUERIES = 2048


def stand_in(variables, x):
  """Returns float32 [B, F] that differ between images."""
  del variables
  value = x.reshape(len(x), -1)[:, :1]
  return {"h": jnp.sin((1 + value) * jnp.arange(1, 1 + _FEATURES.value, dtype=jnp.float32))}


def batches(count: int):
  """This process's part of each batch."""
  size = _BATCH // jax.process_count()
  for start in range(0, count, _BATCH):
    index = start + jax.process_index() * size + np.arange(size, dtype=np.int32)
    yield {
      "image": (index % 251).astype(np.uint8)[:, None, None, None].repeat(3, axis=3),
      "extent": np.ones((size, 2), np.int32),
      "label": index % 251 % _CLASSES.value,
      "index": index,
      "mask": index < count,
      "replaced": np.zeros(size, np.int32),
    }


def collected(count: int, mesh):
  """Returns features of so many images, and their labels."""
  view = augment.recipe("none", size_px=1)
  known = {"size": count} if "size" in inspect.signature(features.collect).parameters else {}
  found = features.collect(stand_in, {}, batches(count), view=view, mesh=mesh, **known)
  found = features.labelled(found, "the stand-ins")
  x = found.rows("h") if hasattr(found, "rows") else found.layers["h"]
  linear_probe.standardization(x)
  return x, found.label


def scored(what: str, x, label, queries, query_label, mesh) -> None:
  """Scores by a protocol; the numbers mean nothing."""
  classes = _CLASSES.value
  if what == "knn":
    knn.evaluate(x, label, queries, query_label, classes, knn.Options(), mesh)
  elif what == "linear_sgd":
    options = linear_probe.Options(batch_size=4096, epochs=1, min_steps=0)
    linear_rates.choose(x, label, classes, options, mesh)
    classifier = linear_probe.fit(x, label, classes, options, mesh)
    scores_lib.of_linear(*classifier, x, label, mesh)
  elif what == "linear_lbfgs":
    options = logistic.Options(num_penalties=2, max_iterations=2)
    found = logistic.fit(x, label, classes, options, mesh)
    scores_lib.of_linear(*found.classifier, x, label, mesh)


def measured(what: str) -> None:
  """Prints this process's part of a row."""
  mesh = parallel.make_mesh()
  small = collected(4 * _BATCH, mesh)
  scored(what, *small, *small, mesh)  # compiles
  before = _rss_bytes()
  peak = _Peak()
  x, label = collected(_IMAGES.value, mesh)
  scored(what, x, label, *collected(_QUERIES, mesh), mesh)
  used = peak.stop() - before
  size = 4 * len(label) * _FEATURES.value
  print(f"MEASURED {used / 1e9:.2f} GB, {used / size:.2f} of the features")


class _Peak:
  """The largest resident size from now on; what the system keeps includes the time before."""

  def __init__(self):
    self._most, self._ends = 0, threading.Event()
    self._thread = threading.Thread(target=self._watch)
    self._thread.start()

  def _watch(self):
    while not self._ends.wait(0.002):
      self._most = max(self._most, _rss_bytes())

  def stop(self) -> int:
    self._ends.set()
    self._thread.join()
    return self._most


def _rss_bytes() -> int:
  with open("/proc/self/statm") as f:
    return int(f.read().split()[1]) * resource.getpagesize()


def main(argv: list[str]) -> None:
  if _MEMBER.value is not None:
    if _PROCESSES.value > 1:
      jax.distributed.initialize(_PLACE.value, _PROCESSES.value, _MEMBER.value)
    measured(_WHAT.value[0])
    return
  with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    place = f"127.0.0.1:{s.getsockname()[1]}"
  size = 4 * _IMAGES.value * _FEATURES.value
  for what in _WHAT.value:
    started, since = [], time.monotonic()
    for member in range(_PROCESSES.value):
      command = [sys.executable, *argv, *_flags(), f"--what={what}", f"--member={member}"]
      command.append(f"--place={place}")
      environment = os.environ | {"JAX_PLATFORMS": "cpu"}
      pipe = subprocess.PIPE
      started.append(subprocess.Popen(command, env=environment, stdout=pipe, text=True))
    said = [p.communicate()[0] for p in started]
    lines = [[x for x in text.splitlines() if "MEASURED" in x][0].split(" ", 1)[1] for text in said]
    print(
      f"| {what} | {size / 1e9:.2f} GB | {' | '.join(lines)} | {time.monotonic() - since:.0f} s |"
    )


def _flags() -> list[str]:
  return [f"--{flag.name}={flag.value}" for flag in (_IMAGES, _FEATURES, _CLASSES, _PROCESSES)]


if __name__ == "__main__":
  app.run(main)
