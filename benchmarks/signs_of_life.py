"""Signs of life of simulated processes: messages and reads a second, and what they cost; a table.

python benchmarks/signs_of_life.py [--processes=64,256,1024]

The code of a run (`processes/signs.py`) on JAX's own service, which listens on 127.0.0.1; the
processes take turns in this one, through one client. "before" is what the watchdog did until then:
each process writes a file and reads those of all others. Rates are those of a beat every two
seconds; ms is CPU time of a beat of all processes together, server included, the median of three
beats (one of files at 1,024, which takes a minute).
"""

import json
import pathlib
import socket
import statistics
import tempfile
import time

from absl import app, flags

from contrastive_jax.processes import store, watchdog
from contrastive_jax.processes.signs import Signs

_PROCESSES = flags.DEFINE_list("processes", ["64", "256", "1024"], "How many, a row each.")


class Counted(store.Coordinator):
  """Counts messages, and among them those that read."""

  writes = reads = 0

  def set(self, key, text):
    self.writes += 1
    super().set(key, text)

  def get(self, key):
    self.reads += 1
    return super().get(key)

  def below(self, folder):
    self.reads += 1
    return super().below(folder)


def main(argv: list[str]) -> None:
  del argv
  client = _client()
  print("| processes | before: writes/s | reads/s | ms a beat | writes/s | reads/s | ms a beat |")
  print("|--:" * 7 + "|")
  for count in map(int, _PROCESSES.value):
    cells = [f"{count:,}", *_row(*_files(count)), *_row(*_messages(client, count))]
    print(f"| {' | '.join(cells)} |", flush=True)


def _row(writes: int, reads: int, seconds: float) -> list[str]:
  beat = watchdog._BEAT_S
  return [f"{writes / beat:,.0f}", f"{reads / beat:,.0f}", f"{1000 * seconds:,.1f}"]


def _said(process: int, beat: int) -> dict:
  doing = f"computing step {beat}"
  return {"beat": beat, "host": f"host-{process:04}", "doing": doing, "for_s": 0, "done": False}


def _messages(client, count: int) -> tuple[int, int, float]:
  kept = Counted(client)
  signs = [Signs(kept, f"simulated/{count}", process, count) for process in range(count)]
  seconds = []
  for beat in range(4):
    kept.writes = kept.reads = 0
    began = time.process_time()
    for process, sign in enumerate(signs):
      sign.exchange(_said(process, beat))
      sign.pass_time(watchdog._BEAT_S)
      found = sign.missing(60.0)
      assert found is None, found
    seconds.append(time.process_time() - began)
  return kept.writes, kept.reads, statistics.median(seconds[1:])


def _files(count: int) -> tuple[int, int, float]:
  writes, seconds = 0, []
  with tempfile.TemporaryDirectory() as name:
    paths = [pathlib.Path(name) / f"{process}.json" for process in range(count)]
    for beat in range(1 if count > 512 else 3):
      writes = reads = 0
      began = time.process_time()
      for process, path in enumerate(paths):
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(_said(process, beat)))
        temporary.replace(path)
        writes += 1
      for process in range(count):
        for other, path in enumerate(paths):
          if other != process:
            json.loads(path.read_text())
            reads += 1
      seconds.append(time.process_time() - began)
  return writes, reads, statistics.median(seconds)


def _client():
  from jax._src.lib import _jax

  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    place = f"127.0.0.1:{free.getsockname()[1]}"
  global _service  # lives as long as this process
  _service = _jax.get_distributed_runtime_service(place, 1)
  client = _jax.get_distributed_runtime_client(place, 0)
  client.connect()
  return client


if __name__ == "__main__":
  app.run(main)
