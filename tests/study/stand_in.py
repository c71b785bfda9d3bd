"""Stands in for the commands of a cell: trains in a second, scores by a formula, loads no JAX.

  contrastive_jax study ... --under="python tests/study/stand_in.py"

A study starts its commands under it, so it gets `PYTHON -m contrastive_jax train|eval ...`, and
leaves what those would leave: a config, checkpoints, versions, an evaluation's file. It saves and
goes on as a run does, writes a line into DIR/starts for each start, and takes its ways to fail from
method.temperature. `Children` does so in this process.
"""

import contextlib
import io
import json
import pathlib
import signal
import sys
import time

from contrastive_jax import cli
from contrastive_jax import config as config_lib
from contrastive_jax.cli import parse

STEPS = 4
FAILS, DIVERGES = 0.31, 0.32  # temperatures
BEST_RATE = 0.3
PAUSE_S = 0.02


class Children:
  """In the place of `contrastive_jax.study.children.Children`; starts no process."""

  told = None

  def listening(self):
    return contextlib.nullcontext()

  def run(self, words, log, held, extra):
    del held, extra
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())) as said:
      code = do(words)
    said.flush()
    log.write(said.buffer.getvalue())
    return code


def do(words, told=()):
  """Does what `contrastive_jax WORDS` would; returns its exit code. `told`: not empty, to leave."""
  command, *flags = words
  asked = parse.parse(cli.COMMANDS[command], flags)
  workdir = pathlib.Path(asked.flags["workdir"].value)
  with (workdir.parent.parent / "starts").open("a") as file:
    file.write(f"{command} {workdir.name} {asked.config.get('name', '')}\n")
  return (
    _train(asked.config, workdir, told) if command == "train" else _score(asked.config, workdir)
  )


def _train(config, workdir, told):
  (workdir / "config.json").write_text(config_lib.to_json(config))
  (workdir / "versions.json").write_text('{"device_kind": "none", "device_count": 1}')
  if config.method.temperature == FAILS:
    print("error: it fails")
    return 2
  if config.method.temperature == DIVERGES:
    print("stopped: it diverges")
    return 3
  for step in range(1, STEPS + 1):
    if not (workdir / "checkpoints" / str(step)).exists():
      time.sleep(PAUSE_S)
      (workdir / "checkpoints" / str(step)).mkdir(parents=True)
    if told:
      return 75
  return 0


def _score(config, workdir):
  run = config_lib.from_json((workdir / "config.json").read_text())
  off = abs(run.optimizer.base_lr - BEST_RATE)
  top1 = 0.9 - off - 0.001 * run.seed - run.batch_size / 10_000
  record = {"protocol": "knn", "encoder": "checkpoint", "layer": "h", "top1": top1}
  found = {
    "name": config.name,
    "complete": True,
    "checkpoint_step": STEPS,
    "config": config.to_dict() | {"baselines": [b for b in config.baselines if b]},
    "results": [record],
  }
  (workdir / "eval").mkdir(exist_ok=True)
  (workdir / "eval" / f"{config.name}.json").write_text(json.dumps(found))
  return 0


if __name__ == "__main__":
  told = []
  signal.signal(signal.SIGTERM, lambda *_: told.append(1))
  sys.exit(do(sys.argv[4:], told))
