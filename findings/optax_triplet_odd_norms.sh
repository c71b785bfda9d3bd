#!/bin/sh
# optax's triplet loss with norm_degree=1 has no distance in it: differences of either sign cancel, and the
# anchor has no gradient; with 3 it is NaN for two triplets in three.
#
# Version:  optax 0.2.8 and jax 0.10.2, both the newest, Python 3.11 or newer.
# Expected: triplet_margin_loss(..., norm_degree=p) takes the p-norm of the differences, whose absolute
#           values are summed, as torch.nn.TripletMarginLoss(p=p) does.
# Seen:     with p = 1 (1, 2) and (3, 0) are 0 apart instead of 4, and may be less than 0 apart: of 1,000
#           triplets of normal embeddings the losses differ from the formula's by 6.0 in the mean, which is
#           4.0 itself. The anchor's gradient is 0 everywhere, since it is the same number in both
#           sums. With p = 3 68 % of the losses are NaN, and so is the mean. With p = 1 nothing is said.
# Why:      losses/_self_supervised.py raises the differences themselves to the power p. The default of 2, and
#           every even p, is right. No report of it was found (it came with their pull request 1120).
# For us:   optax's is not used: distances are squared Euclidean ones (contrastive_jax/methods/triplet.py), and
#           tests/methods/test_margin.py -k triplet has a loop in float64 beside them.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check \
  optax==0.2.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
JAX_PLATFORMS=cpu "$work/env/bin/python" -W ignore - <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np
import optax

TRIPLETS, SIZE = 1000, 64
chance = np.random.default_rng(0)
anchors, positives, negatives = chance.standard_normal((3, TRIPLETS, SIZE)).astype(np.float32)


def formula(a, p, n, degree):
  """Returns the losses of triplets by NumPy's norm, at a margin of 1."""
  near, far = (np.linalg.norm(x, degree, axis=-1) for x in (a - p, a - n))
  return np.maximum(near - far + 1, 0)


def theirs(a, p, n, degree):
  return optax.losses.triplet_margin_loss(a, p, n, norm_degree=degree)


found = {}
for degree in (1, 2, 3, 4):
  losses = np.asarray(theirs(anchors, positives, negatives, degree))
  wanted = formula(anchors, positives, negatives, degree)
  nan, off = np.isnan(losses).mean(), np.nanmean(np.abs(losses - wanted))
  found[degree] = nan, off
  print(f"p = {degree}: NaN {nan:.2f} of the triplets, others off by {off:.3f}, "
        f"mean {np.nanmean(losses):.3f} for {wanted.mean():.3f}")
assert found[2] < (1e-9, 1e-3) and found[4] < (1e-9, 1e-3), found
assert found[1][0] == 0 and found[1][1] > 5 and 0.6 < found[3][0] < 0.75, found

one = theirs(jnp.array([1.0, 2.0]), jnp.array([3.0, 0.0]), jnp.array([1.0, 2.0]), 1)
print(f"L1 distance of (1, 2) and (3, 0), plus the margin: {one:.3f} for 5")
assert abs(one - 1) < 1e-3, one
gradient = jax.grad(lambda a: theirs(a, positives, negatives, 1).sum())(jnp.asarray(anchors))
print("largest gradient of an anchor:", float(jnp.abs(gradient).max()))
assert not gradient.any()
print("as described")
PYTHON
