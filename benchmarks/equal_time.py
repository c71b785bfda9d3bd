"""Methods with ResNet-18 on CIFAR-10, about as long each on one accelerator; a Markdown table.

python benchmarks/equal_time.py --data='DIR/cifar10_{split}.npz' --epochs=20 [METHOD ...]

DIR holds npz files of the two splits (see docs/data.md). `--epochs` are those of a method
whose step passes each view through one network, forwards and backwards; one with a second network,
which goes forwards only, does as much in three quarters of them. Each trains by its own
`configs/cifar10/METHOD.py` with two epochs of warm-up; the schedule ends with the run. Scored by
kNN and linear probes on h, all training images, beside the same network untrained.

One after the other, or, where compiling takes longer than training, all --at_once: then each has a
share of the accelerator, set XLA_PYTHON_CLIENT_MEM_FRACTION=.2, and images/s are those of a share.
"""

import concurrent.futures
import json
import pathlib
import time

import scripts
from absl import app, flags

_DATA = flags.DEFINE_string("data", None, "FILE_{split}.npz.", required=True)
_ROOT = flags.DEFINE_string("root", "runs/equal_time", "Directory of the workdirs.")
_EPOCHS = flags.DEFINE_integer("epochs", 20, "Of a method with one network.")
_AT_ONCE = flags.DEFINE_bool(
  "at_once", False, "All at the same time; see the memory of each below."
)

METHODS = {  # passes of a view through a network, one backwards as two: 3, or 4 with a target
  "simclr": 3,
  "moco": 4,
  "byol": 4,
  "barlow": 3,
}
PUBLISHED = {"simclr": 90.74, "moco": 92.94, "byol": 92.58, "barlow": 92.10}
PROTOCOLS = "knn", "linear_sgd", "linear_lbfgs"


def epochs(method: str) -> int:
  """Returns the epochs of a method in the time of `--epochs` of one with one network."""
  return max(3, round(3 * _EPOCHS.value / METHODS[method]))


def train(method: str, workdir: pathlib.Path) -> float:
  """Trains unless that is done; returns the seconds that it took, with start and compilation."""
  clock, start = workdir / "seconds.json", time.monotonic()
  if clock.exists():
    return json.loads(clock.read_text())
  scripts.train(
    workdir,
    f"cifar10/{method}.py",
    "data.source=npz",
    "data.split=train",
    f"data.npz.path={_DATA.value}",
    f"epochs={epochs(method)}",
    "optimizer.warmup_epochs=2.0",
    "checkpoint.every_epochs=0",
  )
  clock.write_text(json.dumps(time.monotonic() - start))
  return json.loads(clock.read_text())


def row(method: str, workdir: pathlib.Path, seconds: float) -> str:
  """Returns a row of the table."""
  lines = [json.loads(line) for line in (workdir / "metrics.jsonl").open()]
  rates = sorted(line["images_per_second"] for line in lines if "images_per_second" in line)
  cells = [method, str(epochs(method)), f"{seconds:.0f} s", f"{rates[len(rates) // 2]:,.0f}"]
  protocols = f"protocols={','.join(PROTOCOLS)}"
  records = scripts.score(workdir, "table", protocols, "baselines=random_init", "layers=h")
  for encoder in ("checkpoint", "random_init"):
    top1 = {r["protocol"]: r["top1"] for r in records if r["encoder"] == encoder}
    cells += [f"{100 * top1[protocol]:.1f} %" for protocol in PROTOCOLS]
  return f"| {' | '.join(cells)} | {PUBLISHED[method]} % |"


def main(argv: list[str]) -> None:
  methods = argv[1:] or list(METHODS)
  workdirs = [pathlib.Path(_ROOT.value) / method for method in methods]
  with concurrent.futures.ThreadPoolExecutor(len(methods) if _AT_ONCE.value else 1) as pool:
    seconds = list(pool.map(train, methods, workdirs))
    rows = list(pool.map(row, methods, workdirs, seconds))
  scores = "kNN | linear, SGD | linear, L-BFGS"
  print(f"| method | epochs | time | images/s | {scores} |", end="")
  print(f" untrained: {scores} | published, 1000 epochs |\n|---{'|--:' * 10}|")
  print("\n".join(rows))


if __name__ == "__main__":
  app.run(main)
