#!/bin/sh
# metrax's NDCG of labels in uint8 is 0 at every k but the last and 1 there, whatever was ranked; grades of 0 to 3 give
# 1.000 for scores drawn at random.
#
# Version:  google-metrax 0.2.4, the newest, jax 0.10.2 on a CPU, scikit-learn 1.9.1, numpy 2.4.6; Python 3.11 or newer.
# Expected: NDCGAtK depends on the grades, not on their type: "relevance scores" as uint8, which is how masks of
#           relevant images and grades are kept, give what int32 and float32 give, and what scikit-learn gives for
#           labels of 0 and 1; or the type is refused, as the type of bool is.
# Seen:     64 queries over 50 images of which a tenth is relevant, by random scores: 0.125, 0.147 and 0.175 at 1, 5 and
#           10 as float32 and int32, 0.000 at all three as uint8; at 50, all images, it is 1.000 for 0.456. Grades from
#           0 to 3: 0.000 for 0.406 at 1, 1.000 for 0.742 at 50. A ranking that is right in every place has the same
#           numbers as uint8 as the random one. uint16 and uint32 do as uint8. DCGAtK, MRR, PrecisionAtK and RecallAtK
#           are right, so a table of them contradicts itself. Nothing is said.
# Why:      ranking_metrics.py sorts the ideal ranking by -labels. Of an unsigned type -1 is 255 and -0 is 0, so that
#           what is not relevant comes first: the ideal is 0 for small k, for which a quotient of 0 is given, and too
#           low for large k, for which a quotient above 1 is cut to 1. No report of it was found.
# For us:   metrax is not used. Scores here compare labels and never order by them (contrastive_jax/evaluation/
#           scores.py). Features that leave us for metrax: docs/embed.md says what to give it.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  google-metrax==0.2.4 jax==0.10.2 jaxlib==0.10.2 scikit-learn==1.9.1 numpy==2.4.6
export HOME="$work" JAX_PLATFORMS=cpu
"$work/env/bin/python" -W ignore - <<'PYTHON'
import jax.numpy as jnp
import metrax
import numpy as np
from sklearn.metrics import ndcg_score

QUERIES, IMAGES, KS = 64, 50, (1, 5, 10, 50)
chance = np.random.default_rng(0)
scores = chance.normal(size=(QUERIES, IMAGES)).astype(np.float32)
relevant = (chance.random((QUERIES, IMAGES)) < 0.1).astype(int)
relevant[relevant.sum(1) == 0, 0] = 1  # every query has at least one
grades = chance.integers(0, 4, (QUERIES, IMAGES))
others = ("DCGAtK", "MRR", "PrecisionAtK", "RecallAtK", "AveragePrecisionAtK")


def measured(name, ranked, labels, kind):
  """Returns a metric of metrax at each k."""
  arrays = jnp.asarray(ranked), jnp.asarray(labels.astype(kind))
  return np.asarray(getattr(metrax, name).from_model_output(*arrays, jnp.array(KS)).compute())


unsigned = (np.uint8, np.uint16, np.uint32)
right = [ndcg_score(relevant, scores, k=k) for k in KS]
for what, labels in (("relevant", relevant), ("grades", grades)):
  perfect = labels + 0.01 * chance.random(labels.shape).astype(np.float32)
  whole = measured("NDCGAtK", scores, labels, np.float32)
  print(what, "at", KS, "float32", whole.round(3))
  for kind in (np.int8, np.int32, *unsigned):
    found = measured("NDCGAtK", scores, labels, kind)
    best = measured("NDCGAtK", perfect, labels, kind)
    print(f"  {kind.__name__:7} {found.round(3)}, of the right ranking {best.round(3)}")
    if kind not in unsigned:
      assert abs(found - whole).max() < 1e-5 and abs(best - 1).max() < 1e-5
    elif what == "relevant":
      assert (found[:3] == 0).all() and (best[:3] == 0).all() and found[3] > 0.999
    else:
      assert (found[:3] < 0.6 * whole[:3]).all() and found[3] > 0.999 > 0.8 > whole[3]
    for name in others:
      same = measured(name, scores, labels, np.float32), measured(name, scores, labels, kind)
      assert abs(same[0] - same[1]).max() < 1e-5, (name, kind)
  if what == "relevant":
    assert abs(whole - right).max() < 1e-4, (whole, right)
print("as described")
PYTHON
