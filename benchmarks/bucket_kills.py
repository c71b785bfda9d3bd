"""Runs whose workdir is in a bucket: killed, their objects damaged, their server away; tables.

python benchmarks/bucket_kills.py --kind=gs --kills=50
python benchmarks/bucket_kills.py --kind=gs --kills=50 --processes=2
python benchmarks/bucket_kills.py --kind=s3 --damages=200
python benchmarks/bucket_kills.py --kind=gs --away_s=20

The server is the emulator of the tests (tests/bucket_servers.py), in this process. A run is that of
tests/tiny_config.py on one CPU device. SIGKILL comes while it starts or after some more requests to
the server, so also in the middle of a save; three starts in ten are on another "machine", with an
empty cache folder, where the lease has to run out first (8 s here). The final state must have, leaf
by leaf, the SHA-256 of a local run that nobody disturbed, and metrics.jsonl each step once.

A damage flips a bit of an object of the newest checkpoint, its marker included, cuts it off or
deletes it; then an evaluation and a resumed run read from a machine that has nothing yet.
"""

import collections
import contextlib
import io
import logging
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

import bucket_servers
import damage
import jax
import members
import numpy as np
import supervised
import tiny_config
from absl import app, flags

from contrastive_jax import metric_lines, paths
from contrastive_jax.buckets import objects, steps
from contrastive_jax.training import trainer
from contrastive_jax.workdir import bucket, loading

_KIND = flags.DEFINE_enum("kind", "gs", bucket_servers.KINDS, "Of the bucket.")
_KILLS = flags.DEFINE_integer("kills", 0, "Of a run.")
_DAMAGES = flags.DEFINE_integer("damages", 0, "Of objects.")
_AWAY_S = flags.DEFINE_float("away_s", 0, "Seconds that the server is away, in a start and a save.")
_PROCESSES = flags.DEFINE_integer("processes", 1, "Of each run; a random one is killed.")
_EPOCHS = flags.DEFINE_integer("epochs", 400, "Of a run: enough to be killed that often.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the moments and damages.")

_SHORT_LEASE = (
  "from contrastive_jax.buckets import lease\nlease.LASTS_S, lease.RENEWED_S = 8.0, 0.5\n"
)
OUTCOMES = ("newest", "told, one before", "error", "WRONG AND SILENT")


def main(argv: list[str]) -> None:
  del argv
  server = bucket_servers.Server(_KIND.value)
  rng = np.random.default_rng(_SEED.value)
  with tempfile.TemporaryDirectory() as folder:
    if _KILLS.value:
      kills(server, pathlib.Path(folder), rng)
    if _DAMAGES.value:
      damages(server, pathlib.Path(folder), rng)
    if _AWAY_S.value:
      away(server, pathlib.Path(folder))


class Run:
  """Starts of one run, each on a machine."""

  def __init__(self, server, folder: pathlib.Path, epochs: int, before: str):
    self.server, self.folder, self.machine = server, folder, 0
    config = members.config_file(folder, before=before, epochs=epochs)
    command = " ".join(members.training(config, server.address("run")))
    self._command = ["sh", "-c", f'echo $$ >> {folder}/pids; exec {command} "$@"', "sh"]
    self.log = (folder / "log").open("a")

  def start(self) -> subprocess.Popen:
    (self.folder / "pids").unlink(missing_ok=True)
    launch = [sys.executable, "-m", "contrastive_jax.launch", "--restarts=0", "--grace_s=3"]
    environment = {paths.CACHE: str(self.folder / f"machine{self.machine}")}
    environment["JAX_COMPILATION_CACHE_DIR"] = str(self.folder / "cache")
    return subprocess.Popen(
      [*launch, f"--processes={_PROCESSES.value}", "--", *self._command],
      env=members.environment(**environment, **self.server.environment),
      stdout=subprocess.DEVNULL,
      stderr=self.log,
    )

  def pids(self) -> list[int]:
    path = self.folder / "pids"
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []

  def said(self) -> str:
    return (self.folder / "log").read_text()


def kills(server, folder: pathlib.Path, rng) -> None:
  expected = undisturbed(folder)
  run, moments, moves = Run(server, folder / "killed", _EPOCHS.value, _SHORT_LEASE), [], 0
  while True:
    process = run.start()
    if len(moments) < _KILLS.value:
      while len(run.pids()) < _PROCESSES.value:
        time.sleep(0.01)
      early = rng.random() < 0.3
      if early:
        time.sleep(rng.uniform(0, 10))
      else:
        seen = len(server.requests)  # of a start about thirty, of a save about fifty
        until = seen + int(rng.integers(1, 300))
        while len(server.requests) < until and process.poll() is None:
          time.sleep(0.002)
      if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
          os.kill(int(rng.choice(run.pids())), signal.SIGKILL)
          moments.append("starting" if early else moment(server))
    code = process.wait()
    if code == 0:
      break
    assert code in (74, 66, 76, 128 + signal.SIGKILL, 128 + signal.SIGABRT), run.said()[-3000:]
    if rng.random() < 0.3:
      run.machine, moves = run.machine + 1, moves + 1
  found, steps_logged = final_state(server), logged(server)
  equal = found == expected and steps_logged == sorted(set(steps_logged))
  if len(moments) < _KILLS.value:
    print(f"warning: the run ended after {len(moments)} kills; give it more --epochs")
  counts = " | ".join(str(moments.count(m)) for m in ("starting", "putting", "stepping"))
  print("| | kills: starting | putting | stepping | other machines | steps | leaves | equal |")
  print("|---|--:|--:|--:|--:|--:|--:|---|")
  print(
    f"| {server.kind}, {_PROCESSES.value} process(es) | {counts} | {moves} | {found[0]} | "
    f"{len(found[1])} | {'yes' if equal else 'NO'} |",
    flush=True,
  )


def undisturbed(folder: pathlib.Path):
  """The final state of a local run of as many processes."""
  config = members.config_file(folder / "whole", epochs=_EPOCHS.value)
  launch = [sys.executable, "-m", "contrastive_jax.launch", f"--processes={_PROCESSES.value}", "--"]
  subprocess.run(
    [*launch, *members.training(config, folder / "whole" / "run")],
    env=members.environment(JAX_COMPILATION_CACHE_DIR=str(folder / "killed" / "cache")),
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    check=True,
  )
  return supervised.final_state(folder / "whole")


def of_run(server) -> dict[str, bytes]:
  return {n.removeprefix("run/"): c for n, c in server.objects().items() if n.startswith("run/")}


def moment(server) -> str:
  there = of_run(server)
  torn = steps.objects(there).keys() - set(steps.marked(there))
  return "putting" if torn else "stepping"


def final_state(server):
  there = of_run(server)
  step = steps.marked(there)[-1]
  assert not steps.marked(there, "damaged"), "a good checkpoint was set aside"
  with tempfile.TemporaryDirectory() as folder:
    for name, content in there.items():
      if name.startswith(f"{steps.prefix(step)}/"):
        path = pathlib.Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return step, damage.digests(folder, step)


def logged(server) -> list[int]:
  lines = of_run(server)["metrics.jsonl"].splitlines()
  return [found["step"] for found in map(metric_lines.parsed, lines)]


def damages(server, folder: pathlib.Path, rng) -> None:
  os.environ.update(server.environment)
  os.environ[paths.CACHE] = str(folder / "first")
  config = tiny_config.tiny(model__width=1.0)  # arrays too large for TensorStore's inner nodes
  final = jax.device_get(trainer.train(config, server.address("run"), jax.devices()[:1]).state)
  whole = server.objects()
  before = None
  counts = {kind: collections.Counter() for kind in damage.DAMAGES}
  for trial in range(-1, _DAMAGES.value):
    for name in set(server.objects()) - set(whole):
      server.delete(name)
    place = objects.Objects(bucket.address.parsed(server.address(""), "bucket"))
    for name, content in whole.items():
      if server.objects().get(name) != content:
        place.put(name, content)
    newest = [n for n in whole if n.startswith(("run/checkpoints/12/", "run/checkpoints/12."))]
    kind = damage.DAMAGES[trial % len(counts)]
    if trial < 0:  # which state is the one before
      server.delete("run/checkpoints/12.committed")
    else:
      harm(place, str(rng.choice(newest)), kind, rng)
    for number, read in enumerate((evaluate, resume)):
      os.environ[paths.CACHE] = str(folder / f"machine{trial}.{number}")
      told = io.StringIO()
      log, handler = logging.getLogger("contrastive_jax"), logging.StreamHandler(told)
      log.addHandler(handler)
      try:
        with contextlib.redirect_stderr(told):
          state, pick = read(server.address("run"), final)
      except Exception as error:
        print(f"{read.__name__}: {error!r}", file=sys.stderr)
        counts[kind]["error"] += 1
        continue
      finally:
        log.removeHandler(handler)
      if trial < 0:
        before = state if read is resume else before
      elif damage.same(state, pick(final)):
        counts[kind]["newest"] += 1
      elif damage.same(state, pick(before)):
        counts[kind]["told, one before" if "checkpoint 12" in told.getvalue() else OUTCOMES[3]] += 1
      else:
        counts[kind][OUTCOMES[3]] += 1
    shutil.rmtree(folder / f"machine{trial}.1", ignore_errors=True)
  print(f"| {_DAMAGES.value} damages, {server.kind} | " + " | ".join(OUTCOMES) + " |")
  print("|---|" + "--:|" * len(OUTCOMES))
  for kind, found in counts.items():
    print(f"| {kind} | " + " | ".join(str(found[o]) for o in OUTCOMES) + " |", flush=True)


def harm(place, name: str, kind: str, rng) -> None:
  content = bytearray(place.get(name))
  if kind == "delete" or not content:
    place.delete(name)
    return
  at = int(rng.integers(len(content)))
  if kind == "truncate":
    content = content[:at]
  else:
    content[at] ^= 1 << int(rng.integers(8))
  place.put(name, bytes(content))


def evaluate(workdir: str, like):
  del like
  run = loading.load_run(workdir)
  return (run.params, run.stats), lambda state: (state.params, state.stats)


def resume(workdir: str, like):
  with bucket.here(workdir) as (folder, mirror):
    on_device = jax.device_put(like, jax.devices()[0])
    return jax.device_get(damage.restore(folder, on_device, mirror=mirror)), lambda state: state


def away(server, folder: pathlib.Path) -> None:
  expected = undisturbed(folder)
  print("| the server is away | exit codes | steps | set aside | equal |\n|---|---|--:|--:|---|")
  for when in ("in a start", "in a save"):
    for name in list(server.objects()):
      server.delete(name)
    run, codes = Run(server, folder / when.replace(" ", "_"), _EPOCHS.value, ""), []
    if when == "in a start":
      server.stop()
    process = run.start()
    if when == "in a start":
      time.sleep(_AWAY_S.value)
      server.start()
    else:
      while moment(server) != "putting":
        time.sleep(0.002)
      with server.away(_AWAY_S.value):
        pass
    while True:
      codes.append(process.wait())
      if codes[-1] not in (66, 74):
        break
      process = run.start()
    found = final_state(server)
    said = ", ".join(map(str, codes))
    print(
      f"| {_AWAY_S.value:g} s {when}, {server.kind} | {said} | {found[0]} | 0 | "
      f"{'yes' if found == expected else 'NO'} |",
      flush=True,
    )


if __name__ == "__main__":
  app.run(main)
