"""The process that is asked for plans: checks everything first, then compiles one by one."""

import json
import pathlib
import subprocess
import sys
import tempfile

from ml_collections import ConfigDict

from contrastive_jax import build, errors, parallel, places
from contrastive_jax import config as config_lib
from contrastive_jax.plan import figures, report, topology
from contrastive_jax.plan import images as images_lib


def run(
  config: ConfigDict,
  plan: str,
  *,
  batches: str | None = None,
  images: str | None = None,
  directory: str | None = None,
) -> list[dict]:
  """Plans a config for every topology and batch size, and prints what it finds.

  Args:
    config: of the run.
    plan: topologies, e.g. "v5e:4x4,8x8" (see `topology.parse`).
    batches: batch sizes, e.g. "4096,8192"; None: the config's.
    images: sizes of the training set, see `images.describe`.
    directory: for plan.json, and plan.png if there are several plans; None: no files.

  Returns:
    What plan.json holds, a dict for each plan.

  Raises:
    UserError: something that cannot work, before anything is compiled where that can be known.
  """
  config_lib.check(config)
  topologies = topology.parse(plan)
  requests = [(_with_batch(config, b), t) for b in _batches(config, batches) for t in topologies]
  for changed, asked in requests:
    topology.check_installed(asked)
    if asked.num_devices:
      parallel.check_batch_size(changed.batch_size, asked.num_devices)
      build.check_micro_batches(changed, asked.num_devices)
  sizes = images_lib.describe(config, images)
  for changed, _ in requests:
    build.steps_per_epoch(changed, sizes.count)
  if directory:
    places.ready(pathlib.Path(directory), "the plan", "give another --workdir, or none")
  plans = []
  for changed, asked in requests:
    print(f"compiling for {asked}, batch {changed.batch_size} ...", file=sys.stderr, flush=True)
    found = _compile(changed, asked, sizes)
    plans.append(figures.of(str(asked), changed, sizes, found))
    print(report.text(plans[-1]), flush=True)
    if directory:  # after each: they take minutes
      _write(plans, config, pathlib.Path(directory))
  if len(plans) > 1:
    print(report.table(plans), end="")
  return plans


def _batches(config: ConfigDict, batches: str | None) -> list[int]:
  if batches is None:
    return [config.batch_size]
  parts = batches.split(",")
  if not all(part.isdigit() and int(part) > 1 for part in parts):
    raise errors.UserError(f"--plan_batch={batches} is no list of batch sizes, e.g. 4096,8192")
  return [int(part) for part in parts]


def _with_batch(config: ConfigDict, batch_size: int) -> ConfigDict:
  changed = config.copy_and_resolve_references()
  changed.batch_size = batch_size
  return changed


def _compile(config: ConfigDict, asked: topology.Topology, sizes: images_lib.Images) -> dict:
  """Runs the child process; its errors of use are raised here."""
  environment = topology.environment(asked)
  package = str(pathlib.Path(__file__).resolve().parents[2])
  environment["PYTHONPATH"] = ":".join(filter(None, [package, environment.get("PYTHONPATH")]))
  request = {
    "topology": (asked.family, asked.size),
    "config": config_lib.to_json(config),
    "images": sizes,
  }
  with tempfile.TemporaryDirectory() as scratch:
    result = pathlib.Path(scratch) / "result.json"
    done = subprocess.run(
      [sys.executable, "-m", "contrastive_jax.plan.child", str(result)],
      input=json.dumps(request),
      env=environment,
      capture_output=True,
      text=True,
    )
    if done.returncode or not result.exists():
      raise RuntimeError(f"compiling for {asked} failed:\n{done.stderr[-4000:]}")
    found = json.loads(result.read_text())
  if "error" in found:
    raise errors.UserError(found["error"])
  return found


def _write(plans: list[dict], config: ConfigDict, directory: pathlib.Path) -> None:
  content = {"config": config.to_dict(), "plans": plans}
  places.write(directory / "plan.json", json.dumps(content, indent=1) + "\n")
  if len(plans) > 1:
    report.plot(plans, directory / "plan.png")
