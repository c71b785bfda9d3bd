"""Runs train.py and eval.py for the benchmarks; what is finished is not run again."""

import json
import pathlib
import subprocess
import sys

from contrastive_jax.step import collapse

HOME = pathlib.Path(__file__).resolve().parent.parent


def cifar10_methods() -> list[str]:
  """Returns the methods that have a config for CIFAR-10."""
  return sorted(path.stem for path in HOME.glob("configs/cifar10/[!_]*.py"))


def train(workdir: pathlib.Path, config: str, *overrides: str) -> None:
  """Trains to the end; `overrides` as on the command line, without "--config."."""
  _run("train.py", f"--config=configs/{config}", workdir, overrides)


def score(workdir: pathlib.Path, name: str, *overrides: str) -> list[dict]:
  """Returns the records that eval.py writes under `name`."""
  path = workdir / "eval" / f"{name}.json"
  if not path.exists() or not json.loads(path.read_text()).get("complete", True):
    _run("eval.py", "--config=configs/eval/all.py", workdir, (f"name={name}", *overrides))
  return json.loads(path.read_text())["results"]


def _run(script: str, config: str, workdir: pathlib.Path, overrides: tuple[str, ...]) -> None:
  flags = [f"--config.{override}" for override in overrides]
  command = [sys.executable, script, config, f"--workdir={workdir.absolute()}", *flags]
  subprocess.run(command, cwd=HOME, check=True)


def collapse_figures(workdir: pathlib.Path) -> dict[int, dict[str, float]]:
  """Returns {step: {"std": ...}} of every logged line, {} if z is not watched."""
  lines = [json.loads(line) for line in (workdir / "metrics.jsonl").open()]
  return {
    line["step"]: {name: line[f"collapse_{name}"] for name in ("std", "rank", "cosine", "zeros")}
    for line in lines
    if "collapse_std" in line
  }


def alarms(workdir: pathlib.Path) -> dict[str, int]:
  """Returns {kind of collapse: first step at which the run told it}, by its own limits."""
  monitor = json.loads((workdir / "config.json").read_text())["monitor"]
  limits = {name: monitor[name] for name in ("min_std", "min_rank", "max_cosine", "max_zeros")}
  first = {}
  for step, figures in collapse_figures(workdir).items():
    if step >= monitor["alarm_after_steps"]:
      for kind in collapse.alarms(figures, **limits):
        first.setdefault(kind, step)
  return first
