#!/bin/sh
# litdata's batching_method="per_stream" takes no notice of weights: of two sets at 0.9 and 0.1 every other batch is
# of the second, and of three no set gives more than half of the batches.
#
# Version:  litdata 0.2.76, the newest, torch 2.13.0 on a CPU, numpy 2.4.6; Python 3.11 or newer. torch 2.13.0 came as
#           a build for CPUs; one for CUDA takes GBs.
# Expected: CombinedStreamingDataset(..., weights=[0.9, 0.1]), "the sampling ratio for the datasets", gives nine batches
#           of the first set for one of the second, as "stratified" gives nine images for one; "per_stream"
#           has "batches from a single dataset, which is selected randomly".
# Seen:     of 1,000 images in batches of ten "stratified" has 10 % of the second set, "per_stream" 50 %, batch by batch
#           in turn, for 0.9 and 0.1 as for 0.99 and 0.01; three sets at 0.9, 0.05 and 0.05 give 50, 25 and 25 % of
#           the batches. So a small set that was to be mixed in is half of what a network sees, and runs of other
#           weights are one run. Through StreamingDataLoader it is the same. Nothing is said.
# Why:      streaming/combined.py draws by the weights until it has another set than the one before, so that no set
#           comes twice in a row. README and docstring do not say so. No report of it was found (pull request
#           438 of Lightning-AI/litData brought the method).
# For us:   litdata is not read here; an epoch has every image of its source once (contrastive_jax/data/order.py).
#           docs/data.md says what to do there.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check \
  litdata==0.2.76 torch==2.13.0 numpy==2.4.6
export HOME="$work" TMPDIR="$work" WORK="$work"
cat >"$work/check.py" <<'PYTHON'
import os

import litdata
import numpy as np

BATCH, IMAGES = 10, 1000


def record(i):
  """Returns an image of a set as litdata keeps it: which set it is of."""
  return {"set": i}


def sets(count):
  """Returns that many sets, each with as many records as are drawn in all."""
  return [litdata.StreamingDataset(f"{os.environ['WORK']}/set{i}") for i in range(count)]


def drawn(method, weights):
  """Returns of which set each of the first records is."""
  mixed = litdata.CombinedStreamingDataset(
    sets(len(weights)), weights=weights, iterate_over_all=False, batching_method=method
  )
  loader = litdata.StreamingDataLoader(mixed, batch_size=BATCH)
  batches = [batch["set"].numpy() for batch, _ in zip(loader, range(IMAGES // BATCH), strict=False)]
  return np.stack(batches)


if __name__ == "__main__":
  for i in range(3):
    inputs, place = [i] * (2 * IMAGES), f"{os.environ['WORK']}/set{i}"
    litdata.optimize(fn=record, inputs=inputs, output_dir=place, num_workers=1, chunk_bytes="64MB")
  for weights in ([0.9, 0.1], [0.99, 0.01], [0.5, 0.5], [0.9, 0.05, 0.05]):
    shares = {}
    for method in ("stratified", "per_stream"):
      batches = drawn(method, weights)
      shares[method] = np.bincount(batches.ravel(), minlength=len(weights)) / batches.size
      print(f"SAID {weights} {method}: shares {shares[method]}")
    assert abs(shares["stratified"] - weights).max() < 0.04, weights
    assert (batches == batches[:, :1]).all()  # per_stream: a batch has one set
    assert (batches[1:, 0] != batches[:-1, 0]).all()  # and never that of the batch before
    assert abs(shares["per_stream"][0] - 0.5) < 0.02, weights
  assert abs(shares["per_stream"][1:] - 0.25).max() < 0.1
  print("SAID as described")
PYTHON
"$work/env/bin/python" -W ignore "$work/check.py" >"$work/out" 2>"$work/errors" || {
  cat "$work/out" "$work/errors"
  exit 1
}
sed -n 's/^SAID //p' "$work/out"
