#!/bin/sh
# scikit-dimension gives features of dimension 5 a dimension of 0.0 as soon as one of 2,000 images is there twice, and
# its KNN says anything from 1 to the number of features, by the seed.
#
# Version:  scikit-dimension 0.5.0, the newest (October 2026), scikit-learn 1.9.1, numpy 2.4.6; Python 3.11 or newer.
# Expected: an image more or less among thousands does not matter to an estimate of intrinsic dimension; an
#           estimator at its defaults gives about the same for another draw of the same points.
# Seen:     2,000 normal points in five of 32 dimensions: MLE 5.0, MiND_ML 5.1, TwoNN 5.1, GRIDE 5.1. With one of them
#           there twice MLE says 0.0, and MiND_ML, whose answers begin at 1, says 1.0; all that is said is NumPy's
#           warning of a division by zero. TwoNN and GRIDE tell that they drop duplicates, and are right then; with
#           400 twice, as of a set that was balanced by repeating images, they drop a part of the 800 and say 0.14
#           and 0.34. Without duplicates (numpy.unique) all are right. KNN gives 1 to 32 for eight seeds, in five
#           dimensions as in three, and says nothing.
# Why:      MLE takes the harmonic mean over images, in which one whose nearest neighbour is at a distance of 0 makes
#           the whole 0. Distances of equal rows are not all 0 but up to 1e-7, by rounding, which TwoNN and GRIDE take
#           for no duplicate: a ratio of millions. KNN looks at one sample each of 3, 4, 5 and 6 points, drawn with
#           replacement, whatever the number of points. No report of it was found.
# For us:   nothing here estimates an intrinsic dimension; in the rank of z an image that comes several times counts
#           once (contrastive_jax/step/collapse.py). Features that leave us for it: docs/embed.md says what to give.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  scikit-dimension==0.5.0 scikit-learn==1.9.1 numpy==2.4.6
export HOME="$work"
"$work/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import skdim

IMAGES, SIZE = 2_000, 32


def points(dimension):
  """Returns normal points of that many dimensions in a space of more."""
  chance = np.random.default_rng(0)
  turn = np.linalg.qr(chance.normal(size=(SIZE, dimension)))[0]
  return chance.normal(size=(IMAGES, dimension)) @ turn.T


def estimates(x):
  names = ("MLE", "MiND_ML", "TwoNN", "GRIDE")
  return {name: float(getattr(skdim.id, name)().fit(x).dimension_) for name in names}


x = points(5)
sets = {
  "as they are": x,
  "one twice": np.concatenate([x, x[:1]]),
  "400 twice": np.concatenate([x, x[:400]]),
}
sets["400 twice, unique"] = np.unique(sets["400 twice"], axis=0)
found = {}
for name, given in sets.items():
  found[name] = estimates(given)
  print(f"{name}, {len(given)}:", {key: round(value, 2) for key, value in found[name].items()})
for name in ("as they are", "400 twice, unique"):
  assert all(4.5 < value < 5.5 for value in found[name].values())
assert found["one twice"]["MLE"] == 0 and found["one twice"]["MiND_ML"] == 1
assert 4.5 < found["one twice"]["TwoNN"] < 5.5 and 4.5 < found["one twice"]["GRIDE"] < 5.5
assert all(value < 1.01 for value in found["400 twice"].values())

for dimension in (3, 5):
  x = points(dimension)
  said = [int(skdim.id.KNN(random_state=seed).fit(x).dimension_) for seed in range(8)]
  print(f"KNN in {dimension} dimensions: {said}")
  assert min(said) < dimension and max(said) > 15
print("as described")
PYTHON
