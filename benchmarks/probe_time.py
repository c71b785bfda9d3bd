"""CPU time of the linear probes beside PyTorch and scikit-learn; one Markdown table.

taskset -c 0 python benchmarks/probe_time.py [--runs=3] [--rows=NAME,NAME] [--pixels=FILE.npz]

CPU time of the process, so that other work on the machine counts little, on one core: on several,
threads of OpenMP spin while they wait, which counts as time of the peers. Ours and the peer in
turn, medians after one call of each that does not count. PyTorch (`torch`) trains by SGD on the
same standardised features, with the same batch, epochs, momentum and schedule; it standardises all
once and picks the rows of a batch from there. scikit-learn solves for one penalty by L-BFGS.
"train" is the top-1 of both classifiers on what they were trained on.

Pixels are those of CIFAR-10 as `evaluation.features.OfPixels` gives them, 3,072 numbers; beside
them as many numbers that mean nothing but the class. PYTHONPATH=CHECKOUT measures another version
of the package. Both have malloc as `contrastive_jax eval` sets it: memory that is freed is kept.
"""

import statistics
import time
import warnings

import as_command  # noqa: F401
import numpy as np
import torch
from absl import app, flags
from sklearn.linear_model import LogisticRegression

from contrastive_jax import parallel
from contrastive_jax.evaluation import linear_probe, logistic

_RUNS = flags.DEFINE_integer("runs", 3, "Of each form.")
_EPOCHS = flags.DEFINE_integer("epochs", 5, "Of SGD.")
_ROWS = flags.DEFINE_list("rows", None, "To measure; all by default.")
_PIXELS = flags.DEFINE_string("pixels", None, "An npz file of CIFAR-10's images, see docs/data.md.")
_CLASSES, _RATE, _BATCH, _PENALTY = 10, 0.1, 256, 1.0


def made_up(num: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns clusters that overlap, and their numbers."""
  rng = np.random.default_rng(0)
  centre = rng.standard_normal((_CLASSES, dim), np.float32)
  label = rng.integers(0, _CLASSES, num).astype(np.int32)
  x = rng.standard_normal((num, dim), np.float32)
  x *= 9 * np.sqrt(dim / 512)
  x += centre[label]
  return x, label


def pixels(num: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns images as features."""
  with np.load(_PIXELS.value) as file:
    image, label = (file[name][:num] for name in ("images", "labels"))
  x = image.reshape(num, dim).astype(np.float32) / 255
  x *= 1 / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + 1e-12)
  return x, label.astype(np.int32)


def ours_sgd(x, label):
  options = linear_probe.Options(
    base_lr=_RATE, rates=(), batch_size=_BATCH, epochs=_EPOCHS.value, min_steps=0
  )
  return linear_probe.fit(x, label, _CLASSES, options, parallel.make_mesh())


def torch_sgd(x, label):
  x, label = torch.from_numpy(x), torch.from_numpy(label).long()
  std, mean = torch.std_mean(x, dim=0, correction=0)
  x = (x - mean) / std.clamp_min(1e-6)
  layer = torch.nn.Linear(x.shape[1], _CLASSES)
  torch.nn.init.zeros_(layer.weight)
  torch.nn.init.zeros_(layer.bias)
  optimizer = torch.optim.SGD(layer.parameters(), _RATE, momentum=0.9, nesterov=True)
  per_epoch = len(x) // _BATCH
  schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, per_epoch * _EPOCHS.value)
  for _ in range(_EPOCHS.value):
    order = torch.randperm(len(x))
    for step in range(per_epoch):
      chosen = order[step * _BATCH : (step + 1) * _BATCH]
      loss = torch.nn.functional.cross_entropy(layer(x[chosen]), label[chosen])
      optimizer.zero_grad()
      loss.backward()
      optimizer.step()
      schedule.step()
      loss.item()  # ours tells every loss, too
  kernel = (layer.weight / std.clamp_min(1e-6)).detach().numpy().T
  return kernel, layer.bias.detach().numpy() - mean.numpy() @ kernel


def ours_lbfgs(x, label):
  options = logistic.Options(min_penalty=_PENALTY, max_penalty=_PENALTY, num_penalties=1)
  return logistic.fit(x, label, _CLASSES, options, parallel.make_mesh()).classifier


def sklearn_lbfgs(x, label):
  mean, std = x.mean(0), np.maximum(x.std(0), 1e-6)
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # where it has not converged
    found = LogisticRegression(C=1 / _PENALTY, max_iter=500).fit((x - mean) / std, label)
  kernel = (found.coef_ / std).T
  return kernel, found.intercept_ - mean @ kernel


_MANY = 50_000
_PROBES = {  # ours, peer, features, how many, of how many numbers
  "sgd_512": (ours_sgd, torch_sgd, made_up, _MANY, 512),
  "sgd_2048": (ours_sgd, torch_sgd, made_up, _MANY, 2048),
  "sgd_3072": (ours_sgd, torch_sgd, made_up, _MANY, 3072),
  "sgd_pixels": (ours_sgd, torch_sgd, pixels, _MANY, 3072),
  "lbfgs_512": (ours_lbfgs, sklearn_lbfgs, made_up, _MANY, 512),
  "lbfgs_3072": (ours_lbfgs, sklearn_lbfgs, made_up, 5_000, 3072),
  "lbfgs_pixels": (ours_lbfgs, sklearn_lbfgs, pixels, 5_000, 3072),
}


def row(name: str) -> str:
  ours, peer, make, num, dim = _PROBES[name]
  x, label = make(num, dim)
  taken, found = {ours: [], peer: []}, {}
  for run in range(_RUNS.value + 1):
    for call in (ours, peer) if run % 2 else (peer, ours):
      start = time.process_time()
      found[call] = call(x, label)
      taken[call].append(time.process_time() - start)
  ours_s, peer_s = (statistics.median(times[1:]) for times in taken.values())
  right = [100 * np.mean((x @ k + b).argmax(1) == label) for k, b in (found[ours], found[peer])]
  cells = f"{num:,} × {dim:,} | {ours_s:.2f} s | {peer_s:.2f} s | {ours_s / peer_s:.2f}"
  return f"| {name} | {cells} | {right[0]:.1f} %, {right[1]:.1f} % |"


def rows() -> list[str]:
  """Returns those asked for, or all for which there is something to measure."""
  every: list[str] = list(_PROBES)
  return _ROWS.value or [name for name in every if _PIXELS.value or "pixels" not in name]


def main(argv: list[str]) -> None:
  del argv
  print("| probe | features | ours | peer | ratio | train |")
  print("|---|--:|--:|--:|--:|--:|")
  for name in rows():
    print(row(name), flush=True)


if __name__ == "__main__":
  app.run(main)
