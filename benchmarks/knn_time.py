"""CPU time of kNN beside faiss; one Markdown table.

taskset -c 0 python benchmarks/knn_time.py [--runs=5] [--rows=NAME,NAME]    # needs faiss-cpu

CPU time of the process, so that other work on the machine counts little, on one core: on several,
threads of OpenMP spin while they wait, which counts as time of faiss. Ours and an exact index
of faiss (`IndexFlatIP`, which adds the bank and searches, as many threads) in turn, medians after
one call of each that does not count. Ours is the whole evaluation: rows checked and scaled, what
the devices are given, the neighbours, the vote, the scores. faiss only scales and searches.
"scores" is our top-1, and by how many examples our top-1 and top-5 differ from those of a vote in
float64 of the neighbours that faiss found. PYTHONPATH=CHECKOUT measures another version of the
package. Both have malloc as `contrastive_jax eval` sets it: memory that is freed is kept.
"""

import statistics
import time
from collections.abc import Callable

import as_command  # noqa: F401
import faiss
import numpy as np
from absl import app, flags

from contrastive_jax.evaluation import knn

_RUNS = flags.DEFINE_integer("runs", 5, "Of each form.")
_ROWS = flags.DEFINE_list("rows", None, "To measure; all by default.")

# Images in the bank, queries, features, classes, k.
_SIZES = {
  "cifar10_512": (50_000, 10_000, 512, 10, 200),
  "cifar10_2048": (50_000, 10_000, 2048, 10, 200),
  "few_512": (50_000, 2_048, 512, 10, 200),
  "few_512_k20": (50_000, 2_048, 512, 10, 20),
  "few_2048": (50_000, 2_048, 2048, 10, 200),
  "few_1000_classes": (50_000, 2_048, 512, 1000, 200),
}
_TEMPERATURE = 0.07


def data(num_train: int, num_test: int, dim: int, classes: int) -> tuple[np.ndarray, ...]:
  """Returns clusters that overlap: about as hard to tell as features of CIFAR-10."""
  rng = np.random.default_rng(0)
  centre = rng.standard_normal((classes, dim), np.float32)
  label = rng.integers(0, classes, num_train + num_test).astype(np.int32)
  x = rng.standard_normal((num_train + num_test, dim), np.float32)
  x *= 9 * np.sqrt(dim / 512)
  x += centre[label]
  return x[:num_train], label[:num_train], x[num_train:], label[num_train:]


def searched(train: np.ndarray, test: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns cosines and places of the k nearest, by faiss."""
  train, test = train.copy(), test.copy()
  faiss.normalize_L2(train)
  faiss.normalize_L2(test)
  index = faiss.IndexFlatIP(train.shape[1])
  index.add(train)
  return index.search(test, k)


def voted(cosine: np.ndarray, voter: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
  """Returns the rank of each query's label by the weighted vote, in float64."""
  score = np.zeros((len(label), classes))
  weight = np.exp((cosine.astype(np.float64) - cosine[:, :1]) / _TEMPERATURE)
  np.add.at(score, (np.arange(len(label))[:, None], voter), weight)
  own = score[np.arange(len(label)), label][:, None]
  return np.where(own[:, 0] > 0, (score > own).sum(axis=1), classes)


def in_turn(first: Callable, second: Callable) -> tuple[list[float], list[float]]:
  """Returns the CPU times of two calls, after one of each that does not count."""
  taken = {first: [], second: []}
  for run in range(_RUNS.value + 1):
    for call in (first, second) if run % 2 else (second, first):
      start = time.process_time()
      call()
      taken[call].append(time.process_time() - start)
  return tuple(times[1:] for times in taken.values())


def row(name: str) -> str:
  num_train, num_test, dim, classes, k = _SIZES[name]
  train, train_label, test, test_label = data(num_train, num_test, dim, classes)
  options = knn.Options(k=k, temperature=_TEMPERATURE)
  found = {}

  def ours():
    found["ours"] = knn.evaluate(train, train_label, test, test_label, classes, options)

  def peer():
    found["faiss"] = searched(train, test, k)

  ours_s, faiss_s = in_turn(ours, peer)
  cosine, place = found["faiss"]
  rank = voted(cosine, train_label[place], test_label, classes)
  apart = [
    round(num_test * abs(a - b))
    for a, b in ((found["ours"].top1, (rank < 1).mean()), (found["ours"].top5, (rank < 5).mean()))
  ]
  pairs = sorted(a / b for a, b in zip(ours_s, faiss_s, strict=True))
  ours_s, faiss_s = statistics.median(ours_s), statistics.median(faiss_s)
  return (
    f"| {num_train:,} × {num_test:,} | {dim} | {classes} | {k} | {ours_s:.2f} s | {faiss_s:.2f} s "
    f"| {ours_s / faiss_s:.2f} | {pairs[0]:.2f} to {pairs[-1]:.2f} "
    f"| {100 * found['ours'].top1:.2f} %, {sum(apart)} apart |"
  )


def main(argv: list[str]) -> None:
  del argv
  print("| bank × queries | features | classes | k | ours | faiss | ratio | of pairs | scores |")
  print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
  for name in _ROWS.value or _SIZES:
    print(row(name), flush=True)


if __name__ == "__main__":
  app.run(main)
