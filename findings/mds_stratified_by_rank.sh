#!/bin/sh
# mosaicml-streaming's batching_method="stratified" deals streams out to processes: of two streams, half and half, on two
# processes the first never sees an image of the second stream, in no batch and no epoch.
#
# Version:  mosaicml-streaming 0.13.0, the newest, with torch 2.14.1, two processes on a CPU (gloo), Python 3.11 or
#           newer. It installs torch as it is on PyPI: 6 GB of a temporary folder.
# Expected: "every global batch respects dataset mixing exactly", and what a process has of it is a part like any other,
#           with both streams in it, as "random" has them; batches of one stream on each device are what another method,
#           "device_per_stream", is for.
# Seen:     two streams of 640 images each, shuffled. One process, a batch of 16: eight and eight, always the first
#           stream in front. Two processes, batches of 8: each batch of the one is of the first stream and each of the
#           other of the second, in three epochs of 80; at a quarter and three quarters the first process has half of
#           each and the second nothing but the second stream. "random" with num_canonical_nodes=1 has both streams on
#           both processes. So batch norm and negatives of each GPU see one stream alone, and so do micro-batches. The
#           global batch, which one would count, is as asked for; nothing is said.
# Why:      base/batching/stratified.py lays the streams' parts of a batch side by side and cuts that row into ranks,
#           from left to right (pull request 408 of mosaicml/streaming). The page on mixing speaks of global batches and
#           not of what a device has. No report of it was found (issue 657 is about "random").
# For us:   MDS is not read here, and statistics and negatives are those of the whole batch, over all devices, unless
#           groups are asked for (contrastive_jax/models/norm.py). docs/data.md says what to do there.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check \
  mosaicml-streaming==0.13.0 torch==2.14.1
export HOME="$work" TMPDIR="$work" WORK="$work"
cat >"$work/check.py" <<'PYTHON'
import json
import os
import socket
import subprocess
import sys

import numpy as np

IMAGES, BATCH, EPOCHS = 640, 16, 3


def one(method, shares, ranks):
  """Prints of which stream each image of this process's batches is."""
  from streaming import Stream, StreamingDataset
  from torch.utils.data import DataLoader

  places = [f"{os.environ['WORK']}/stream{i}" for i in range(len(shares))]
  streams = [Stream(local=p, proportion=s) for p, s in zip(places, shares, strict=True)]
  source = StreamingDataset(
    streams=streams, batch_size=BATCH // ranks, shuffle=True, batching_method=method, num_canonical_nodes=1
  )
  loader = DataLoader(source, batch_size=BATCH // ranks)
  epochs = [[batch["stream"].tolist() for batch in loader] for _ in range(EPOCHS)]
  print("SEEN", json.dumps([batch for epoch in epochs for batch in epoch if len(batch) == BATCH // ranks]))


def seen(method, shares, ranks):
  """Returns the batches of each process: [ranks, batches, images of a batch]."""
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = str(free.getsockname()[1])
  started = []
  for rank in range(ranks):
    place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    place |= {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
    command = [sys.executable, "-W", "ignore", __file__, method, json.dumps(shares), str(ranks)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started.append(subprocess.Popen(command, env=os.environ | place, **pipes))
  batches = []
  for process in started:
    out, errors = process.communicate(timeout=300)
    lines = [line for line in out.splitlines() if line.startswith("SEEN ")]
    assert lines, errors
    batches.append(json.loads(lines[0].removeprefix("SEEN ")))
  return np.array([each[: min(map(len, batches))] for each in batches])


def main():
  from streaming import MDSWriter

  for i in range(2):
    with MDSWriter(out=f"{os.environ['WORK']}/stream{i}", columns={"stream": "int"}, size_limit=2000) as out:
      for _ in range(IMAGES):
        out.write({"stream": i})
  for method, shares, ranks in (
    ("stratified", [0.5, 0.5], 1),
    ("stratified", [0.5, 0.5], 2),
    ("stratified", [0.25, 0.75], 2),
    ("random", [0.5, 0.5], 2),
  ):
    found = seen(method, shares, ranks)
    whole, parts = found.mean(axis=(0, 2)), found.mean(axis=2)
    said = ", ".join(f"{part.min():.2f} to {part.max():.2f}" for part in parts)
    print(f"{method} {shares}, {ranks} processes, {found.shape[1]} batches: second stream's share by process {said}")
    if method == "random":
      assert (parts.mean(axis=1) > 0.4).all() and (parts.mean(axis=1) < 0.6).all()
      continue
    assert (whole == shares[1]).all()  # over all processes it is as asked for
    assert (np.diff(found.transpose(1, 0, 2).reshape(len(whole), -1), axis=1) >= 0).all()  # side by side
    assert ranks == 1 or (parts[0] == max(0, 1 - 2 * shares[0])).all() and (parts[1] == 1).all()
  print("as described")


if __name__ == "__main__":
  one(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])) if sys.argv[1:] else main()
PYTHON
"$work/env/bin/python" -W ignore "$work/check.py"
