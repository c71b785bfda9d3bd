#!/bin/sh
# torchmetrics' retrieval metrics take an image whose score is 0 or less for irrelevant, whatever its
# label: by negative distances mAP is 0, by cosines it is higher than it is.
#
# Version:  torchmetrics 1.9.0, the newest, with torch 2.14.1 on a CPU and scikit-learn 1.9.1, Python
#           3.11 or newer. It installs torch as it is on PyPI: 6 GB of a temporary folder.
# Expected: RetrievalMAP, RetrievalMRR, RetrievalPrecision and RetrievalRecall depend on the order of the
#           scores: cosines, logits, negative distances and sigmoids of them give the same.
# Seen:     for 40 queries among 200 images of ten classes mAP is 0.352 by scikit-learn. By cosines it is
#           0.380, since right images below 0 are left out of the mean, not counted as late; by minus
#           the distance mAP, MRR, P@5 and R@5 are 0. Recall of all 200 is 0.84 by cosines.
#           RetrievalNormalizedDCG, RetrievalRPrecision and RetrievalHitRate take every score, so a
#           table of them contradicts itself. Nothing is said.
# Why:      each sets the labels of scores that are not above 0 to 0 before it sorts, since 1.8 (not in
#           1.7.0): their pull request 3104 takes a score of 0 for no prediction. The docstrings say
#           "estimated probabilities".
# For us:   our scores ask for the order of cosines alone (contrastive_jax/evaluation/knn.py). Features
#           that leave us for torchmetrics: docs/embed.md says what to give it.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
TMPDIR=$work "$work/env/bin/pip" install --quiet --disable-pip-version-check \
  torchmetrics==1.9.0 torch==2.14.1 scikit-learn==1.9.1
"$work/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import torch
import torchmetrics.retrieval as metrics
from sklearn.metrics import average_precision_score
from torch.nn.functional import normalize

CLASSES, QUERIES, IMAGES = 10, 40, 200
torch.set_num_threads(1)
chance = torch.Generator().manual_seed(0)
means = normalize(torch.randn(CLASSES, 16, generator=chance), dim=1)


def drawn(count):
  """Returns unit vectors around the means of their classes, and the classes."""
  labels = torch.arange(count) % CLASSES
  return normalize(means[labels] + 0.4 * torch.randn(count, 16, generator=chance), dim=1), labels


(queries, asked), (images, labels) = drawn(QUERIES), drawn(IMAGES)
cosines = queries @ images.T
relevant = asked[:, None] == labels
groups = torch.arange(QUERIES)[:, None].expand_as(cosines)
kinds = {
  "(1 + cosine) / 2": (1 + cosines) / 2,
  "cosine": cosines,
  "minus distance": -torch.cdist(queries.double(), images.double()).float(),
}
pairs = zip(relevant, cosines.double(), strict=True)
truth = np.mean([average_precision_score(*pair) for pair in pairs])
print(f"mAP by scikit-learn {truth:.4f}")
names = {
  "mAP": metrics.RetrievalMAP(),
  "MRR": metrics.RetrievalMRR(),
  "P@5": metrics.RetrievalPrecision(top_k=5),
  "R@5": metrics.RetrievalRecall(top_k=5),
  "recall of all": metrics.RetrievalRecall(),
  "nDCG": metrics.RetrievalNormalizedDCG(),
  "R-precision": metrics.RetrievalRPrecision(),
  "hit rate": metrics.RetrievalHitRate(top_k=5),
}
found = {}
for name, metric in names.items():
  for kind, scores in kinds.items():
    found[name, kind] = metric(scores.flatten(), relevant.flatten(), groups.flatten()).item()
  print(f"{name:14}", {kind: round(found[name, kind], 4) for kind in kinds})
right, cosine, distance = kinds
assert abs(found["mAP", right] - truth) < 1e-4 < 0.02 < found["mAP", cosine] - truth
assert all(found[name, distance] == 0 for name in ("mAP", "MRR", "P@5", "R@5", "recall of all"))
assert found["recall of all", right] == 1 and found["recall of all", cosine] < 0.9
for name in ("nDCG", "R-precision", "hit rate"):
  assert len({round(found[name, kind], 4) for kind in kinds}) == 1 and found[name, right] > 0.3, name
print("as described")
PYTHON
