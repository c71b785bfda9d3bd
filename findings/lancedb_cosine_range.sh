#!/bin/sh
# LanceDB finds no image within a cosine distance of 0.3 where 795 are: on a column with a
# compressed index distance_range() compares twice the distance, and refining does not mend it.
#
# Version:  lancedb 0.40.0, the newest on PyPI, pyarrow 26.0.1, numpy 2.4.6; Python 3.11 or newer.
# Expected: distance_range(upper_bound=0.3), "only rows with distances within range", returns the
#           images whose cosine distance is below 0.3, but for the few that a compressed index gets
#           wrong, as it does by "l2" (at least 19 in 20 of them, once refined).
# Seen:     20 queries among 4,000 images of ten classes, one partition, which is searched whole, a
#           limit of 400: 795 without an index, with IVF_FLAT and with IVF_HNSW_FLAT. With IVF_SQ,
#           IVF_RQ and IVF_HNSW_SQ none, with IVF_PQ and IVF_HNSW_PQ some 10. With refine_factor(10)
#           the distances that are printed are exact, and hardly any row is there either: what is
#           left looks right. An upper bound of 0.6 gives 806, up to 0.30. So a search for
#           near-duplicates loses most of them on the day the index is made. Nothing is said. (That
#           _distance is doubled until it is refined is known: issue 3530 of lancedb/lancedb.)
# Why:      the compressed indices of Lance keep unit vectors and take the squared distance of
#           these, which is twice the cosine distance (in lance-index DistanceType::Cosine becomes
#           L2), and by what comes out the bounds are compared with that before anything is
#           refined. No report of the range was found.
# For us:   our search compares cosines of all images (contrastive_jax/embedding/nearest.py).
#           Features that leave us for LanceDB: docs/embed.md says what to give it.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  lancedb==0.40.0 pyarrow==26.0.1 numpy==2.4.6
export HOME="$work" WORK="$work" RUST_LOG=error LANCE_LOG=error
"$work/env/bin/python" -W ignore - <<'PYTHON'
import os

import lancedb
import numpy as np
import pyarrow as pa

WIDTH, IMAGES, QUERIES = 64, 4000, 20
chance = np.random.default_rng(0)
means = chance.normal(size=(10, WIDTH))


def drawn(count):
  """Returns vectors around the means of ten classes."""
  noise = 0.8 * chance.normal(size=(count, WIDTH))
  return (means[np.arange(count) % 10] + noise).astype(np.float32)


def unit(x):
  """Returns the rows at length 1, in float64."""
  return x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)


images, queries = drawn(IMAGES), drawn(QUERIES)
distances = {
  "cosine": 1 - unit(queries) @ unit(images).T,
  "l2": ((queries[:, None].astype(np.float64) - images) ** 2).sum(-1),
}
bounds = {"cosine": 0.3, "l2": np.quantile(distances["l2"], 0.01)}
column = pa.FixedSizeListArray.from_arrays(pa.array(images.ravel()), WIDTH)
database = lancedb.connect(os.environ["WORK"])


def within(table, metric, bound, refine=None):
  """Returns how many images are found below the bound, and the largest distance that is printed."""
  found = []
  for query in queries:
    search = table.search(query).distance_type(metric).nprobes(1).limit(400)
    search = search.refine_factor(refine) if refine else search
    found += search.distance_range(upper_bound=bound).to_arrow()["_distance"].to_pylist()
  return len(found), max(found, default=0)


right = {metric: int((distances[metric] < bounds[metric]).sum()) for metric in bounds}
print(f"by NumPy {right}")
assert right["cosine"] == 795
kinds = ("IVF_FLAT", "IVF_HNSW_FLAT", "IVF_SQ", "IVF_RQ", "IVF_HNSW_SQ", "IVF_PQ", "IVF_HNSW_PQ")
for metric, bound in bounds.items():
  table = database.create_table(metric, data=pa.table({"vector": column}))
  for kind in ("", *kinds):
    if kind:
      table.create_index(
        metric=metric, index_type=kind, num_partitions=1, vector_column_name="vector", replace=True
      )
    (plain, largest), (refined, _) = within(table, metric, bound), within(table, metric, bound, 10)
    name = kind or "no index"
    print(f"{metric:7}{name:14}{plain:5} found, {refined:5} refined; the largest {largest:.3f}")
    whole = kind in ("", "IVF_FLAT", "IVF_HNSW_FLAT")
    if metric == "cosine" and whole:
      assert plain == refined == right["cosine"], kind
    elif metric == "cosine":
      assert plain < 40 and refined < 40, kind
      assert kind.endswith("PQ") or plain == refined == 0, kind
    elif not kind.endswith("PQ"):
      assert 0.95 * right["l2"] < refined <= right["l2"] and plain > 0.95 * right["l2"], kind
    if metric == "cosine" and kind == "IVF_SQ":
      twice = {refine: within(table, metric, 2 * bound, refine) for refine in (None, 10)}
      print(f"  an upper bound of {2 * bound}: {twice[None]}; refined: {twice[10]}")
      assert 0.95 * 795 < twice[10][0] < 1.05 * 795 and abs(twice[10][1] - bound) < 0.01
print("as described")
PYTHON
